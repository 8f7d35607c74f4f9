"""A worker's metrics: in embedded metric format, within its log lines."""

import time
from collections.abc import Callable
from typing import Any

from contracts.names import ExitCode, Metric, Stage
from contracts.stack.environ import WorkerEnvironment
from contracts.stack.metrics import Dimension, embedded_metrics

HOUR = 3600.0


class Meter:
    """Counts the time of one attempt, from the meter's creation on.

    Each method returns fields for a log line's `extra`; logging them publishes the metrics. Each
    call reports the time since the last, so that a worker that dies has reported most of its own.
    """

    def __init__(
        self,
        stage: Stage,
        environment: WorkerEnvironment,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._dimensions = {Dimension.STACK: environment.stack, Dimension.STAGE: stage.value}
        self._gpus, self._price = environment.gpus, environment.dollars_per_hour
        self._clock, self._now = clock, now
        self._reported = clock()

    def started(self, attempt: int) -> dict[str, Any]:
        """`attempt` counts from 1."""
        values = {Metric.WORKER_ATTEMPTS: 1.0, Metric.WORKER_RETRIES: float(attempt > 1)}
        return self._fields(values)

    def shard(self, frames: int, seconds: float) -> dict[str, Any]:
        """A shard that this worker committed; `seconds` from its first frame to its last byte."""
        values = {Metric.SHARDS_COMMITTED: 1.0, Metric.FRAMES: float(frames)}
        if seconds > 0:
            values[Metric.FRAMES_PER_SECOND] = round(frames / seconds, 4)
        return self._fields({**values, **self._time()})

    def ended(self, code: ExitCode) -> dict[str, Any]:
        interrupted = code is ExitCode.INTERRUPTED
        values = {
            Metric.WORKER_INTERRUPTIONS: float(interrupted),
            Metric.WORKER_FAILURES: float(code is not ExitCode.OK and not interrupted),
        }
        return self._fields({**values, **self._time()})

    def _time(self) -> dict[Metric, float]:
        """Since it was last reported."""
        now = self._clock()
        seconds, self._reported = now - self._reported, now
        values = {
            Metric.WORKER_SECONDS: round(seconds, 3),
            Metric.ESTIMATED_DOLLARS: round(seconds / HOUR * self._price, 8),
        }
        if self._gpus:
            values[Metric.GPU_SECONDS] = round(seconds * self._gpus, 3)
        return values

    def _fields(self, values: dict[Metric, float]) -> dict[str, Any]:
        return embedded_metrics(values, self._dimensions, round(self._now() * 1000))
