"""Buckets and the registry."""

import json
from typing import Any

import pytest

from components.settings.storage import JOB_DAYS_MAX
from components.storage.buckets import bucket_name
from contracts.keys import JOBS, RESULTS, UPLOADS
from contracts.messages import REGISTRY_TTL
from tests.infra.support.recorder import (
    ACCOUNT,
    PLACE,
    REGION,
    Deployment,
    bucket,
    variant,
)

DATA = {"source", "intermediate", "final"}
BUCKETS = {*DATA, "access-logs"}


def _by_bucket(stack: Deployment, kind: str) -> dict[str, dict[str, Any]]:
    """Inputs of the settings of one kind, by the bucket's purpose."""
    prefix = f"superres-{stack.stack}-"
    return {
        r.inputs["bucket"].removeprefix(prefix).removesuffix(f"-{PLACE}"): dict(r.inputs)
        for r in stack.of(kind)
    }


def _statements(stack: Deployment, purpose: str) -> dict[str, dict[str, Any]]:
    document = json.loads(_by_bucket(stack, "BucketPolicy")[purpose]["policy"])
    return {statement["Sid"]: statement for statement in document["Statement"]}


def _rules(stack: Deployment, purpose: str) -> dict[str, dict[str, Any]]:
    rules = _by_bucket(stack, "BucketLifecycleConfiguration")[purpose]["rules"]
    return {rule["id"]: rule for rule in rules}


def test_changes_of_a_buckets_access_wait_for_each_other(stack: Deployment) -> None:
    """S3 answers OperationAborted to the second of two at a time."""
    blocks = {r.name: r.urn for r in stack.of("BucketPublicAccessBlock")}
    owned = {r.name: r for r in stack.of("BucketOwnershipControls")}
    for policy in stack.of("BucketPolicy"):
        assert owned[policy.name].urn in policy.waits_for
        assert blocks[policy.name] in owned[policy.name].waits_for


def test_there_are_four_buckets(stack: Deployment) -> None:
    assert {b.inputs["bucket"] for b in stack.of("Bucket")} == {
        bucket(stack.stack, purpose) for purpose in BUCKETS
    }


def test_a_buckets_name_is_the_same_every_time_and_another_elsewhere() -> None:
    name = bucket_name("superres-prod", "source", ACCOUNT, REGION)
    assert name == "superres-prod-source-eb805c6c3f"
    others = {
        bucket_name("superres-prod", "source", ACCOUNT, "eu-west-1"),
        bucket_name("superres-prod", "source", "210987654321", REGION),
        bucket_name("superres-dev", "source", ACCOUNT, REGION),
        bucket_name("superres-prod", "final", ACCOUNT, REGION),
    }
    assert len(others | {name}) == 5


def test_every_bucket_is_encrypted(stack: Deployment) -> None:
    encrypted = _by_bucket(stack, "BucketServerSideEncryptionConfiguration")
    assert set(encrypted) == BUCKETS
    for one in encrypted.values():
        (rule,) = one["rules"]
        assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
        assert rule["blockedEncryptionTypes"] == ["SSE-C"]


