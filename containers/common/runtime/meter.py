"""What a worker tells of itself: metrics in embedded metric format, within its log lines."""

import time
from collections.abc import Callable
from typing import Any

from contracts.names import ExitCode, Metric, Stage
from contracts.stack.environ import WorkerEnvironment
from contracts.stack.metrics import Dimension, embedded_metrics

HOUR = 3600.0


class Meter:
    """Counts one attempt's time from its creation on.

    Each method gives members for a log line's `extra`; whoever logs them has told CloudWatch.
    Time is told bit by bit, so that a worker that dies has told most of its own.
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
        self._told = clock()

    def started(self, attempt: int) -> dict[str, Any]:
        """`attempt` counts from 1."""
        values = {Metric.WORKER_ATTEMPTS: 1.0, Metric.WORKER_RETRIES: float(attempt > 1)}
        return self._members(values)

    def shard(self, frames: int, seconds: float) -> dict[str, Any]:
        """A shard that this worker committed; `seconds` from its first frame to its last byte."""
        values = {Metric.SHARDS_COMMITTED: 1.0, Metric.FRAMES: float(frames)}
        if seconds > 0:
            values[Metric.FRAMES_PER_SECOND] = round(frames / seconds, 4)
        return self._members({**values, **self._time()})

    def ended(self, code: ExitCode) -> dict[str, Any]:
        interrupted = code is ExitCode.INTERRUPTED
        values = {
            Metric.WORKER_INTERRUPTIONS: float(interrupted),
            Metric.WORKER_FAILURES: float(code is not ExitCode.OK and not interrupted),
        }
        return self._members({**values, **self._time()})

    def _time(self) -> dict[Metric, float]:
        """Since it was told last."""
        now = self._clock()
        seconds, self._told = now - self._told, now
        values = {
            Metric.WORKER_SECONDS: round(seconds, 3),
            Metric.ESTIMATED_DOLLARS: round(seconds / HOUR * self._price, 8),
        }
        if self._gpus:
            values[Metric.GPU_SECONDS] = round(seconds * self._gpus, 3)
        return values

    def _members(self, values: dict[Metric, float]) -> dict[str, Any]:
        return embedded_metrics(values, self._dimensions, round(self._now() * 1000))
