"""Lifecycle rules of buckets: pure functions from values to dicts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from typing import Any

ABORT_UPLOAD_DAYS = 7

Rule = dict[str, Any]


def upkeep(noncurrent_days: int) -> list[Rule]:
    """What every bucket wants, also one whose versioning was switched off again: parts of
    uploads that were never completed, replaced and deleted versions, and delete markers that
    hide nothing, go."""
    return [
        _rule(
            "abort-incomplete-uploads",
            "",
            abort_incomplete_multipart_upload={"days_after_initiation": ABORT_UPLOAD_DAYS},
        ),
        _rule(
            "expire-noncurrent",
            "",
            noncurrent_version_expiration={"noncurrent_days": noncurrent_days},
            expiration={"expired_object_delete_marker": True},
        ),
    ]


def expire(prefix: str, days: int | None) -> list[Rule]:
    """Objects under a prefix go after so many days; None: never."""
    return [_rule("expire", prefix, expiration={"days": days})] if days else []


def move(prefix: str, storage_class: str, days: int) -> list[Rule]:
    """Objects under a prefix (from 128 KiB on) move to another storage class."""
    if storage_class == "STANDARD":
        return []
    return [_rule("move", prefix, transitions=[{"days": days, "storage_class": storage_class}])]


def _rule(name: str, prefix: str, **actions: Any) -> Rule:
    return {"id": name, "status": "Enabled", "filter": {"prefix": prefix}, **actions}
