"""IAM policy documents: grants, and pure functions from values to dicts.

Every document of the program is made here and serialised by `to_json`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi

ANY = "*"

Document = dict[str, Any]
Condition = Mapping[str, Mapping[str, pulumi.Input[str] | Sequence[pulumi.Input[str]]]]


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

    def statement(self) -> pulumi.Output[Document]:
        """The statement, once resources and conditions are known."""
        known: dict[str, pulumi.Output[Any]] = {"Resource": pulumi.Output.all(*self.resources)}
        if self.condition:
            known["Condition"] = pulumi.Output.from_input(
                {operator: dict(keys) for operator, keys in self.condition.items()}
            )
        head = {"Sid": self.sid, "Effect": "Allow", "Action": list(self.actions)}
        return pulumi.Output.all(**known).apply(lambda rest: {**head, **rest})

    def join(self, other: "Grant") -> "Grant":
        """One grant for both. Raises ValueError where they differ in more than their actions."""
        mine, others = (self.resources, self.condition), (other.resources, other.condition)
        if mine != others:
            raise ValueError(f"grant {self.sid} is given twice, for different things")
        return replace(self, actions=tuple(sorted({*self.actions, *other.actions})))


def to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document)


def policy_document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def grants_json(grants: Iterable[Grant]) -> pulumi.Output[str]:
    """A role's policy; grants of one statement id become one statement.

    Raises ValueError where they differ in more than their actions.
    """
    joined: dict[str, Grant] = {}
    for grant in grants:
        known = joined.get(grant.sid)
        joined[grant.sid] = known.join(grant) if known else grant
    statements = pulumi.Output.all(*(grant.statement() for grant in joined.values()))
    return pulumi.Output.json_dumps(statements.apply(lambda known: policy_document(*known)))


def trust(service: str, account: str | None = None) -> Document:
    """Who may take the role: a service, and only on behalf of our account where it can say so."""
    statement: Document = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return policy_document(statement)


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


def allow_service(
    sid: str, service: str, action: str, resource: str, source_arn: str, account: str | None = None
) -> Document:
    """Statement of a resource policy: a service may act for this source only, a resource or a
    pattern of such, and where the service says so of this account."""
    condition = {"ArnLike" if ANY in source_arn else "ArnEquals": {"aws:SourceArn": source_arn}}
    if account:
        condition["StringEquals"] = {"aws:SourceAccount": account}
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }


def topic_policy(topic_arn: str, *senders: Document) -> Document:
    """Publishing is granted by the publishers' roles, and here to services."""
    return policy_document(deny_plain_http("sns:Publish", topic_arn), *senders)


def queue_policy(queue_arn: str, *senders: Document) -> Document:
    """TLS only, and only these services as senders; receiving is granted by roles."""
    return policy_document(deny_plain_http("sqs:*", queue_arn), *senders)
