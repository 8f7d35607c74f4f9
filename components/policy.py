"""IAM policy documents: grants, and pure functions from values to dicts.

Every document of the program is made here and serialised by `to_json`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

ANY = "*"

Document = dict[str, Any]
Condition = Mapping[str, Mapping[str, str | list[str]]]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Permission to do a few actions on a few resources; one statement of a role's policy."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]
    condition: Condition | None = None
    reason: str = ""
    """Why AWS leaves nothing narrower than the resource "*"; obligatory there."""

    def __post_init__(self) -> None:
        if not self.sid.isalnum():
            raise ValueError(f"grant {self.sid!r}: a statement id has letters and digits only")
        if any(ANY in action for action in self.actions):
            raise ValueError(f"grant {self.sid}: name each action, without {ANY}")
        everything = any(isinstance(r, str) and r == ANY for r in self.resources)
        if everything and not self.reason:
            raise ValueError(f"grant {self.sid}: resource {ANY} needs a reason")

    def statement(self, resources: Sequence[str]) -> Document:
        """The statement, once the resources are known."""
        statement: Document = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(resources),
        }
        if self.condition:
            statement["Condition"] = {op: dict(keys) for op, keys in self.condition.items()}
        return statement


def to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document)


def document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def grants_json(grants: Iterable[Grant]) -> pulumi.Output[str]:
    """A role's policy. Raises ValueError where two grants have one statement id."""
    listed = tuple(grants)
    sids = [grant.sid for grant in listed]
    if len(set(sids)) != len(sids):
        raise ValueError(f"statement ids must differ, got {sids}")
    resources = pulumi.Output.all(*(pulumi.Output.all(*grant.resources) for grant in listed))
    return resources.apply(
        lambda all_resources: to_json(
            document(
                *(g.statement(r) for g, r in zip(listed, all_resources, strict=True)),
            )
        )
    )


def trust(service: str, account: str | None = None) -> Document:
    """Who may take the role: a service, and only on behalf of our account where it can say so."""
    statement: Document = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return document(statement)


def deny_plain_http(action: str, *resources: str) -> Document:
    """Statement of a resource policy: nobody may call without TLS."""
    return {
        "Sid": "DenyPlainHttp",
        "Effect": "Deny",
        "Principal": ANY,
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def allow_service(sid: str, service: str, action: str, resource: str, source_arn: str) -> Document:
    """Statement of a resource policy: a service may act, for one source only."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
    }


def bucket_policy(bucket_arn: str) -> Document:
    return document(deny_plain_http("s3:*", bucket_arn, f"{bucket_arn}/*"))


def topic_policy(topic_arn: str) -> Document:
    """Publishing is granted by the publishers' roles."""
    return document(deny_plain_http("sns:Publish", topic_arn))


def queue_policy(queue_arn: str, sender: Document | None = None) -> Document:
    """TLS only, and at most one service as sender; receiving is granted by roles."""
    statements = [deny_plain_http("sqs:*", queue_arn)]
    return document(*statements, *([sender] if sender else []))


def key_policy(partition: str, account: str) -> Document:
    """The key's account decides by IAM; without this statement nobody could manage the key."""
    return document(
        {
            "Sid": "AccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": ANY,
        }
    )
