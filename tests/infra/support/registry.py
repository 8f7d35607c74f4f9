"""Runs the shared registry's program (registry/)."""

import functools

from tests.infra.support.recorder import REPOSITORY, Deployment, run_program, stack_config

FOLDER = REPOSITORY / "registry"
PROJECT = "superres-registry"


def run_registry(**changes: str) -> Deployment:
    """The program under its stack file, with some settings changed."""
    config = stack_config("shared", FOLDER)
    config |= {f"{PROJECT}:{name}": value for name, value in changes.items()}
    return run_program("shared", config, PROJECT, FOLDER)


@functools.cache
def shared_registry() -> Deployment:
    """The program under its stack file as it is; run once per session."""
    return run_registry()
