"""One embedded AWS for all end-to-end tests of a process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.models.weights import ensure_weights
from contracts.models import ModelName
from tests.e2e.support import Bench, running
from tests.support.films import make


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all workers of a run: the second to start a stack finds a snapshot."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "state"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 20 frames with sound, for tests of what surrounds the pictures."""
    target = tmp_path_factory.mktemp("tiny") / "tiny.mp4"
    return make(target, frames=20, width=64, height=36, audio="aac")


@pytest.fixture(scope="session")
def bench(state: Path) -> Iterator[Bench]:
    ensure_weights(ModelName.ANIMEVIDEOV3)
    with running(state, "bench") as bench:
        yield bench


@pytest.fixture(scope="session")
def kms(state: Path) -> Iterator[Bench]:
    """A stack whose buckets, table, queues and logs are encrypted with the account's own keys."""
    with running(state, "kms", encryption="kms") as bench:
        yield bench
