"""Queues: encrypted, TLS only, with grants for those who send and those who read."""

from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.encryption import (
    DECRYPT,
    ENCRYPT,
    Key,
)
from components.common.policy import (
    Document,
    Grant,
    queue_policy,
    to_json,
)

DLQ_RETENTION_SECONDS = 14 * 24 * 3600
KEY_REUSE_SECONDS = 300
"""How long SQS keeps a data key before it asks for another."""

Senders = Callable[[str], list[pulumi.Input[Document]]]
"""Statements by which services may send to a queue, for the queue's ARN."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue, as its senders and readers see it."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    url: pulumi.Output[str]
    key: Key | None
    """None: SQS's own."""

    def grant_send(self, sid: str) -> tuple[Grant, ...]:
        send = Grant(sid=sid, actions=("sqs:SendMessage",), resources=(self.arn,))
        return (send, *self._use_key(sid, DECRYPT, ENCRYPT))

    def grant_read(self, sid: str) -> tuple[Grant, ...]:
        """What an event source mapping does with its function's role."""
        actions = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
        read = Grant(sid=sid, actions=actions, resources=(self.arn,))
        return (read, *self._use_key(sid, DECRYPT))

    def _use_key(self, sid: str, *actions: str) -> tuple[Grant, ...]:
        return (self.key.through("sqs", self.arn).grant(f"{sid}Key", *actions),) if self.key else ()

    def set_policy(
        self, name: str, parent: pulumi.Resource, senders: Senders | None = None
    ) -> aws.sqs.QueuePolicy:
        """Allow TLS only, and these services as senders."""
        statements = self.arn.apply(
            lambda arn: pulumi.Output.all(*(senders(arn) if senders else ()))
        )
        policy = pulumi.Output.all(queue_arn=self.arn, statements=statements).apply(
            lambda known: to_json(queue_policy(known["queue_arn"], *known["statements"]))
        )
        return aws.sqs.QueuePolicy(
            name, queue_url=self.url, policy=policy, opts=pulumi.ResourceOptions(parent=parent)
        )

    def set_redrive(self, name: str, parent: pulumi.Resource, source: "Queue | None") -> None:
        """As dead letter queue: of this queue only, or of none (but of functions and topics)."""
        allowed = (
            {"redrivePermission": "byQueue", "sourceQueueArns": [source.arn]}
            if source
            else {"redrivePermission": "denyAll"}
        )
        aws.sqs.RedriveAllowPolicy(
            name,
            queue_url=self.url,
            redrive_allow_policy=pulumi.Output.json_dumps(allowed),
            opts=pulumi.ResourceOptions(parent=parent),
        )


def make_queue(
    name: str,
    parent: pulumi.Resource,
    key: Key | None,
    *,
    retention_seconds: int,
    visibility_timeout_seconds: int | None = None,
    redrive_policy: pulumi.Input[str] | None = None,
) -> Queue:
    """A queue under the key, or under SQS's own."""
    queue = aws.sqs.Queue(
        name,
        sqs_managed_sse_enabled=None if key else True,
        kms_master_key_id=key.arn if key else None,
        kms_data_key_reuse_period_seconds=KEY_REUSE_SECONDS if key else None,
        message_retention_seconds=retention_seconds,
        visibility_timeout_seconds=visibility_timeout_seconds,
        redrive_policy=redrive_policy,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return Queue(name=queue.name, arn=queue.arn, url=queue.url, key=key)


def dead_letters(
    name: str, parent: pulumi.Resource, key: Key | None, senders: Senders | None = None
) -> Queue:
    """A queue for what nobody could handle, kept 14 days; it is no other queue's DLQ.

    `senders` gives, for the queue's ARN, the statements by which services may send to it.
    """
    queue = make_queue(name, parent, key, retention_seconds=DLQ_RETENTION_SECONDS)
    queue.set_policy(name, parent, senders)
    queue.set_redrive(name, parent, None)
    return queue
