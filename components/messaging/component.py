"""Topics and queues: each stage's work travels topic -> queue -> function, and has a DLQ."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.common.encryption import (
    DECRYPT,
    ENCRYPT,
    Encryption,
    Key,
)
from components.common.identity import KnownLocation, Link, Location
from components.common.policy import (
    Document,
    Grant,
    allow_service,
    to_json,
    topic_policy,
)
from components.messaging.queues import (
    DLQ_RETENTION_SECONDS,
    Queue,
    Senders,
    dead_letters,
    make_queue,
)
from contracts.names import STATUS_ATTRIBUTE, JobStatus, Stage

MAX_RECEIVES = 5
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for 5 or more."""
VISIBILITY_FACTOR = 6
"""Same page: a queue's visibility timeout is at least six times its function's timeout."""
RETENTION_SECONDS = 4 * 24 * 3600

STAGE_TOPICS: dict[Stage, str] = {
    Stage.EXTRACT: "extract-frames",
    Stage.PROCESS: "processing",
    Stage.RECOMPOSE: "recomposition",
}
NOTIFICATION_TOPIC = "notification"
EMAIL_TOPIC = "email-notification"

Audience = Literal["everything", "failures", "alarms"]
FILTERS: dict[Audience, tuple[str, dict[str, Any]]] = {
    "failures": (
        "MessageAttributes",
        {STATUS_ATTRIBUTE: [JobStatus.FAILED.value, JobStatus.TIMED_OUT.value]},
    ),
    "alarms": ("MessageBody", {"AlarmName": [{"exists": True}]}),
}
"""An alarm has no attributes, and no filter on attributes lets such a message pass, not even
`exists: false`. Its body is JSON, unlike that of our own mails, so each audience needs its own
filter.
https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html"""


@dataclass(frozen=True, kw_only=True)
class TopicArgs:
    key: Key


class Topic(pulumi.ComponentResource):
    """An encrypted topic; publishing takes TLS and a role's grant."""

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: TopicArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:messaging:Topic", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, kms_master_key_id=args.key.arn, opts=child)
        aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=topic.arn.apply(lambda arn: to_json(topic_policy(arn))),
            opts=child,
        )
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})


def _redrive(dlq: Queue) -> pulumi.Output[str]:
    """Of a subscription: what could not be delivered goes to the DLQ."""
    return pulumi.Output.json_dumps({"deadLetterTargetArn": dlq.arn})


def _from_topic(topic_arn: pulumi.Output[str]) -> Senders:
    def senders(queue_arn: str) -> list[pulumi.Input[Document]]:
        statement = topic_arn.apply(
            lambda arn: allow_service(
                "AllowTopic", "sns.amazonaws.com", "sqs:SendMessage", queue_arn, arn
            )
        )
        return [statement]

    return senders


@dataclass(frozen=True, kw_only=True)
class ChannelArgs:
    encryption: Encryption
    function_timeout_seconds: int
    """Of the function that reads the queue."""


class Channel(pulumi.ComponentResource):
    """A topic, the queue that one function reads, and the DLQ of both queue and subscription."""

    topic_arn: pulumi.Output[str]
    queue: Queue
    dlq: Queue

    def __init__(
        self, name: str, args: ChannelArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:messaging:Channel", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = Topic(name, TopicArgs(key=args.encryption.topics), child)
        senders, key = _from_topic(topic.arn), args.encryption.queues
        self.dlq = make_queue(f"{name}-dlq", self, key, retention_seconds=DLQ_RETENTION_SECONDS)
        dlq_policy = self.dlq.set_policy(f"{name}-dlq", self, senders)
        self.queue = make_queue(
            name,
            self,
            key,
            visibility_timeout_seconds=VISIBILITY_FACTOR * args.function_timeout_seconds,
            retention_seconds=RETENTION_SECONDS,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": self.dlq.arn, "maxReceiveCount": MAX_RECEIVES}
            ),
        )
        self.dlq.set_redrive(f"{name}-dlq", self, self.queue)
        policy = self.queue.set_policy(name, self, senders)
        aws.sns.TopicSubscription(
            name,
            topic=topic.arn,
            protocol="sqs",
            endpoint=self.queue.arn,
            raw_message_delivery=True,
            redrive_policy=_redrive(self.dlq),
            # a message that arrives before the policies would be lost
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, dlq_policy]),
        )
        self.topic_arn = topic.arn
        self.register_outputs({"topic_arn": self.topic_arn, "queue_arn": self.queue.arn})


