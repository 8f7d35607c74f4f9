"""The one logger and the one way to count: JSON lines, and metrics in embedded metric format."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from contracts.names import METRIC_NAMESPACE, PROJECT, Metric, Stage

logger = Logger(service=PROJECT, serialize_stacktrace=False)  # the traceback once is enough


def count(metric: Metric, stage: Stage | None = None) -> None:
    """Count one event, written at once so that a function that dies later has still counted.

    Dimensions: service, and stage where the metric is of a stage.
    """
    with single_metric(
        name=metric.value, unit=MetricUnit.Count, value=1, namespace=METRIC_NAMESPACE
    ) as emf:
        emf.add_dimension(name="service", value=PROJECT)
        if stage is not None:
            emf.add_dimension(name="stage", value=stage.value)
