"""The whole program of every stack file in the embedded AWS: each resource, none skipped."""

import collections
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from contracts.names import PROJECT
from tests.infra.support.recorder import (
    STACKS,
    Deployment,
    run_program,
    stack_config,
)
from tests.support.local_aws import (
    REPOSITORY,
    Server,
    serve,
    write_project,
)

EVERYTHING = {
    "network": "private",
    "encryption": "kms",
    "flow_logs": "all",
    "spot_fleet": "true",
    "batch_service_role": "own",
}
"""Settings that bring resources which no stack file asks for."""

SHARED = REPOSITORY / "registry"
_CREATED = re.compile(r"INFO created (aws:\S+|docker-build:\S+) ", re.MULTILINE)


def deploy(
    server: Server, stack: str, changes: Mapping[str, str], folder: Path = REPOSITORY
) -> collections.Counter[str]:
    """How many resources of each type were created."""
    options = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "local.deployer",
            "--project",
            str(folder),
            "--stack",
            stack,
            *options,
        ],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": server.ready["endpoint"],
            "AWS_ACCESS_KEY_ID": server.ready["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": server.ready["secret_access_key"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return collections.Counter(_CREATED.findall(done.stderr))


def declared(run: Deployment) -> collections.Counter[str]:
    """The same, as the program says it."""
    return collections.Counter(
        r.type for r in run.resources if r.custom and not r.type.startswith("pulumi:")
    )


def start_empty(folder: Path) -> Server:
    """An embedded AWS without anything in it."""
    return serve(write_project(folder / "project", "import pulumi\n"), folder / "state")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One account for all stacks, whose resources must not get into each other's way."""
    server = start_empty(tmp_path_factory.mktemp("account"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def second_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For what the stacks of the first account have already: repositories, a stack named prod."""
    server = start_empty(tmp_path_factory.mktemp("second-account"))
    yield server
    server.stop()


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_of_a_stack_is_created(account: Server, stack: str) -> None:
    assert deploy(account, stack, {}) == declared(run_program(stack, stack_config(stack)))


def test_every_resource_that_all_stacks_share_is_created(second_account: Server) -> None:
    run = run_program("shared", stack_config("shared", SHARED), f"{PROJECT}-registry", SHARED)
    assert deploy(second_account, "shared", {}, SHARED) == declared(run)


def test_every_resource_that_only_settings_bring_is_created(second_account: Server) -> None:
    config = {f"{PROJECT}:{name}": value for name, value in EVERYTHING.items()}
    run = run_program("prod", {**stack_config("prod"), **config})
    assert deploy(second_account, "prod", EVERYTHING) == declared(run)
