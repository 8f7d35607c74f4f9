"""Topics and queues: each stage's work travels topic -> queue -> function, and has a DLQ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.identity import Link, Place
from components.policy import (
    Document,
    Grant,
    allow_service,
    key_policy,
    queue_policy,
    to_json,
    topic_policy,
)
from contracts.names import Stage

MAX_RECEIVES = 5
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for 5 or more."""
VISIBILITY_FACTOR = 6
"""Same page: a queue's visibility timeout is at least six times its function's timeout."""
RETENTION_SECONDS = 4 * 24 * 3600
DLQ_RETENTION_SECONDS = 14 * 24 * 3600

STAGE_TOPICS: dict[Stage, str] = {
    Stage.EXTRACT: "extract-frames",
    Stage.PROCESS: "processing",
    Stage.RECOMPOSE: "recomposition",
}
NOTIFICATION_TOPIC = "notification"
EMAIL_TOPIC = "email-notification"


def dead_letters(
    name: str,
    parent: pulumi.Resource,
    sender: Callable[[str], pulumi.Input[Document]] | None = None,
) -> aws.sqs.Queue:
    """An encrypted queue for what nobody could handle, kept 14 days.

    `sender` gives, for the queue's ARN, the statement by which a service may send to it.
    """
    child = pulumi.ResourceOptions(parent=parent)
    queue = aws.sqs.Queue(
        name,
        message_retention_seconds=DLQ_RETENTION_SECONDS,
        sqs_managed_sse_enabled=True,
        opts=child,
    )
    statement = queue.arn.apply(lambda arn: sender(arn) if sender else None)
    policy = pulumi.Output.all(queue.arn, statement).apply(lambda a: to_json(queue_policy(*a)))
    aws.sqs.QueuePolicy(name, queue_url=queue.url, policy=policy, opts=child)
    return queue


@dataclass(frozen=True, kw_only=True)
class TopicArgs:
    key: aws.kms.Key


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


@dataclass(frozen=True, kw_only=True)
class ChannelArgs:
    key: aws.kms.Key
    function_timeout_seconds: int
    """Of the function that reads the queue."""


class Channel(pulumi.ComponentResource):
    """A topic, the queue that one function reads, and the queue's DLQ."""

    topic_arn: pulumi.Output[str]
    queue_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ChannelArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:messaging:Channel", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = Topic(name, TopicArgs(key=args.key), child)
        dlq = dead_letters(f"{name}-dlq", self)
        queue = aws.sqs.Queue(
            name,
            visibility_timeout_seconds=VISIBILITY_FACTOR * args.function_timeout_seconds,
            message_retention_seconds=RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            redrive_policy=dlq.arn.apply(
                lambda arn: to_json({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES})
            ),
            opts=child,
        )
        policy = aws.sqs.QueuePolicy(
            name,
            queue_url=queue.url,
            policy=pulumi.Output.all(queue.arn, topic.arn).apply(
                lambda a: to_json(queue_policy(a[0], _from_topic(a[0], a[1])))
            ),
            opts=child,
        )
        aws.sns.TopicSubscription(
            name,
            topic=topic.arn,
            protocol="sqs",
            endpoint=queue.arn,
            raw_message_delivery=True,
            # a message that arrives before the policy would be lost
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.topic_arn = topic.arn
        self.queue_arn = queue.arn
        self.register_outputs({"topic_arn": self.topic_arn, "queue_arn": self.queue_arn})


def _from_topic(queue_arn: str, topic_arn: str) -> Document:
    return allow_service("AllowTopic", "sns.amazonaws.com", "sqs:SendMessage", queue_arn, topic_arn)


@dataclass(frozen=True, kw_only=True)
class MessagingArgs:
    place: Place
    function_timeout_seconds: int
    email_addresses: Sequence[str]


class Messaging(pulumi.ComponentResource):
    """Five topics under one key: three stages, the notification and the e-mail.

    The key is the account's own and not alias/aws/sns, under which alarms could not publish.
    """

    stages: dict[Stage, Channel]
    notification: Channel
    email_topic_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: MessagingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:messaging:Messaging", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            f"{name}-topics",
            description=f"{name}: messages in topics",
            enable_key_rotation=True,
            policy=pulumi.Output.all(args.place.partition, args.place.account).apply(
                lambda a: to_json(key_policy(*a))
            ),
            opts=child,
        )
        aws.kms.Alias(
            f"{name}-topics", name=f"alias/{name}-topics", target_key_id=key.key_id, opts=child
        )
        self._key_arn = key.arn
        channel = ChannelArgs(key=key, function_timeout_seconds=args.function_timeout_seconds)
        self.stages = {
            stage: Channel(f"{name}-{topic}", channel, child)
            for stage, topic in STAGE_TOPICS.items()
        }
        self.notification = Channel(f"{name}-{NOTIFICATION_TOPIC}", channel, child)
        email = Topic(f"{name}-{EMAIL_TOPIC}", TopicArgs(key=key), child)
        for number, address in enumerate(args.email_addresses):
            aws.sns.TopicSubscription(
                f"{name}-{EMAIL_TOPIC}-{number}",
                topic=email.arn,
                protocol="email",
                endpoint=address,
                opts=child,
            )
        self.email_topic_arn = email.arn
        self.register_outputs({"email_topic_arn": self.email_topic_arn})

    def publish(self, *topic_arns: pulumi.Input[str]) -> Link:
        """Publish to these topics, which takes the use of their key."""
        return Link(
            grants=(
                Grant(sid="Publish", actions=("sns:Publish",), resources=topic_arns),
                Grant(
                    sid="UseTopicKey",
                    actions=("kms:Decrypt", "kms:GenerateDataKey"),
                    resources=(self._key_arn,),
                ),
            )
        )
