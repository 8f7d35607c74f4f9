"""Fixtures of the command line's tests."""

from pathlib import Path

import pytest


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file that is called a film; nothing here opens it as one."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"x")
    return path


@pytest.fixture
def models_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of inspected models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "superres" / "models"
