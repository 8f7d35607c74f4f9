"""Fixtures of the media tests."""

from collections.abc import Iterator

import pytest

from containers.common.confined import parent
from tests.support.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(autouse=True)
def children_start_at_once(
    request: pytest.FixtureRequest, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hostile films meet fresh children, as in production."""
    if "hostile" not in request.path.parts:
        monkeypatch.setattr(parent, "start_process", nursery.start_process)
