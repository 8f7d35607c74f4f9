"""Every role tries what every other may do, with its own credentials, and more that none may."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from contracts.names import PROJECT
from tests.e2e.permissions.access_matrix import (
    MAY,
    S3_FILES,
    Call,
    Clients,
    calls,
)
from tests.e2e.support import Bench, make_client
from tools.least_privilege import roles

pytestmark = pytest.mark.slow

TRUST_ROOT = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "sts:AssumeRole",
        }
    ],
}
REFUSED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
)


def short(name: str) -> str:
    """A role's name without the stack's prefix and the suffix that makes it unique."""
    return name.removeprefix(f"{PROJECT}-local-").rpartition("-")[0]


@pytest.fixture(scope="module")
def names(bench: Bench) -> Callable[[str, str], str]:
    """Physical names by kind and short name."""
    iam, sns, batch = (bench.client(service) for service in ("iam", "sns", "batch"))
    definitions = batch.describe_job_definitions()["jobDefinitions"]
    functions = bench.client("lambda").list_functions()["Functions"]
    listed: dict[str, list[str]] = {
        "queue": bench.client("sqs").list_queues(MaxResults=999)["QueueUrls"],
        "topic": [topic["TopicArn"] for topic in sns.list_topics()["Topics"]],
        "function": [function["FunctionName"] for function in functions],
        "role": [role for role, _ in roles.list_policies(iam)],
        "definition": [definition["jobDefinitionArn"] for definition in definitions],
    }

    def name(kind: str, wanted: str) -> str:
        found = [one for one in listed[kind] if f"{PROJECT}-local-{wanted}-" in one]
        return min(found, key=len)  # `processing` and not `processing-dlq`

    return name


@pytest.fixture(scope="module", autouse=True)
def _objects(bench: Bench) -> None:
    """What is read must be there: who may not list a bucket hears nothing else of an absence."""
    bucket = bench.stack.outputs["intermediate_bucket"]
    for key in S3_FILES.values():
        bench.client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")


@contextmanager
def as_role(bench: Bench, role: str) -> Iterator[Clients]:
    """Clients that may do what the role may: with a copy of it, since it trusts a service only."""
    iam, name = bench.client("iam"), f"copy-of-{role}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST_ROOT))
    policies = iam.list_role_policies(RoleName=role)["PolicyNames"]
    for policy in policies:
        document = json.dumps(roles.read_policy(iam, role, policy))
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)
    arn = iam.get_role(RoleName=name)["Role"]["Arn"]
    taken = bench.client("sts").assume_role(RoleArn=arn, RoleSessionName="matrix")["Credentials"]
    credentials = {
        "aws_access_key_id": taken["AccessKeyId"],
        "aws_secret_access_key": taken["SecretAccessKey"],
        "aws_session_token": taken["SessionToken"],
    }
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)

    @cache
    def client(service: str) -> Any:
        return make_client(bench.stack, service, config, **credentials)

    try:
        yield client
    finally:
        for policy in policies:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)


def is_refused(call: Call, clients: Clients) -> bool:
    try:
        call(clients)
    except ClientError as error:
        return error.response["Error"]["Code"] in REFUSED
    return False


def test_the_matrix_knows_every_role(bench: Bench) -> None:
    assert {short(role) for role, _ in roles.list_policies(bench.client("iam"))} == set(MAY)


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_exactly_what_the_matrix_says(
    bench: Bench, names: Callable[[str, str], str], role: str
) -> None:
    tried = calls(names, bench.stack.outputs)
    assert MAY[role] <= set(tried)
    with as_role(bench, names("role", role)) as clients:
        allowed = {what for what, call in tried.items() if not is_refused(call, clients)}
    assert allowed == MAY[role]
