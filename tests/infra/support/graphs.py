"""The program's resources as the rules of policy/ see them, under every mode that a stack has."""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

from components.settings import parse_settings
from contracts.names import PROJECT
from policy.rule import Graph, Resource
from tests.infra.support.recorder import (
    STACKS,
    Deployment,
    Recorded,
    deployment,
    run_program,
    stack_config,
)

OURS = f"{PROJECT}:"

KINDS: tuple[Mapping[str, str], ...] = tuple(
    {"network": network, "encryption": encryption}
    for network in ("public", "private")
    for encryption in ("s3", "kms")
)
FLEET = {"spot_fleet": "true", "batch_service_role": "own"}
MODES = (*KINDS, FLEET)
"""Settings that change which resources there are."""

CASES = [
    *itertools.product(STACKS, (0, len(KINDS) - 1)),
    *(("prod", m) for m in (1, 2, len(KINDS))),
]
"""Every stack under both of each; production under all of them, and with a fleet."""


@functools.cache
def graph(stack: str, mode: int = 0) -> Graph:
    """The whole program under a stack's file and one of the modes; run once per session."""
    config = stack_config(stack)
    effective = parse_settings({k.partition(":")[2]: v for k, v in config.items() if OURS in k})
    changes = {k: v for k, v in MODES[mode].items() if getattr(effective, k) != v}
    if not changes:
        return graph_of(deployment(stack))
    return graph_of(run_program(stack, {**config, **{OURS + k: v for k, v in changes.items()}}))


def graph_of(run: Deployment) -> Graph:
    return Graph(resource_of(recorded) for recorded in run.resources)


def resource_of(recorded: Recorded) -> Resource:
    return Resource(
        type=recorded.type,
        name=recorded.name,
        urn=recorded.urn,
        props=_plain(recorded.inputs),
        uses=recorded.uses,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
