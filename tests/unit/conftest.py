"""Fixtures of the unit tests."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of every model."""
    from containers.upscaler.weights.cache import fill_cache

    folder = tmp_path_factory.mktemp("weights")
    fill_cache(folder)
    return folder


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No child, no thread stays behind, whatever a test did."""
    from tests.unit.common.support import children

    before = children()
    yield
    assert not [t for t in threading.enumerate() if t.name == "decoder"]
    assert children() <= before
