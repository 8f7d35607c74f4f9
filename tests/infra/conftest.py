"""The program under each stack's file, run once."""

import pytest

from tests.infra.support.recorder import (
    STACKS,
    Deployment,
    deployment,
    variant,
)


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
def kms() -> Deployment:
    """The stack for development under keys of its own."""
    return variant("dev", "encryption=kms")
