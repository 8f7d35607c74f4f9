"""The one logger (JSON lines) and the one way to write metrics (embedded metric format)."""

import os

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from contracts.names import METRIC_NAMESPACE, PROJECT, Metric, Stage
from contracts.stack.environ import Environment
from contracts.stack.metrics import METRICS, Dimension

logger = Logger(service=PROJECT, serialize_stacktrace=False)  # the traceback once is enough


def count(metric: Metric, stage: Stage | None = None, times: int = 1) -> None:
    """Count events, written at once so that a function that dies later has still counted."""
    _emit(metric, times, stage)


def gauge(metric: Metric, value: float, stage: Stage | None = None) -> None:
    """Write a value as it is now."""
    _emit(metric, value, stage)


def _emit(metric: Metric, value: float, stage: Stage | None) -> None:
    """Raises ValueError for a stage's metric without a stage, and the other way round."""
    facts = METRICS[metric]
    given = {Dimension.STACK: Environment.stack_of(os.environ)}
    if stage is not None:
        given[Dimension.STAGE] = stage.value
    if set(given) != set(facts.dimensions):
        raise ValueError(f"{metric}: got {', '.join(given)}, it has {', '.join(facts.dimensions)}")
    unit = MetricUnit(facts.unit.value)
    with single_metric(
        name=metric.value, unit=unit, value=value, namespace=METRIC_NAMESPACE
    ) as emf:
        for dimension, name in given.items():
            emf.add_dimension(name=dimension.value, value=name)
