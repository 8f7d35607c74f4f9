"""The log of decisions: which statement of which role allowed a call."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.local_aws import Server, shared_server

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def statement(sid: str, action: str, *resources: str, **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": [*resources], **more}


def take_role(server: Server, name: str, *statements: dict[str, Any]) -> Any:
    """S3 with the credentials of a new role that has these statements."""
    iam = server.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    document = {"Version": "2012-10-17", "Statement": [*statements]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(document))
    keys = server.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.client(
        "s3",
        region_name=server.ready["region"],
        endpoint_url=server.ready["endpoint"],
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def lines(server: Server, role: str) -> list[dict[str, Any]]:
    with Path(server.ready["access_log"]).open() as log:
        found = [json.loads(line) for line in log]
    return [line for line in found if line["role"] == role]


@pytest.fixture
def server() -> Server:
    return shared_server()


def test_every_statement_that_matches_is_named_with_its_patterns(server: Server) -> None:
    bucket = server.outputs["bucket"]
    arn = f"arn:aws:s3:::{bucket}"
    s3 = take_role(
        server,
        "twice-granted",
        statement("Narrow", "s3:PutObject", f"{arn}/other/*", f"{arn}/narrow/*"),
        statement("Wide", "s3:PutObject", f"{arn}/*"),
        statement("Unused", "s3:GetObject", f"{arn}/*"),
    )
    for key in ("narrow/a", "narrow/b", "wide"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    both, only = lines(server, "twice-granted")
    assert both["grants"] == [
        {"sid": "Narrow", "resources": [f"{arn}/narrow/*"], "values": []},
        {"sid": "Wide", "resources": [f"{arn}/*"], "values": []},
    ]
    assert (both["action"], both["resource"]) == ("s3:PutObject", f"{arn}/narrow/a")
    assert [grant["sid"] for grant in only["grants"]] == ["Wide"]
    assert both["allowed"]
    assert not both["resource_policy"]


def test_the_condition_values_that_hold_are_named(server: Server) -> None:
    bucket = server.outputs["bucket"]
    condition = {"StringLike": {"s3:prefix": ["films/*", "sounds/*"]}}
    s3 = take_role(
        server,
        "conditioned",
        statement("List", "s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=condition),
    )
    s3.list_objects_v2(Bucket=bucket, Prefix="sounds/loud")
    (line,) = lines(server, "conditioned")
    assert line["grants"][0]["values"] == ["sounds/*"]


def test_a_refused_call_is_named_too(server: Server) -> None:
    s3 = take_role(server, "refused", statement("None", "s3:PutObject", "arn:aws:s3:::none/*"))
    for _ in range(2):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object(Bucket=server.outputs["bucket"], Key="film", Body=b"x")
    (line,) = lines(server, "refused")
    assert not line["allowed"]
    assert line["grants"] == []


def test_a_bucket_that_lets_the_role_in_by_itself_is_told(server: Server) -> None:
    name, admin = "open-to-a-role", server.client("s3")
    admin.create_bucket(Bucket=name)
    objects = f"arn:aws:s3:::{name}/*"
    s3 = take_role(server, "welcome", statement("Put", "s3:PutObject", objects))
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:role/welcome"},
        "Action": "s3:PutObject",
        "Resource": objects,
    }
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    admin.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    s3.put_object(Bucket=name, Key="film", Body=b"x")
    (line,) = lines(server, "welcome")
    assert line["resource_policy"]


def test_only_who_may_list_hears_that_an_object_is_missing(server: Server) -> None:
    bucket = server.outputs["bucket"]
    arn = f"arn:aws:s3:::{bucket}"
    read = statement("Read", "s3:GetObject", f"{arn}/*")
    blind = take_role(server, "may-not-list", read)
    seeing = take_role(server, "may-list", read, statement("List", "s3:ListBucket", arn))
    for ask in ("get_object", "head_object"):
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            getattr(blind, ask)(Bucket=bucket, Key="missing")
        with pytest.raises(ClientError, match=r"NoSuchKey|404"):
            getattr(seeing, ask)(Bucket=bucket, Key="missing")
    assert [grant["sid"] for grant in lines(server, "may-list")[1]["grants"]] == ["List"]
