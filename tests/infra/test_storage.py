"""Buckets and the registry."""

import json
from typing import Any

from components.settings.storage import JOB_DAYS_MAX
from contracts.keys import JOBS
from contracts.messages import REGISTRY_TTL
from tests.infra.recorder import Deployment

BUCKETS = {"source", "intermediate", "final"}


def _by_bucket(stack: Deployment, kind: str) -> dict[str, dict[str, Any]]:
    """Inputs of the settings of one kind, by the bucket's short name."""
    prefix = f"superres-{stack.stack}-"
    return {r.inputs["bucket"].removeprefix(prefix): dict(r.inputs) for r in stack.of(kind)}


def test_there_are_three_buckets(stack: Deployment) -> None:
    assert {b.name.rsplit("-", 1)[1] for b in stack.of("Bucket")} == BUCKETS


def test_every_bucket_shuts_out_the_public(stack: Deployment) -> None:
    blocks = _by_bucket(stack, "BucketPublicAccessBlock")
    owners = _by_bucket(stack, "BucketOwnershipControls")
    assert set(blocks) == set(owners) == BUCKETS
    for block in blocks.values():
        assert [v for k, v in block.items() if k != "bucket"] == [True] * 4
    for owner in owners.values():
        assert owner["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_every_bucket_is_encrypted(stack: Deployment) -> None:
    encrypted = _by_bucket(stack, "BucketServerSideEncryptionConfiguration")
    assert set(encrypted) == BUCKETS
    for bucket in encrypted.values():
        (rule,) = bucket["rules"]
        assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


def test_every_bucket_refuses_plain_http_and_old_tls(stack: Deployment) -> None:
    policies = _by_bucket(stack, "BucketPolicy")
    assert set(policies) == BUCKETS
    for name, bucket in policies.items():
        plain, old = json.loads(bucket["policy"])["Statement"][:2]
        arn = f"arn:aws:s3:::superres-{stack.stack}-{name}"
        for statement in (plain, old):
            assert statement["Effect"] == "Deny"
            assert statement["Principal"] == "*"
            assert statement["Action"] == "s3:*"
            assert statement["Resource"] == [arn, f"{arn}/*"]
        assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert old["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}


def test_what_cannot_be_made_again_is_versioned(stack: Deployment) -> None:
    versioned = _by_bucket(stack, "BucketVersioning")
    assert {n: v["versioningConfiguration"]["status"] for n, v in versioned.items()} == {
        "source": "Enabled",
        "final": "Enabled",
    }


def test_only_uploads_wake_somebody(stack: Deployment) -> None:
    assert _by_bucket(stack, "BucketNotification") == {
        "source": {"bucket": f"superres-{stack.stack}-source", "eventbridge": True}
    }


def test_nothing_expires_while_a_job_may_need_it(stack: Deployment) -> None:
    rules = {n: b["rules"] for n, b in _by_bucket(stack, "BucketLifecycleConfiguration").items()}
    assert set(rules) == BUCKETS
    for bucket in rules.values():
        assert "abortIncompleteMultipartUpload" in bucket[0]
        assert all(rule["status"] == "Enabled" for rule in bucket)
    (expire,) = rules["intermediate"][1:]
    assert expire["filter"] == {"prefix": JOBS}
    assert expire["expiration"]["days"] > JOB_DAYS_MAX
    for name in ("source", "final"):
        (old,) = rules[name][1:]
        assert old["noncurrentVersionExpiration"]["noncurrentDays"] > JOB_DAYS_MAX
        assert old["expiration"] == {"expiredObjectDeleteMarker": True}


def test_the_registry_is_paid_by_use_encrypted_and_forgets_by_ttl(stack: Deployment) -> None:
    table = stack.one("Table", "").inputs
    assert table["billingMode"] == "PAY_PER_REQUEST"
    assert (table["hashKey"], table["rangeKey"]) == ("pk", "sk")
    assert table["ttl"] == {"attributeName": REGISTRY_TTL, "enabled": True}
    assert table["pointInTimeRecovery"] == {"enabled": True}
    assert table["serverSideEncryption"] == {"enabled": True}
