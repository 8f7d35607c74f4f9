"""Grants that only AWS exercises: nothing stale in the list, and nothing escapes the proof."""

from collections.abc import Iterator

import pytest

from contracts.names import PROJECT
from tests.infra.support.recorder import (
    STACKS,
    Deployment,
    deployment,
    run_program,
    stack_config,
)
from tools.least_privilege.aws_only import AWS_ONLY
from tools.least_privilege.coverage import Statement

EVERYTHING = {
    "network": "private",
    "encryption": "kms",
    "spot_fleet": "true",
    "batch_service_role": "own",
}


def statements(run: Deployment) -> Iterator[Statement]:
    for role, document in run.policies():
        short = role.removeprefix(f"{PROJECT}-{run.stack}-")
        for one in document["Statement"]:
            yield Statement(role=short, sid=one["Sid"], document=one)


@pytest.fixture(scope="module")
def everything() -> list[Statement]:
    """Of production with all that a setting can bring."""
    changes = {f"{PROJECT}:{name}": value for name, value in EVERYTHING.items()}
    return list(statements(run_program("prod", {**stack_config("prod"), **changes})))


def test_every_entry_is_a_statement_of_some_stack(everything: list[Statement]) -> None:
    assert set(AWS_ONLY) <= {statement.sid for statement in everything}


def test_every_entry_says_what_of_aws_exercises_it() -> None:
    assert all(reason.startswith("AWS: ") for reason in AWS_ONLY.values())


def test_what_the_local_stack_does_not_have_only_aws_exercises(
    everything: list[Statement],
) -> None:
    """The end-to-end proof looks at the local stack with its own keys: nothing hides elsewhere."""
    keys = {f"{PROJECT}:encryption": "kms"}
    local = statements(run_program("local", {**stack_config("local"), **keys}))
    proved = {(statement.role, statement.sid) for statement in local}
    others = [s for stack in STACKS for s in statements(deployment(stack))]
    hidden = {(s.role, s.sid) for s in (*everything, *others) if s.aws_only is None} - proved
    assert hidden == set()
