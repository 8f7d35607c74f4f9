"""Spot instances that AWS takes back: logged, and counted by EventBridge itself.

The rules see every Spot instance of the account and region, for the events carry no tags; the
instance's id in the record tells whose it was. AWS/Events TriggeredRules by RuleName counts them.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.encryption import Key
from components.common.events import (
    Pattern,
    rebalance_recommended,
    spot_interrupted,
)
from components.common.logs import LogSettings, log_group
from components.common.policy import (
    Document,
    allow_service,
    policy_document,
    to_json,
)
from components.messaging.queues import Queue, dead_letters


@dataclass(frozen=True, kw_only=True)
class InterruptionsArgs:
    logs: LogSettings
    dlq_key: Key | None
    """Of the queue for what could not be written. None: SQS's own."""


def delivery_policy(group_arn: str, rule_arns: list[str]) -> Document:
    """Lets two rules write to a log group.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    services = {"Service": ["delivery.logs.amazonaws.com", "events.amazonaws.com"]}
    streams = f"{group_arn}:*"
    return policy_document(
        {
            "Sid": "OpenStream",
            "Effect": "Allow",
            "Principal": services,
            "Action": "logs:CreateLogStream",
            "Resource": streams,
        },
        {
            "Sid": "WriteEvents",
            "Effect": "Allow",
            "Principal": services,
            "Action": "logs:PutLogEvents",
            "Resource": streams,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arns}},
        },
    )


class Interruptions(pulumi.ComponentResource):
    """Two rules with one log group: two minutes' notice, and the warning before it."""

    rules: dict[str, pulumi.Output[str]]
    """Names of the rules, by which AWS/Events counts."""
    dlq: Queue

    def __init__(
        self, name: str, args: InterruptionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:interruptions:Interruptions", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        group = log_group(f"{name}-spot", f"/{name}/spot", args.logs, self._child)
        interruption = self._rule(
            f"{name}-spot-interruption", "A Spot instance goes in two minutes", spot_interrupted()
        )
        rebalance = self._rule(
            f"{name}-spot-rebalance", "A Spot instance may go soon", rebalance_recommended()
        )
        rules = [interruption, rebalance]
        self.dlq = dead_letters(
            f"{name}-spot-dlq",
            self,
            args.dlq_key,
            lambda arn: [
                _from_rule(sid, arn, rule.arn)
                for sid, rule in (("Interruption", interruption), ("Rebalance", rebalance))
            ],
        )
        policy = aws.cloudwatch.LogResourcePolicy(
            f"{name}-spot",
            policy_name=f"{name}-spot",
            policy_document=pulumi.Output.all(
                group_arn=group.arn, rule_arns=pulumi.Output.all(*(rule.arn for rule in rules))
            ).apply(lambda known: to_json(delivery_policy(**known))),
            opts=self._child,
        )
        for rule, suffix in zip(rules, ("interruption", "rebalance"), strict=True):
            aws.cloudwatch.EventTarget(
                f"{name}-spot-{suffix}",
                rule=rule.name,
                arn=group.arn,
                dead_letter_config={"arn": self.dlq.arn},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.rules = {"interruption": interruption.name, "rebalance": rebalance.name}
        self.register_outputs({"rules": self.rules})

    def _rule(self, name: str, about: str, pattern: Pattern) -> aws.cloudwatch.EventRule:
        return aws.cloudwatch.EventRule(
            name, description=about, event_pattern=to_json(pattern), opts=self._child
        )


def _from_rule(sid: str, queue_arn: str, rule_arn: pulumi.Output[str]) -> pulumi.Output[Document]:
    return rule_arn.apply(
        lambda rule: allow_service(
            f"Allow{sid}", "events.amazonaws.com", "sqs:SendMessage", queue_arn, rule
        )
    )
