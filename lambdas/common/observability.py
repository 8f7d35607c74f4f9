"""The one logger and the one way to count: JSON lines, and metrics in embedded metric format."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from contracts.names import METRIC_NAMESPACE, PROJECT, Metric, Stage

logger = Logger(service=PROJECT, serialize_stacktrace=False)  # the traceback once is enough


def count(metric: Metric, stage: Stage | None = None, times: int = 1) -> None:
    """Count events, written at once so that a function that dies later has still counted."""
    _emit(metric, MetricUnit.Count, times, stage)


def gauge(metric: Metric, value: float, stage: Stage | None = None) -> None:
    """Say how things stand now; the metric's name tells its unit."""
    seconds = metric.value.endswith("Seconds")
    _emit(metric, MetricUnit.Seconds if seconds else MetricUnit.Count, value, stage)


def _emit(metric: Metric, unit: MetricUnit, value: float, stage: Stage | None) -> None:
    """Dimensions: service, and stage where the metric is of a stage."""
    with single_metric(
        name=metric.value, unit=unit, value=value, namespace=METRIC_NAMESPACE
    ) as emf:
        emf.add_dimension(name="service", value=PROJECT)
        if stage is not None:
            emf.add_dimension(name="stage", value=stage.value)
