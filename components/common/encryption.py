"""Keys: one for messages, one for data where the stack wants it, and grants to use them.

A grant names the service through which the key is used and what is encrypted, so that holding it
opens nothing else that the key protects.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.identity import KnownLocation, Location
from components.common.options import stateful
from components.common.policy import (
    ANY,
    Document,
    Grant,
    policy_document,
    to_json,
)

DELETION_DAYS = 30
"""The longest that AWS waits before a key that was deleted is gone, and with it all data."""
DECRYPT, ENCRYPT = "kms:Decrypt", "kms:GenerateDataKey"

CONTEXTS = {
    "s3": "aws:s3:arn",
    "sns": "aws:sns:topicArn",
    "sqs": "aws:sqs:arn",
    "dynamodb": "aws:dynamodb:tableName",
}
"""What each service binds its ciphertexts to."""
Service = Literal["s3", "sns", "sqs", "dynamodb"]


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """A key as a resource uses it: through one service, for what that resource holds."""

    key_arn: pulumi.Input[str]
    condition: Mapping[str, Mapping[str, pulumi.Input[str] | Sequence[pulumi.Input[str]]]]

    def grant(self, sid: str, *actions: str) -> Grant:
        return Grant(sid=sid, actions=actions, resources=(self.key_arn,), condition=self.condition)


@dataclass(frozen=True, kw_only=True)
class Key:
    """A symmetric key and where it is."""

    arn: pulumi.Input[str]
    location: Location

    def through(self, service: Service, *bound_to: pulumi.Input[str]) -> KeyUse:
        """For these resources of a service, by ARN or pattern (a table by its name)."""
        via = pulumi.Output.concat(service, ".", self.location.region, ".amazonaws.com")
        return KeyUse(
            key_arn=self.arn,
            condition={
                "StringEquals": {"kms:ViaService": via},
                "StringLike": {f"kms:EncryptionContext:{CONTEXTS[service]}": [*bound_to]},
            },
        )


def key_policy(at: KnownLocation, *statements: Document) -> Document:
    """The key's account decides by IAM; without this statement nobody could manage the key."""
    return policy_document(
        {
            "Sid": "AccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": at.arn("iam", "root", region=False)},
            "Action": "kms:*",
            "Resource": ANY,
        },
        *statements,
    )


def _allow(
    sid: str,
    service: str,
    condition: Mapping[str, Mapping[str, str | list[str]]],
    actions: Sequence[str] = (DECRYPT, ENCRYPT),
) -> Document:
    """Statement of a key policy: a service may use the key under a condition."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(actions),
        "Resource": ANY,
        "Condition": condition,
    }


def message_statements(at: KnownLocation, prefix: str, *, queues: bool) -> list[Document]:
    """Who beside roles publishes to topics, and sends to queues where these use the key too.

    EventBridge sends dead letters and names neither account nor rule to KMS: its statement can
    only be narrowed by what is encrypted; the queues' own policies name the rules.
    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    from_alarms: dict[str, dict[str, str | list[str]]] = {
        "StringEquals": {"aws:SourceAccount": at.account},
        "ArnLike": {"aws:SourceArn": at.arn("cloudwatch", f"alarm:{prefix}-*")},
    }
    statements = [_allow("AllowAlarms", "cloudwatch.amazonaws.com", from_alarms)]
    if not queues:
        return statements
    topics = at.arn("sns", f"{prefix}-*")
    ours = {"ArnLike": {"kms:EncryptionContext:aws:sqs:arn": at.arn("sqs", f"{prefix}-*")}}
    return [
        *statements,
        _allow("AllowTopics", "sns.amazonaws.com", {"ArnLike": {"aws:SourceArn": topics}}),
        _allow("AllowRules", "events.amazonaws.com", ours),
    ]


def data_statements(at: KnownLocation, prefix: str) -> list[Document]:
    """CloudWatch Logs, for the stack's groups alone, and the instances' volumes.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    groups = [
        at.arn("logs", f"log-group:/{prefix}/*"),
        at.arn("logs", f"log-group:/aws/vendedlogs/states/{prefix}"),
    ]
    logs = _allow(
        "AllowLogs",
        f"logs.{at.region}.amazonaws.com",
        {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        (
            DECRYPT,
            "kms:DescribeKey",
            "kms:Encrypt",
            ENCRYPT,
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
    )
    return [logs, _volumes(at)]


def _volumes(at: KnownLocation) -> Document:
    """Whoever starts instances for us, through EC2 alone: the policy of EBS's own key.

    Batch starts them by roles of other services, whose names are not ours to know.
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    """
    return {
        "Sid": "AllowVolumes",
        "Effect": "Allow",
        "Principal": {"AWS": ANY},
        "Action": [
            "kms:CreateGrant",
            DECRYPT,
            "kms:DescribeKey",
            ENCRYPT,
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        "Resource": ANY,
        "Condition": {
            "StringEquals": {
                "kms:CallerAccount": at.account,
                "kms:ViaService": f"ec2.{at.region}.amazonaws.com",
            }
        },
    }


@dataclass(frozen=True, kw_only=True)
class EncryptionArgs:
    location: Location
    prefix: str
    """Beginning of the names of the stack's resources."""
    mode: Literal["s3", "kms"]
    protect: bool
    key_arn: str | None = None
    """A key that exists already, for data; its policy must let CloudWatch Logs and EC2 in."""


class Encryption(pulumi.ComponentResource):
    """The stack's keys, rotated every year. Topics need one in any case: CloudWatch's alarms
    cannot publish under the key that SNS brings."""

    topics: Key
    queues: Key | None
    """None: SQS's own keys."""
    data: Key | None
    """Of buckets, job table, logs and volumes. None: keys that AWS owns."""

    def __init__(
        self, name: str, args: EncryptionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:encryption:Encryption", name, None, opts)
        self._args = args
        kms = args.mode == "kms"
        self.topics = self._key(
            f"{name}-messages",
            "messages",
            lambda at: message_statements(at, args.prefix, queues=kms),
        )
        self.queues = self.topics if kms else None
        self.data = None
        if kms and args.key_arn:
            self.data = Key(arn=args.key_arn, location=args.location)
        elif kms:
            self.data = self._key(
                f"{name}-data",
                "films, jobs, logs and volumes",
                lambda at: data_statements(at, args.prefix),
            )
        self.register_outputs({"messages": self.topics.arn})

    def _key(
        self,
        name: str,
        what: str,
        statements: Callable[[KnownLocation], list[Document]],
    ) -> Key:
        policy = self._args.location.known().apply(
            lambda at: to_json(key_policy(at, *statements(at)))
        )
        key = aws.kms.Key(
            name,
            description=f"{self._args.prefix}: {what}",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_DAYS,
            policy=policy,
            opts=stateful(self, protect=self._args.protect),
        )
        aws.kms.Alias(
            name,
            name=f"alias/{name}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Key(arn=key.arn, location=self._args.location)
