"""Every grant of every stack is either walked on the embedded AWS or listed as AWS's own."""

from tests.infra.recorder import STACKS, Deployment, deployment, run_program, stack_config
from tools.least_privilege.aws_only import AWS_ONLY

EVERYTHING = {"network": "private", "encryption": "kms", "spot_fleet": "true"}


def sids(run: Deployment) -> set[tuple[str, str]]:
    """(role without the stack's prefix, statement id)."""
    prefix = f"superres-{run.stack}-"
    return {
        (role.removeprefix(prefix), statement["Sid"])
        for role, document in run.policies()
        for statement in document["Statement"]
    }


def with_everything(stack: str, **changes: str) -> Deployment:
    named = {f"superres:{name}": value for name, value in {**EVERYTHING, **changes}.items()}
    return run_program(stack, {**stack_config(stack), **named})


def test_every_entry_is_a_statement_of_some_stack() -> None:
    assert set(AWS_ONLY) <= {sid for _, sid in sids(with_everything("prod"))}


def test_every_entry_says_what_of_aws_exercises_it() -> None:
    assert all(reason.startswith("AWS: ") for reason in AWS_ONLY.values())


def test_a_statement_that_is_not_listed_is_one_that_the_walks_must_need() -> None:
    """The walks run on the local stack: what others grant beyond it would be proved by nobody."""
    walked = sids(deployment("local"))
    for run in (*map(deployment, STACKS), with_everything("prod", encryption="s3")):
        beyond = {grant for grant in sids(run) - walked if grant[1] not in AWS_ONLY}
        assert beyond == set(), run.stack


def test_what_kms_grants_beyond_that_is_the_use_of_keys_alone() -> None:
    """tests/e2e/test_encryption.py runs under these grants."""
    run = with_everything("prod", spot_fleet="false")
    known = sids(deployment("local"))
    for role, document in run.policies():
        for statement in document["Statement"]:
            name = role.removeprefix("superres-prod-"), statement["Sid"]
            if name not in known and statement["Sid"] not in AWS_ONLY:
                actions = statement["Action"]
                assert {action.partition(":")[0] for action in actions} == {"kms"}, name
