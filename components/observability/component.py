"""What a stack shows its operators: a dashboard, alarms that send e-mails, and a budget.

Log groups stand with whatever writes them; `components.common.logs` gives each its retention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.identity import Location
from components.common.policy import to_json
from components.compute.interruptions import Interruptions
from components.functions import Functions
from components.messaging.component import Messaging
from components.observability.alarms import (
    Alarm,
    Alarms,
    Thresholds,
    Watched,
)
from components.observability.dashboard import dashboard_body

BUDGET_SHARES = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Percent of the budget at which mails go out. AWS forecasts after five weeks of use."""


@dataclass(frozen=True, kw_only=True)
class ObservabilityArgs:
    location: Location
    stack: str
    messaging: Messaging
    functions: Functions
    interruptions: Interruptions
    state_machine_arn: pulumi.Input[str]
    job_log: pulumi.Input[str]
    """Name of the log group of the Batch jobs."""
    reconcile_minutes: int
    thresholds: Thresholds
    alarms: bool
    dashboard: bool
    monthly_budget_dollars: int | None
    budget_addresses: Sequence[str]
    """E-mail addresses; a budget reaches people without the e-mail topic's filters."""


class Observability(pulumi.ComponentResource):
    """Alarms, dashboard and budget, as the stack's settings want them."""

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:observability:Observability", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        watched = _watched(args)
        alarms = Alarms(watched=watched, thresholds=args.thresholds).all() if args.alarms else {}
        arns = [self._alarm(short, alarm).arn for short, alarm in alarms.items()]
        if args.dashboard:
            self._dashboard(watched, arns)
        if args.monthly_budget_dollars is not None:
            self._budget(args.monthly_budget_dollars)
        self.register_outputs({"alarms": len(arns)})

    def _alarm(self, short: str, alarm: Alarm) -> aws.cloudwatch.MetricAlarm:
        side = "LessThanThreshold" if alarm.below else "GreaterThanOrEqualToThreshold"
        topic = self._args.messaging.email_topic_arn
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{short}",
            alarm_description=alarm.description,
            namespace=alarm.look.namespace,
            metric_name=alarm.look.metric,
            dimensions=alarm.look.dimensions,
            statistic=alarm.statistic,
            period=alarm.period_seconds,
            evaluation_periods=alarm.periods,
            threshold=alarm.threshold,
            comparison_operator=side,
            treat_missing_data=alarm.silence,
            alarm_actions=[topic],
            ok_actions=[topic],
            opts=self._child,
        )

    def _dashboard(self, watched: Watched, alarm_arns: Sequence[pulumi.Output[str]]) -> None:
        args = self._args
        known = pulumi.Output.all(
            region=args.location.region,
            alarms=pulumi.Output.all(*alarm_arns),
            job_log=args.job_log,
            queues=pulumi.Output.all(**watched.queues),
            dlqs=pulumi.Output.all(**watched.dlqs),
            spot_rules=pulumi.Output.all(**watched.spot_rules),
            state_machine_arn=watched.state_machine_arn,
        )
        aws.cloudwatch.Dashboard(
            self._name,
            dashboard_name=self._name,
            dashboard_body=known.apply(lambda names: to_json(_page(args, names))),
            opts=self._child,
        )

    def _budget(self, dollars: int) -> None:
        """Counts what carries the stack's tag, once it is activated as a cost allocation tag."""
        aws.budgets.Budget(
            self._name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(dollars),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:stack${self._args.stack}"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": share,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": list(self._args.budget_addresses),
                }
                for kind, share in BUDGET_SHARES
            ],
            opts=self._child,
        )


def _watched(args: ObservabilityArgs) -> Watched:
    channels, functions = args.messaging.channels, args.functions.functions
    dlqs = {
        **{f"{name}-dlq": channel.dlq.name for name, channel in channels.items()},
        "email-notification-dlq": args.messaging.email_dlq.name,
        **{f"{name}-dlq": f.dlq.name for name, f in functions.items() if f.dlq is not None},
        "spot-dlq": args.interruptions.dlq.name,
    }
    return Watched(
        stack=args.stack,
        queues={name: channel.queue.name for name, channel in channels.items()},
        dlqs=dlqs,
        functions={name: function.function_name for name, function in functions.items()},
        spot_rules=args.interruptions.rules,
        state_machine_arn=args.state_machine_arn,
        reconcile_minutes=args.reconcile_minutes,
    )


def _page(args: ObservabilityArgs, names: Mapping[str, Any]) -> dict[str, Any]:
    """The dashboard, once all names are known."""
    watched = Watched(
        stack=args.stack,
        queues=names["queues"],
        dlqs=names["dlqs"],
        functions={},
        spot_rules=names["spot_rules"],
        state_machine_arn=names["state_machine_arn"],
        reconcile_minutes=args.reconcile_minutes,
    )
    return dashboard_body(
        watched,
        region=names["region"],
        alarm_arns=names["alarms"],
        job_log=names["job_log"],
        limits={
            "queue": args.thresholds.queue_minutes * 60,
            "capacity": args.thresholds.capacity_minutes * 60,
        },
    )
