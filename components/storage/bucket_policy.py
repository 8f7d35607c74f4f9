"""Policies of buckets: pure functions from values to statements."""

from components.common.policy import (
    ANY,
    Document,
    allow_service,
    deny_plain_http,
    policy_document,
)

TLS_VERSION = "1.2"

_ALGORITHM = "s3:x-amz-server-side-encryption"
_KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_CUSTOMER = "s3:x-amz-server-side-encryption-customer-algorithm"


def bucket_policy(bucket_arn: str, *statements: Document) -> Document:
    """TLS only, and these statements."""
    return policy_document(*_deny_weak_transport(bucket_arn), *statements)


def _deny_weak_transport(bucket_arn: str) -> list[Document]:
    objects = f"{bucket_arn}/*"
    return [
        deny_plain_http("s3:*", bucket_arn, objects),
        {
            "Sid": "DenyOldTls",
            "Effect": "Deny",
            "Principal": ANY,
            "Action": "s3:*",
            "Resource": [bucket_arn, objects],
            "Condition": {"NumericLessThan": {"s3:TlsVersion": TLS_VERSION}},
        },
    ]


def deny_other_keys(bucket_arn: str, key_arn: str) -> list[Document]:
    """Statements: what is put is encrypted under this key, or not put.

    A request without any of these headers gets the bucket's default, which is that key, and
    passes: negated operators hold for absent keys, so each header is asked for first. The
    header aws:kms without a key means the key alias/aws/s3, and is refused too.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    conditions: dict[str, dict[str, dict[str, str]]] = {
        "DenyOtherAlgorithm": {
            "Null": {_ALGORITHM: "false"},
            "StringNotEquals": {_ALGORITHM: "aws:kms"},
        },
        "DenyUnnamedKey": {"Null": {_ALGORITHM: "false", _KEY: "true"}},
        "DenyOtherKey": {"Null": {_KEY: "false"}, "ArnNotEquals": {_KEY: key_arn}},
        "DenyCustomerKey": {"Null": {_CUSTOMER: "false"}},
    }
    return [
        {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": ANY,
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/*",
            "Condition": condition,
        }
        for sid, condition in conditions.items()
    ]


def allow_log_delivery(logs_arn: str, bucket_arn: str, prefix: str, account: str) -> Document:
    """Statement: S3 may deliver one bucket's access log under its prefix.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    name = "".join(part.capitalize() for part in prefix.strip("/").split("-"))
    return allow_service(
        f"AllowLogOf{name}",
        "logging.s3.amazonaws.com",
        "s3:PutObject",
        f"{logs_arn}/{prefix}*",
        bucket_arn,
        account,
    )


def deny_other_writers(logs_arn: str) -> Document:
    """Statement: no role or user writes into the logs, whatever else it may do.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return {
        "Sid": "DenyOtherWriters",
        "Effect": "Deny",
        "Principal": ANY,
        "Action": "s3:PutObject",
        "Resource": f"{logs_arn}/*",
        "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
    }