@dataclass(frozen=True, kw_only=True)
class MailboxArgs:
    location: Location
    encryption: Encryption
    prefix: str
    """Beginning of the names of the stack's alarms."""
    subscribers: Mapping[str, Audience]
    """By e-mail address."""


class Mailbox(pulumi.ComponentResource):
    """The e-mail topic, its readers, and what could not be delivered to them.

    Alarms publish here by themselves: through a function of ours, that function's own alarm would
    be lost.
    """

    topic_arn: pulumi.Output[str]
    dlq: Queue

    def __init__(
        self, name: str, args: MailboxArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:messaging:Mailbox", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, kms_master_key_id=args.encryption.topics.arn, opts=child)
        known = pulumi.Output.all(at=args.location.known(), topic_arn=topic.arn)
        aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=known.apply(lambda known: to_json(mailbox_policy(prefix=args.prefix, **known))),
            opts=child,
        )
        self.dlq = dead_letters(f"{name}-dlq", self, args.encryption.queues, _from_topic(topic.arn))
        for address, audience in args.subscribers.items():
            scope, wanted = FILTERS.get(audience, (None, None))
            aws.sns.TopicSubscription(
                f"{name}-{hashlib.sha256(address.encode()).hexdigest()[:8]}",
                topic=topic.arn,
                protocol="email",
                endpoint=address,
                redrive_policy=_redrive(self.dlq),
                filter_policy_scope=scope,
                filter_policy=to_json(wanted) if wanted else None,
                opts=child,
            )
        self.topic_arn = topic.arn
        self.register_outputs({"topic_arn": self.topic_arn})


def mailbox_policy(at: KnownLocation, prefix: str, topic_arn: str) -> Document:
    """Roles publish by their own grants; the stack's alarms by this.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    alarms = at.arn("cloudwatch", f"alarm:{prefix}-*")
    service = "cloudwatch.amazonaws.com"
    return topic_policy(
        topic_arn,
        allow_service("AllowAlarms", service, "sns:Publish", topic_arn, alarms, at.account),
    )


@dataclass(frozen=True, kw_only=True)
class MessagingArgs:
    location: Location
    encryption: Encryption
    prefix: str
    """Beginning of the names of the stack's alarms."""
    function_timeout_seconds: int
    subscribers: Mapping[str, Audience]
    """By e-mail address."""


class Messaging(pulumi.ComponentResource):
    """Five topics under one key: three stages, the notification and the e-mail."""

    stages: dict[Stage, Channel]
    notification: Channel
    email_topic_arn: pulumi.Output[str]
    """Also an action for alarms: they may publish there, and use its key."""
    email_dlq: Queue

    def __init__(
        self, name: str, args: MessagingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:messaging:Messaging", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._key = args.encryption.topics
        channel = ChannelArgs(
            encryption=args.encryption, function_timeout_seconds=args.function_timeout_seconds
        )
        self.stages = {
            stage: Channel(f"{name}-{topic}", channel, child)
            for stage, topic in STAGE_TOPICS.items()
        }
        self.notification = Channel(f"{name}-{NOTIFICATION_TOPIC}", channel, child)
        mailbox = MailboxArgs(
            location=args.location,
            encryption=args.encryption,
            prefix=args.prefix,
            subscribers=args.subscribers,
        )
        email = Mailbox(f"{name}-{EMAIL_TOPIC}", mailbox, child)
        self.email_topic_arn = email.topic_arn
        self.email_dlq = email.dlq
        self.register_outputs({"email_topic_arn": self.email_topic_arn})

    @property
    def channels(self) -> dict[str, Channel]:
        """Queues with their DLQs, by the topic's short name."""
        stages = {STAGE_TOPICS[stage]: channel for stage, channel in self.stages.items()}
        return {**stages, NOTIFICATION_TOPIC: self.notification}

    def grant_publish(self, *topic_arns: pulumi.Input[str]) -> Link:
        """Publish to these topics, which takes the use of their key."""
        key = self._key.through("sns", *topic_arns)
        return Link(
            grants=(
                Grant(sid="Publish", actions=("sns:Publish",), resources=topic_arns),
                key.grant("UseTopicKey", DECRYPT, ENCRYPT),
            )
        )
