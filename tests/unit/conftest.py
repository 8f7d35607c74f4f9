"""Fixtures of the unit tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of every model."""
    from containers.upscaler.weights import fill_cache

    folder = tmp_path_factory.mktemp("weights")
    fill_cache(folder)
    return folder
