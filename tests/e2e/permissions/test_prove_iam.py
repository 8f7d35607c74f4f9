"""Taking a statement out of its policy stops the pipeline: some of what `make prove-iam` does."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.support import Bench
from tools.least_privilege import roles
from tools.least_privilege.coverage import Statement
from tools.least_privilege.prove import take_out

pytestmark = pytest.mark.slow


def statement(bench: Bench, role: str, sid: str) -> Statement:
    (found,) = [
        one
        for one in roles.read_statements(bench.client("iam"))
        if one.sid == sid and one.role.rpartition("-")[0].endswith(f"-local-{role}")
    ]
    return found


@pytest.mark.parametrize(
    ("role", "sid", "action"),
    [
        ("trigger", "StartJobs", "states:StartExecution"),
        ("workflow", "Publish", "sns:Publish"),
        ("process-frames", "SubmitJob", "batch:SubmitJob"),
        ("process-job", "ReadSource", "s3:GetObjectVersion"),
    ],
)
def test_without_a_statement_its_call_is_refused(
    bench: Bench, role: str, sid: str, action: str
) -> None:
    outcome = take_out(bench.stack, statement(bench, role, sid), "success")
    assert outcome.refused is not None
    assert outcome.refused.startswith(f"{action} on ")
    assert statement(bench, role, sid)  # it is back


@pytest.fixture
def superfluous(bench: Bench) -> Iterator[Statement]:
    """A statement that nobody needs, in the trigger's policy."""
    iam, needed = bench.client("iam"), statement(bench, "trigger", "StartJobs")
    extra = {**needed.document, "Sid": "Superfluous", "Action": ["states:StopExecution"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [extra]})
    iam.put_role_policy(RoleName=needed.role, PolicyName="extra", PolicyDocument=policy)
    yield statement(bench, "trigger", "Superfluous")
    iam.delete_role_policy(RoleName=needed.role, PolicyName="extra")


def test_a_statement_that_nobody_needs_is_found(bench: Bench, superfluous: Statement) -> None:
    assert take_out(bench.stack, superfluous, "success").refused is None
