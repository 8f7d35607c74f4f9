"""A Pulumi program: the workflow's machine with real topics and queues, but no functions.

Its variations have one thing wrong each: a limit of one second, or a topic that it may not use.
"""

import copy
import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from components.common.policy import (
    allow_service,
    policy_document,
    to_json,
    trust,
)
from components.workflow import State, Topics, definition
from contracts.names import Stage

NAMES = (*(stage.value for stage in Stage), "notification")


def channel(name: str) -> aws.sns.Topic:
    topic, queue = aws.sns.Topic(name), aws.sqs.Queue(name)
    policy = pulumi.Output.all(queue.arn, topic.arn).apply(
        lambda a: to_json(
            policy_document(allow_service("Topic", "sns.amazonaws.com", "sqs:SendMessage", *a))
        )
    )
    allowed = aws.sqs.QueuePolicy(name, queue_url=queue.url, policy=policy)
    aws.sns.TopicSubscription(
        name,
        topic=topic.arn,
        protocol="sqs",
        endpoint=queue.arn,
        raw_message_delivery=True,
        opts=pulumi.ResourceOptions(depends_on=[allowed]),
    )
    pulumi.export(name, queue.url)
    return topic


def role(name: str, arns: Mapping[str, str]) -> pulumi.Output[str]:
    """May publish to all topics but that of its own name."""
    allowed = [arn for topic, arn in arns.items() if topic != name]
    statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": allowed}
    made = aws.iam.Role(name, assume_role_policy=to_json(trust("states.amazonaws.com")))
    policy = aws.iam.RolePolicy(name, role=made.name, policy=to_json(policy_document(statement)))
    return pulumi.Output.all(made.arn, policy.id).apply(lambda known: known[0])


def hurried(machine: State, state: str | None) -> State:
    """With one second for a state, or for the whole."""
    machine = copy.deepcopy(machine)
    (machine["States"][state] if state else machine)["TimeoutSeconds"] = 1
    return machine


def machines(arns: dict[str, str]) -> dict[str, str]:
    topics = Topics(
        stages={stage: arns[stage.value] for stage in Stage}, notification=arns["notification"]
    )
    good = definition(topics)
    made = {"machine": (good, role("anything", arns))}
    made["hurried-extract"] = (hurried(good, "Extract"), made["machine"][1])
    made["hurried"] = (hurried(good, None), made["machine"][1])
    for name in NAMES:
        made[f"without-{name}"] = (good, role(name, arns))
    for name, (text, role_arn) in made.items():
        aws.sfn.StateMachine(name, name=name, role_arn=role_arn, definition=json.dumps(text))
    return dict.fromkeys(made, "deployed")


published = pulumi.Output.all(**{name: channel(name).arn for name in NAMES})
pulumi.export("machines", published.apply(machines))
