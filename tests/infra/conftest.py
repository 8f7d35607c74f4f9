"""The program under each stack's file, run once."""

from collections.abc import Callable

import pytest

from tests.infra.recorder import STACKS, Deployment, deployment
from tests.infra.recorder import variant as changed

Variant = Callable[..., Deployment]


@pytest.fixture(scope="session", params=STACKS)
def stack(request: pytest.FixtureRequest) -> Deployment:
    """Each stack in turn, for what must hold in all of them."""
    return deployment(request.param)


@pytest.fixture(scope="session")
def prod() -> Deployment:
    return deployment("prod")


@pytest.fixture(scope="session")
def local() -> Deployment:
    return deployment("local")


@pytest.fixture(scope="session")
def variant() -> Variant:
    """A stack with some settings changed: `variant("dev", encryption="kms")`."""

    def run(name: str, **changes: str) -> Deployment:
        return changed(name, *(f"{key}={value}" for key, value in changes.items()))

    return run


@pytest.fixture(scope="session")
def kms(variant: Variant) -> Deployment:
    """The stack for development under keys of its own."""
    return variant("dev", encryption="kms")
