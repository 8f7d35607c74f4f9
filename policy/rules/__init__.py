"""All rules."""

from policy.rule import Rule
from policy.rules import (
    compute,
    functions,
    identity,
    messaging,
    network,
    observability,
    storage,
)

RULES: tuple[Rule, ...] = tuple(
    value
    for module in (storage, messaging, network, identity, functions, compute, observability)
    for value in vars(module).values()
    if isinstance(value, Rule)
)
