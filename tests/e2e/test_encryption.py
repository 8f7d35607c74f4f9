"""The whole pipeline with buckets, table, queues and logs under keys of the account's.

The embedded AWS asks the keys' policies and the callers' grants, as AWS does.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from contracts.job import Settings
from contracts.models import ModelName
from tests.e2e.support import Bench

USE_KEY = {
    "Effect": "Allow",
    "Action": ["kms:GenerateDataKey"],
    "Resource": ["*"],
}


def data_key(bench: Bench) -> str:
    aliases = bench.client("kms").list_aliases()["Aliases"]
    (alias,) = [a for a in aliases if a["AliasName"] == "alias/superres-local-data"]
    return bench.client("kms").describe_key(KeyId=alias["TargetKeyId"])["KeyMetadata"]["Arn"]


def test_a_film_comes_back_under_the_key_and_people_are_told(
    kms: Bench, tiny: Path, tmp_path: Path
) -> None:
    job_id = kms.upload(tiny, Settings(model=ModelName.LANCZOS))
    _, report = kms.result(job_id, tmp_path)
    assert report.ledger.balanced
    bucket = kms.stack.outputs["final_bucket"]
    listed = kms.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"results/{job_id}/")
    assert len(listed["Contents"]) == 2
    for item in listed["Contents"]:
        stored = kms.client("s3").head_object(Bucket=bucket, Key=item["Key"])
        assert stored["ServerSideEncryption"] == "aws:kms"
        assert stored["SSEKMSKeyId"] == data_key(kms)
    assert kms.mail(job_id)["MessageAttributes"]["status"]["Value"] == "SUCCEEDED"


@pytest.fixture
def writer(kms: Bench) -> Iterator[tuple[Any, Any]]:
    """(S3 as a user who may write films, what else the user may do)."""
    iam, bucket = kms.client("iam"), kms.stack.outputs["source_bucket"]
    iam.create_user(UserName="writer")
    key = iam.create_access_key(UserName="writer")["AccessKey"]

    def allow(*further: dict[str, Any]) -> None:
        put = {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": [f"arn:aws:s3:::{bucket}/other/*"],
        }
        document = {"Version": "2012-10-17", "Statement": [put, *further]}
        iam.put_user_policy(
            UserName="writer", PolicyName="write", PolicyDocument=json.dumps(document)
        )

    s3 = boto3.client(
        "s3",
        endpoint_url=kms.stack.endpoint,
        region_name=kms.stack.region,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    allow()
    yield s3, allow
    iam.delete_user_policy(UserName="writer", PolicyName="write")
    iam.delete_access_key(UserName="writer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="writer")


def put(bench: Bench, s3: Any, **encryption: str) -> str | None:
    """The error's code; None where S3 took it."""
    try:
        s3.put_object(
            Bucket=bench.stack.outputs["source_bucket"], Key="other/x", Body=b"x", **encryption
        )
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def test_who_may_write_but_not_use_the_key_cannot_write(
    kms: Bench, writer: tuple[Any, Any]
) -> None:
    s3, allow = writer
    assert put(kms, s3) == "AccessDenied"
    allow(USE_KEY)
    assert put(kms, s3) is None
    elsewhere = {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::another"}}
    allow({**USE_KEY, "Condition": elsewhere})
    assert put(kms, s3) == "AccessDenied"


def test_nothing_is_written_under_another_key(kms: Bench, writer: tuple[Any, Any]) -> None:
    s3, allow = writer
    allow(USE_KEY)
    ours = data_key(kms)
    other = kms.client("kms").create_key()["KeyMetadata"]["Arn"]
    assert put(kms, s3, ServerSideEncryption="AES256") == "AccessDenied"
    assert put(kms, s3, ServerSideEncryption="aws:kms", SSEKMSKeyId=other) == "AccessDenied"
    assert put(kms, s3, ServerSideEncryption="aws:kms", SSEKMSKeyId=ours) is None


def test_our_alarms_write_mails_and_no_others(kms: Bench) -> None:
    cloudwatch = kms.client("cloudwatch")
    for name in ("foreign-alarm", "superres-local-alarm"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Superres",
            MetricName="JobsFailed",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            AlarmActions=[kms.stack.outputs["email_topic_arn"]],
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    told = kms.mail('"AlarmName": "superres-local-alarm"')
    assert json.loads(told["Message"])["NewStateValue"] == "ALARM"
    with pytest.raises(TimeoutError):
        kms.mail('"AlarmName": "foreign-alarm"', patience=1)
