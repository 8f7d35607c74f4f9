"""The rules of policy/: they hold in every stack, and each notices what it is there for."""

import pytest

from policy.rules import RULES
from tests.infra.support.graphs import (
    CASES,
    graph,
    graph_of,
)
from tests.infra.support.planting import Damage
from tests.infra.support.plants import PLANTS
from tests.infra.support.registry import shared_registry

BY_NAME = {rule.name: rule for rule in RULES}


@pytest.mark.parametrize(("stack", "mode"), CASES)
def test_every_rule_holds(stack: str, mode: int) -> None:
    resources = graph(stack, mode)
    broken = [f"{rule.name}: {v.message}" for rule in RULES for v in rule.violations(resources)]
    assert broken == []


def test_every_rule_holds_for_what_all_stacks_share() -> None:
    resources = graph_of(shared_registry())
    broken = [f"{rule.name}: {v.message}" for rule in RULES for v in rule.violations(resources)]
    assert broken == []
    assert resources.of("Repository")


@pytest.mark.parametrize(("name", "damage", "says"), PLANTS)
def test_a_broken_rule_is_noticed(name: str, damage: Damage, says: str | None) -> None:
    found = [v.message for v in BY_NAME[name].violations(damage(graph("prod")))]
    if says is None:
        assert found == []
    else:
        assert any(says in message for message in found), found


def test_every_rule_is_broken_at_least_once() -> None:
    assert {name for name, _, says in PLANTS if says} == set(BY_NAME)


def test_rules_look_at_something() -> None:
    """But those that wait for whoever adds a kind of resource that could open a door."""
    seen = {
        r.kind
        for g in (graph("prod"), graph("prod", 3), graph_of(shared_registry()))
        for r in g.resources
    }
    assert {rule.name for rule in RULES if not seen & set(rule.kinds)} <= {
        "group-rule-lets-nobody-in",
    }


def test_rules_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(RULES)
