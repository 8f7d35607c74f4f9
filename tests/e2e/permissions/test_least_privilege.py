"""Least privilege, proved: every part of every role's policy is some call's only grant."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.support import Bench
from tools.least_privilege import roles
from tools.least_privilege.coverage import Proof, by_statement
from tools.least_privilege.walker import Walker
from tools.least_privilege.walks import TOLD, UNTOLD

pytestmark = pytest.mark.slow

AT_ONCE = 4
PATIENCE_SECONDS = 200.0
"""For one walk beside others, on a machine that may run more tests."""


@pytest.fixture(scope="module")
def proof(kms: Bench) -> Proof:
    """What the whole pipeline needed, through success, misfortune and redelivery.

    With keys of the account's: then there is every grant that the local stack can have.
    """

    def walker() -> Walker:
        return Walker(kms.stack, patience_seconds=PATIENCE_SECONDS)

    first, *told = TOLD
    for walks in ([first], told, UNTOLD):  # one alone, until every function has its worker
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for walked in [pool.submit(walk, walker()) for walk in walks]:
                walked.result()
    statements = roles.read_statements(kms.client("iam"))
    return Proof.of(statements, roles.read_decisions(kms.stack.access_log))


def test_every_action_resource_and_condition_is_some_calls_only_grant(proof: Proof) -> None:
    assert by_statement(proof.unproved()) == {}


def test_what_only_aws_exercises_is_exercised_by_nothing_here(proof: Proof) -> None:
    assert by_statement(proof.stale()) == {}


def test_every_role_has_a_policy_to_prove(proof: Proof) -> None:
    assert len({statement.role for statement in proof.statements}) >= 12
