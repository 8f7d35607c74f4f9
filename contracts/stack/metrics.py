"""The metrics that our code emits: their units and dimensions, and how a log line carries them.

Code that emits, draws or watches a metric looks it up here, so that nothing watches a name, or
dimensions, that nothing emits.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.names import METRIC_NAMESPACE, Metric


class Dimension(StrEnum):
    """Stacks of one account share the namespace, so every metric names its stack."""

    STACK = "stack"
    STAGE = "stage"


class Unit(StrEnum):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html"""

    COUNT = "Count"
    SECONDS = "Seconds"
    PER_SECOND = "Count/Second"
    NONE = "None"
    """For dollars, for example: CloudWatch has no unit for them."""


@dataclass(frozen=True)
class MetricFacts:
    unit: Unit
    dimensions: tuple[Dimension, ...]


_OF_STACK = (Dimension.STACK,)
_OF_STAGE = (Dimension.STACK, Dimension.STAGE)

METRICS: dict[Metric, MetricFacts] = {
    Metric.JOBS_STARTED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.JOBS_REJECTED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.JOBS_SUCCEEDED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.JOBS_FAILED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.JOBS_CANCELLED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.STAGE_SUBMITTED: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.STAGE_SUCCEEDED: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.STAGE_FAILED: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.REPAIRED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.RUNNING_JOBS: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.RUNNABLE_AGE_SECONDS: MetricFacts(Unit.SECONDS, _OF_STAGE),
    Metric.WORKER_ATTEMPTS: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.WORKER_RETRIES: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.WORKER_FAILURES: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.WORKER_INTERRUPTIONS: MetricFacts(Unit.COUNT, _OF_STAGE),
    Metric.WORKER_SECONDS: MetricFacts(Unit.SECONDS, _OF_STAGE),
    Metric.GPU_SECONDS: MetricFacts(Unit.SECONDS, _OF_STAGE),
    Metric.ESTIMATED_DOLLARS: MetricFacts(Unit.NONE, _OF_STAGE),
    Metric.SHARDS_COMMITTED: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.FRAMES: MetricFacts(Unit.COUNT, _OF_STACK),
    Metric.FRAMES_PER_SECOND: MetricFacts(Unit.PER_SECOND, _OF_STACK),
}


def embedded_metrics(
    values: Mapping[Metric, float], dimensions: Mapping[Dimension, str], milliseconds: int
) -> dict[str, Any]:
    """Members that make a JSON log line carry metrics (embedded metric format).

    CloudWatch Logs finds them in everything that it receives by PutLogEvents, so that the awslogs
    driver needs no option for them.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    directives: dict[tuple[Dimension, ...], list[dict[str, str]]] = defaultdict(list)
    for metric in values:
        facts = METRICS[metric]
        directives[facts.dimensions].append({"Name": metric.value, "Unit": facts.unit.value})
    used = sorted({dimension for listed in directives for dimension in listed})
    return {
        "_aws": {
            "Timestamp": milliseconds,
            "CloudWatchMetrics": [
                {
                    "Namespace": METRIC_NAMESPACE,
                    "Dimensions": [[dimension.value for dimension in listed]],
                    "Metrics": metrics,
                }
                for listed, metrics in directives.items()
            ],
        },
        **{dimension.value: dimensions[dimension] for dimension in used},
        **{metric.value: value for metric, value in values.items()},
    }