def test_by_setting_all_but_the_logs_lie_under_the_accounts_key(kms: Deployment) -> None:
    """Log delivery knows no other than S3's own."""
    key = kms.one("Key", "data").arn
    for purpose, one in _by_bucket(kms, "BucketServerSideEncryptionConfiguration").items():
        (rule,) = one["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        if purpose == "access-logs":
            assert default == {"sseAlgorithm": "AES256"}
        else:
            assert default == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
            assert rule["bucketKeyEnabled"] is True


def test_a_key_of_ones_own_is_used_instead_of_a_new_one() -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234-5678"
    stack = variant("dev", "encryption=kms", f"kms_key_arn={key}")
    assert [k.name for k in stack.of("Key")] == ["superres-dev-messages"]
    for purpose in DATA:
        (rule,) = _by_bucket(stack, "BucketServerSideEncryptionConfiguration")[purpose]["rules"]
        assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == key
    assert stack.one("Table", "").inputs["serverSideEncryption"]["kmsKeyArn"] == key
    assert {g.inputs["kmsKeyId"] for g in stack.of("LogGroup")} == {key}


def test_every_bucket_refuses_plain_http_and_old_tls(stack: Deployment) -> None:
    for purpose in BUCKETS:
        statements = _statements(stack, purpose)
        arn = f"arn:aws:s3:::{bucket(stack.stack, purpose)}"
        wanted = {
            "DenyPlainHttp": {"Bool": {"aws:SecureTransport": "false"}},
            "DenyOldTls": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        }
        for sid, condition in wanted.items():
            assert statements[sid] == {
                "Sid": sid,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": condition,
            }


def test_under_kms_nothing_is_put_under_another_key(kms: Deployment) -> None:
    key = kms.one("Key", "data").arn
    algorithm, key_id = (
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
    for purpose in DATA:
        denied = {
            sid: statement["Condition"]
            for sid, statement in _statements(kms, purpose).items()
            if statement["Action"] == "s3:PutObject" and statement["Effect"] == "Deny"
        }
        assert denied == {
            "DenyOtherAlgorithm": {
                "Null": {algorithm: "false"},
                "StringNotEquals": {algorithm: "aws:kms"},
            },
            "DenyUnnamedKey": {"Null": {algorithm: "false", key_id: "true"}},
            "DenyOtherKey": {"Null": {key_id: "false"}, "ArnNotEquals": {key_id: key}},
            "DenyCustomerKey": {
                "Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}
            },
        }


def test_what_is_asked_of_a_bucket_is_logged_under_its_own_prefix(stack: Deployment) -> None:
    logging = _by_bucket(stack, "BucketLogging")
    assert set(logging) == DATA
    for purpose, one in logging.items():
        assert one["targetBucket"] == bucket(stack.stack, "access-logs")
        assert one["targetPrefix"] == f"{purpose}/"
        assert one["targetObjectKeyFormat"] == {
            "partitionedPrefix": {"partitionDateSource": "EventTime"}
        }


def test_only_log_delivery_writes_logs_each_buckets_under_its_prefix(stack: Deployment) -> None:
    logs = f"arn:aws:s3:::{bucket(stack.stack, 'access-logs')}"
    statements = _statements(stack, "access-logs")
    allowed = [s for s in statements.values() if s["Effect"] == "Allow"]
    assert allowed == [
        {
            "Sid": f"AllowLogOf{purpose.capitalize()}",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{logs}/{purpose}/*",
            "Condition": {
                "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket(stack.stack, purpose)}"},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        }
        for purpose in ("source", "intermediate", "final")
    ]
    assert statements["DenyOtherWriters"]["Condition"] == {
        "Bool": {"aws:PrincipalIsAWSService": "false"}
    }


def test_what_cannot_be_made_again_is_versioned(stack: Deployment) -> None:
    versioned = _by_bucket(stack, "BucketVersioning")
    assert {n: v["versioningConfiguration"]["status"] for n, v in versioned.items()} == {
        "source": "Enabled",
        "final": "Enabled",
    }


def test_versions_are_a_setting_of_each_bucket_but_the_source() -> None:
    stack = variant("dev", "intermediate_versioned=true", "final_versioned=false")
    assert set(_by_bucket(stack, "BucketVersioning")) == {"source", "intermediate"}


def test_only_uploads_wake_somebody(stack: Deployment) -> None:
    assert _by_bucket(stack, "BucketNotification") == {
        "source": {"bucket": bucket(stack.stack, "source"), "eventbridge": True}
    }


@pytest.mark.parametrize("purpose", sorted(BUCKETS))
def test_leftovers_go_and_nothing_that_a_job_may_need(stack: Deployment, purpose: str) -> None:
    rules = _rules(stack, purpose)
    assert all(rule["status"] == "Enabled" for rule in rules.values())
    assert "abortIncompleteMultipartUpload" in rules["abort-incomplete-uploads"]
    old = rules["expire-noncurrent"]
    assert old["filter"] == {"prefix": ""}
    assert old["noncurrentVersionExpiration"]["noncurrentDays"] > JOB_DAYS_MAX
    assert old["expiration"] == {"expiredObjectDeleteMarker": True}
    if purpose == "intermediate":
        assert rules["expire"]["filter"] == {"prefix": JOBS}
        assert rules["expire"]["expiration"]["days"] > JOB_DAYS_MAX
    elif purpose == "access-logs":
        assert rules["expire"]["filter"] == {"prefix": ""}
        assert rules["expire"]["expiration"]["days"] == 90
    else:
        assert set(rules) == {"abort-incomplete-uploads", "expire-noncurrent"}


def test_results_move_and_go_by_setting() -> None:
    stack = variant("dev", "final_storage_class=STANDARD_IA", "final_days=365", "source_days=30")
    final, source = _rules(stack, "final"), _rules(stack, "source")
    assert final["move"]["filter"] == final["expire"]["filter"] == {"prefix": RESULTS}
    assert final["move"]["transitions"] == [{"days": 30, "storageClass": "STANDARD_IA"}]
    assert final["expire"]["expiration"] == {"days": 365}
    assert source["expire"]["filter"] == {"prefix": UPLOADS}
    assert source["expire"]["expiration"] == {"days": 30}


def test_who_reads_or_writes_a_bucket_may_use_its_key_through_s3_for_it_alone(
    kms: Deployment,
) -> None:
    read, write = "kms:Decrypt", "kms:GenerateDataKey"
    wanted = {
        "trigger": {"source": [read], "intermediate": [write]},
        "extract-job": {"source": [read], "intermediate": [read, write]},
        "process-job": {"source": [read], "intermediate": [read, write]},
        "recompose-job": {"intermediate": [read, write], "final": [read, write]},
        "job-state": {"intermediate": [read]},
        "extract-frames": {},
        "completion-notification": {},
        "workflow": {},
        "instance": {},
    }
    via = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
    for role, grants in wanted.items():
        found = {
            s["Sid"]: s
            for s in kms.statements(role)
            if s.get("Condition", {}).get("StringEquals") == via
        }
        assert {s.removeprefix("UseKeyOf").lower() for s in found} == set(grants), role
        for purpose, actions in grants.items():
            statement = found[f"UseKeyOf{purpose.capitalize()}"]
            arn = f"arn:aws:s3:::{bucket('dev', purpose)}"
            assert statement["Action"] == actions, role
            assert statement["Resource"] == [kms.one("Key", "data").arn]
            assert statement["Condition"]["StringLike"] == {
                "kms:EncryptionContext:aws:s3:arn": [arn, f"{arn}/*"]
            }


def test_without_kms_nobody_may_use_a_key_but_for_messages(stack: Deployment) -> None:
    key = stack.one("Key", "messages").arn
    for role, document in stack.policies():
        for statement in document["Statement"]:
            if any(action.startswith("kms:") for action in statement["Action"]):
                assert statement["Resource"] == [key], role


def test_the_registry_is_paid_by_use_encrypted_and_forgets_by_ttl(stack: Deployment) -> None:
    table = stack.one("Table", "").inputs
    assert table["billingMode"] == "PAY_PER_REQUEST"
    assert (table["hashKey"], table["rangeKey"]) == ("pk", "sk")
    assert table["ttl"] == {"attributeName": REGISTRY_TTL, "enabled": True}
    assert table["pointInTimeRecovery"] == {"enabled": True}
    assert table["serverSideEncryption"] == {"enabled": True}


def test_under_kms_who_uses_the_registry_may_decrypt_it_through_dynamodb(kms: Deployment) -> None:
    key = kms.one("Key", "data").arn
    table = kms.one("Table", "")
    assert table.inputs["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": key}
    users = 0
    for role, document in kms.policies():
        statements = {s["Sid"]: s for s in document["Statement"]}
        uses = any(a.startswith("dynamodb:") for s in statements.values() for a in s["Action"])
        assert uses == ("UseRegistryKey" in statements), role
        if uses:
            users += 1
            assert statements["UseRegistryKey"]["Action"] == ["kms:Decrypt"]
            assert statements["UseRegistryKey"]["Resource"] == [key]
            assert statements["UseRegistryKey"]["Condition"] == {
                "StringEquals": {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"},
                "StringLike": {"kms:EncryptionContext:aws:dynamodb:tableName": [table.name]},
            }
    assert users >= 6


def test_under_kms_each_log_group_is_one_that_the_key_lets_in(kms: Deployment) -> None:
    key = kms.one("Key", "data")
    (logs,) = [s for s in json.loads(key.inputs["policy"])["Statement"] if s["Sid"] == "AllowLogs"]
    assert logs["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
    patterns = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    for group in kms.of("LogGroup"):
        assert group.inputs["kmsKeyId"] == key.arn, group
        assert any(_matches(group.arn, pattern) for pattern in patterns), group


def _matches(arn: str, pattern: str) -> bool:
    head, star, _ = pattern.partition("*")
    return arn.startswith(head) if star else arn == pattern
