"""The program's resources as the rules of policy/ see them, under every mode that a stack has."""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

from policy.rule import Graph, Resource
from tests.infra.recorder import STACKS, Deployment, Recorded, run_program, stack_config

MODES: tuple[Mapping[str, str], ...] = ({},)
"""Settings that change which resources there are; every stack is looked at under each."""

CASES = [(stack, mode) for stack, mode in itertools.product(STACKS, range(len(MODES)))]


@functools.cache
def graph(stack: str, mode: int = 0) -> Graph:
    """The whole program under a stack's file and one of the modes; run once per session."""
    changes = {f"superres:{name}": value for name, value in MODES[mode].items()}
    return graph_of(run_program(stack, {**stack_config(stack), **changes}))


def graph_of(deployment: Deployment) -> Graph:
    return Graph(resource_of(recorded) for recorded in deployment.resources)


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
