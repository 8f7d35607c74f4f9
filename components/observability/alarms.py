"""What raises an alarm: pure functions from what is watched to alarms.

Each looks at a metric that exists, decides by name what silence means, and says what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from contracts.names import METRIC_NAMESPACE, Metric, Stage
from contracts.stack.metrics import METRICS, Dimension

Name = pulumi.Input[str]
Statistic = Literal["Sum", "Maximum", "SampleCount"]

MINUTE, HOUR = 60, 3600
GUIDE = "docs/operations.md"


@dataclass(frozen=True, kw_only=True)
class Look:
    """A metric with all its dimensions: CloudWatch finds it under no other set."""

    namespace: str
    metric: str
    dimensions: Mapping[str, Name]


def of_ours(metric: Metric, stack: str, stage: Stage | None = None) -> Look:
    given: dict[Dimension, str] = {Dimension.STACK: stack}
    if stage is not None:
        given[Dimension.STAGE] = stage.value
    wanted = METRICS[metric].dimensions
    return Look(
        namespace=METRIC_NAMESPACE,
        metric=metric.value,
        dimensions={dimension.value: given[dimension] for dimension in wanted},
    )


def of_queue(metric: str, queue: Name) -> Look:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html"""
    return Look(namespace="AWS/SQS", metric=metric, dimensions={"QueueName": queue})


def of_function(metric: str, function: Name) -> Look:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
    return Look(namespace="AWS/Lambda", metric=metric, dimensions={"FunctionName": function})


def of_workflow(metric: str, state_machine_arn: Name) -> Look:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""
    return Look(
        namespace="AWS/States", metric=metric, dimensions={"StateMachineArn": state_machine_arn}
    )


def of_rule(rule: Name) -> Look:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"""
    return Look(namespace="AWS/Events", metric="TriggeredRules", dimensions={"RuleName": rule})


@dataclass(frozen=True, kw_only=True)
class Alarm:
    look: Look
    statistic: Statistic
    period_seconds: int
    periods: int = 1
    """How many in a row must breach."""
    threshold: float
    below: bool = False
    """Breaches below the threshold, else from it on."""
    silence: Literal["breaching", "notBreaching"] = "notBreaching"
    """What no data means: mostly that there was no work."""
    says: str
    section: str
    """The section of docs/operations.md that says what to do."""

    @property
    def description(self) -> str:
        return f"{self.says} What to do: {GUIDE}, section '{self.section}'."


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a stack's operators watch, all names by short name."""

    stack: str
    queues: Mapping[str, Name]
    dlqs: Mapping[str, Name]
    functions: Mapping[str, Name]
    spot_rules: Mapping[str, Name]
    """Of notices that Spot instances go."""
    state_machine_arn: Name
    reconcile_minutes: int


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    failed_jobs: int = 3
    function_errors: int = 3
    queue_minutes: int = 30
    capacity_minutes: int = 60


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """All alarms of a stack, by short name."""

    watched: Watched
    thresholds: Thresholds = field(default_factory=Thresholds)

    def all(self) -> dict[str, Alarm]:
        return {
            **self._dead_letters(),
            **self._queues(),
            **self._functions(),
            **self._workflow(),
            **self._capacity(),
            "reconciler-silent": self._reconciler(),
        }

    def _dead_letters(self) -> dict[str, Alarm]:
        return {
            f"{name}-not-empty": Alarm(
                look=of_queue("ApproximateNumberOfMessagesVisible", queue),
                statistic="Maximum",
                period_seconds=5 * MINUTE,
                threshold=1,
                says=f"A message that nobody could handle lies in {name}; it is kept 14 days.",
                section="Dead letters",
            )
            for name, queue in self.watched.dlqs.items()
        }

    def _queues(self) -> dict[str, Alarm]:
        minutes = self.thresholds.queue_minutes
        return {
            f"{name}-slow": Alarm(
                look=of_queue("ApproximateAgeOfOldestMessage", queue),
                statistic="Maximum",
                period_seconds=5 * MINUTE,
                periods=2,
                threshold=minutes * MINUTE,
                says=f"A message has waited in {name} for {minutes} minutes.",
                section="A queue is slow",
            )
            for name, queue in self.watched.queues.items()
        }

    def _functions(self) -> dict[str, Alarm]:
        found: dict[str, Alarm] = {}
        errors = self.thresholds.function_errors
        for name, function in self.watched.functions.items():
            found[f"{name}-errors"] = Alarm(
                look=of_function("Errors", function),
                statistic="Sum",
                period_seconds=15 * MINUTE,
                threshold=errors,
                says=f"{name} failed {errors} times or more in 15 minutes.",
                section="A function fails",
            )
            found[f"{name}-throttled"] = Alarm(
                look=of_function("Throttles", function),
                statistic="Sum",
                period_seconds=5 * MINUTE,
                periods=3,
                threshold=1,
                says=f"{name} has been refused for 15 minutes: too many functions run at once.",
                section="A function is throttled",
            )
        return found

    def _workflow(self) -> dict[str, Alarm]:
        machine, failed = self.watched.state_machine_arn, self.thresholds.failed_jobs
        hourly = {"statistic": "Sum", "period_seconds": HOUR}
        return {
            "jobs-failed": Alarm(
                **hourly,
                look=of_ours(Metric.JOBS_FAILED, self.watched.stack),
                threshold=failed,
                says=f"{failed} jobs or more failed within an hour; their owners were told.",
                section="Jobs fail",
            ),
            "executions-failed": Alarm(
                **hourly,
                look=of_workflow("ExecutionsFailed", machine),
                threshold=failed,
                says=f"{failed} executions or more failed within an hour, by AWS's own count.",
                section="Jobs fail",
            ),
            "executions-timed-out": Alarm(
                **hourly,
                look=of_workflow("ExecutionsTimedOut", machine),
                threshold=1,
                says="A job took longer than any job may; its work was ended.",
                section="A job timed out",
            ),
            "executions-throttled": Alarm(
                look=of_workflow("ExecutionThrottled", machine),
                statistic="Sum",
                period_seconds=5 * MINUTE,
                periods=3,
                threshold=1,
                says="Step Functions has slowed executions down for 15 minutes.",
                section="The workflow is throttled",
            ),
        }

    def _capacity(self) -> dict[str, Alarm]:
        minutes = self.thresholds.capacity_minutes
        return {
            f"{stage.value}-waits": Alarm(
                look=of_ours(Metric.RUNNABLE_AGE_SECONDS, self.watched.stack, stage),
                statistic="Maximum",
                period_seconds=self._round_seconds,
                threshold=minutes * MINUTE,
                says=f"A job of stage {stage.value} has waited {minutes} minutes for an instance.",
                section="Jobs wait for capacity",
            )
            for stage in Stage
        }

    @property
    def _round_seconds(self) -> int:
        """A period that has a round of the reconciler in it, even a late one."""
        return 2 * self.watched.reconcile_minutes * MINUTE

    def _reconciler(self) -> Alarm:
        return Alarm(
            look=of_ours(Metric.RUNNING_JOBS, self.watched.stack),
            statistic="SampleCount",
            period_seconds=self._round_seconds,
            periods=2,
            threshold=1,
            below=True,
            silence="breaching",
            says="The reconciler has not finished a round for a while: lost events stay lost.",
            section="The reconciler is silent",
        )
