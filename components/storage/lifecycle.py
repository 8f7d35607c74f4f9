"""Lifecycle rules of buckets: pure functions from values to dicts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

import pulumi_aws as aws

ABORT_UPLOAD_DAYS = 7

Rule = aws.s3.BucketLifecycleConfigurationRuleArgsDict


def upkeep(noncurrent_days: int) -> list[Rule]:
    """What every bucket needs, even one whose versioning has been switched off again: remove
    parts of uploads that were never completed, versions that were replaced or deleted, and
    delete markers that hide nothing."""
    return [
        {
            **_rule("abort-incomplete-uploads"),
            "abort_incomplete_multipart_upload": {"days_after_initiation": ABORT_UPLOAD_DAYS},
        },
        {
            **_rule("expire-noncurrent"),
            "noncurrent_version_expiration": {"noncurrent_days": noncurrent_days},
            "expiration": {"expired_object_delete_marker": True},
        },
    ]


def expire(prefix: str, days: int | None) -> list[Rule]:
    """Delete objects under a prefix after this many days; None: never."""
    return [{**_rule("expire", prefix), "expiration": {"days": days}}] if days else []


def move(prefix: str, storage_class: str, days: int) -> list[Rule]:
    """Move objects under a prefix (of 128 KiB or more) to another storage class."""
    if storage_class == "STANDARD":
        return []
    transition: aws.s3.BucketLifecycleConfigurationRuleTransitionArgsDict = {
        "days": days,
        "storage_class": storage_class,
    }
    return [{**_rule("move", prefix), "transitions": [transition]}]


def _rule(name: str, prefix: str = "") -> Rule:
    """A rule that does nothing yet."""
    return {"id": name, "status": "Enabled", "filter": {"prefix": prefix}}
