"""The whole program of every stack file in the embedded AWS: each resource, none skipped."""

import collections
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.names import PROJECT
from tests.infra.recorder import run_program, stack_config
from tests.local_support import REPOSITORY, Server, serve, write_project

EVERYTHING = {"network": "private", "encryption": "kms", "flow_logs": "all"}
"""Settings that bring resources which no stack file asks for."""

CASES: dict[str, tuple[str, Mapping[str, str]]] = {
    "dev": ("dev", {}),
    "staging": ("staging", {}),
    "prod": ("prod", {}),
    "local": ("local", {}),
    "prod with everything": ("prod", EVERYTHING),
}
_CREATED = re.compile(r"INFO created (aws:\S+|docker-build:\S+) ", re.MULTILINE)


def deploy(server: Server, stack: str, changes: Mapping[str, str]) -> collections.Counter[str]:
    """How many resources of each type were created."""
    options = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "local.deployer", "--project", ".", "--stack", stack, *options],
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


def declared(stack: str, changes: Mapping[str, str]) -> collections.Counter[str]:
    """The same, as the program says it."""
    config = {f"{PROJECT}:{name}": value for name, value in changes.items()}
    run = run_program(stack, {**stack_config(stack), **config})
    return collections.Counter(
        r.type for r in run.resources if r.custom and not r.type.startswith("pulumi:")
    )


@pytest.mark.parametrize("case", CASES)
def test_every_resource_of_a_stack_is_created(tmp_path: Path, case: str) -> None:
    empty = write_project(tmp_path / "project", "import pulumi\n")
    server, (stack, changes) = serve(empty, tmp_path / "state"), CASES[case]
    assert deploy(server, stack, changes) == declared(stack, changes)
    server.stop()
