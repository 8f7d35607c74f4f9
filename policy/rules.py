"""All rules."""

from policy import compute, functions, identity, messaging, network, observability, storage
from policy.rule import Rule

RULES: tuple[Rule, ...] = tuple(
    value
    for module in (storage, messaging, network, identity, functions, compute, observability)
    for value in vars(module).values()
    if isinstance(value, Rule)
)
