"""Which KMS key encrypts a resource of the emulator, and how KMS sees its use."""

from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import dynamodb, kms, s3, sns, sqs

from local.emulator import iam

NEEDS = {
    "ministack.core.responses": ("get_account_id", "get_region"),
    "ministack.services.dynamodb": ("_tables",),
    "ministack.services.kms": ("key_policy_for_arn",),
    "ministack.services.s3": ("_bucket_default_sse_headers",),
    "ministack.services.sns": ("_topic_by_arn_any_scope",),
    "ministack.services.sqs": ("_queue_by_arn",),
}

DECRYPT, ENCRYPT = "kms:Decrypt", "kms:GenerateDataKey"
_READS, _WRITES, _BOTH = (DECRYPT,), (ENCRYPT,), (DECRYPT, ENCRYPT)
_NEEDED = {
    "s3:GetObject": _READS,
    "s3:GetObjectVersion": _READS,
    "s3:PutObject": _WRITES,
    "sns:Publish": _BOTH,
    "sqs:SendMessage": _BOTH,
    "sqs:ReceiveMessage": _READS,
    **{
        f"dynamodb:{action}": _READS
        for action in ("DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
    },
}
"""Which uses of its resource's key a call needs."""


@dataclass(frozen=True)
class KmsKeyUse:
    """A key, and how its use looks to KMS."""

    key_arn: str
    context: dict[str, str]
    """Condition keys, in small letters."""


def use_of(resource_arn: str) -> KmsKeyUse | None:
    """For a bucket's object, a topic, a queue or a table; None if the key is AWS's own."""
    service, _, resource = resource_arn.removeprefix("arn:aws:").partition(":")
    if service == "s3":
        bucket = resource.lstrip(":").partition("/")[0]
        headers = s3._bucket_default_sse_headers(bucket)
        key = headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        return _use("s3", key, "aws:s3:arn", f"arn:aws:s3:::{bucket}")
    if service == "sns":
        key = _attribute(sns._topic_by_arn_any_scope(resource_arn))
        return _use(service, key, "aws:sns:topicArn", resource_arn)
    if service == "sqs":
        key = _attribute(sqs._queue_by_arn(resource_arn))
        return _use(service, key, "aws:sqs:arn", resource_arn)
    if service == "dynamodb":
        table = resource.rpartition(":")[2].removeprefix("table/").partition("/")[0]
        described = (dynamodb._tables.get(table) or {}).get("SSEDescription") or {}
        return _use(service, described.get("KMSMasterKeyArn"), "aws:dynamodb:tableName", table)
    return None


def needed_by(action: str, resource_arn: str, *, of_parts: bool) -> list[tuple[str, KmsKeyUse]]:
    """Actions on keys that a call needs beside its own.

    An upload in parts reads what it wrote:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
    """
    actions = _BOTH if of_parts and action == "s3:PutObject" else _NEEDED.get(action, ())
    use = use_of(resource_arn) if actions else None
    return [(one, use) for one in actions] if use else []


def refusal(resource_arn: str, principal: str, source_arn: str | None) -> str | None:
    """Why a service may not send to the resource under its key; None if it may.

    `source_arn` is what the service acts for. EventBridge passes none to KMS.
    """
    use = use_of(resource_arn)
    if use is None:
        return None
    policy = kms.key_policy_for_arn(use.key_arn)
    context = dict(use.context)
    if source_arn:
        context |= {"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()}
    for action in _BOTH:
        if policy is None or not iam.policy_allows_in(
            policy[0], principal, action, use.key_arn, context
        ):
            return f"the policy of {use.key_arn} does not allow {action} by {principal}"
    return None


def _attribute(holder: dict[str, Any] | None) -> str | None:
    return (holder or {}).get("attributes", {}).get("KmsMasterKeyId")


def _use(service: str, key: str | None, bound: str, to: str) -> KmsKeyUse | None:
    if not key or ":key/" not in key:
        return None
    via = f"{service}.{get_region()}.amazonaws.com"
    return KmsKeyUse(key, {"kms:viaservice": via, f"kms:encryptioncontext:{bound}".lower(): to})
