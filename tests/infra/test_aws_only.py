"""The list of grants that only AWS exercises names none that no stack has."""

from tests.infra.recorder import run_program, stack_config
from tools.least_privilege.aws_only import AWS_ONLY


def test_every_entry_is_a_statement_of_some_stack() -> None:
    changes = {"superres:network": "private", "superres:encryption": "kms"}
    deployment = run_program("prod", {**stack_config("prod"), **changes})
    given = {s["Sid"] for _, document in deployment.policies() for s in document["Statement"]}
    assert set(AWS_ONLY) <= given


def test_every_entry_says_what_of_aws_exercises_it() -> None:
    assert all(reason.startswith("AWS: ") for reason in AWS_ONLY.values())
