"""The stage between decoder and encoder: runs batches through a model, several at once."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from containers.common.film.pictures import Picture
from containers.upscaler.models.upscaler import Pending, Upscaler
from containers.upscaler.repeated_frames import RepeatSkipper
from contracts.film.manifest import Shard


@dataclass(frozen=True)
class DecodedBatch:
    """Consecutive pictures of one shard, and what decoding them cost."""

    shard: Shard
    pictures: list[Picture]
    started: float
    """When decoding began, by time.perf_counter()."""
    decode_seconds: float
    decoded: int
    """How many pictures the decoder gave."""


@dataclass(frozen=True)
class UpscaledBatch:
    """A batch after the model, and what inference cost."""

    batch: DecodedBatch
    pictures: list[Picture]
    inference_seconds: float
    """Busy time of the device or of the host's part, whichever is longer: they overlap."""
    device_seconds: float
    computed: int
    """How many results the model computed."""
    repeated: int
    """How many pictures repeat their predecessor."""
    upscaler: Upscaler


@dataclass(frozen=True)
class _BegunBatch:
    batch: DecodedBatch
    pending: Pending
    host_seconds: float
    repeated: int


def upscale_batches(batches: Iterable[DecodedBatch], upscaler: Upscaler) -> Iterator[UpscaledBatch]:
    """Upscale all batches in order, with as many in flight as the upscaler asks for."""
    stage = _InferenceStage(upscaler)
    for batch in batches:
        stage.begin(batch)
        if stage.full:
            yield stage.finish_oldest()
    while stage.in_flight:
        yield stage.finish_oldest()


class _InferenceStage:
    def __init__(self, upscaler: Upscaler) -> None:
        self.in_flight: deque[_BegunBatch] = deque()
        self._upscaler = upscaler
        self._skipper = RepeatSkipper(upscaler)
        self._assigned_seconds = 0.0
        """Device time that finished batches account for."""

    @property
    def full(self) -> bool:
        return len(self.in_flight) >= self._upscaler.in_flight

    def begin(self, batch: DecodedBatch) -> None:
        started, before = time.perf_counter(), self._skipper.repeated
        pending = self._skipper.begin(batch.pictures)
        host = time.perf_counter() - started
        self.in_flight.append(_BegunBatch(batch, pending, host, self._skipper.repeated - before))

    def finish_oldest(self) -> UpscaledBatch:
        """Finish the oldest batch. Waiting for the device does not count as the host's work."""
        begun = self.in_flight.popleft()
        begun.pending.wait()
        started, before = time.perf_counter(), self._skipper.computed
        pictures = begun.pending.pictures()
        computed = self._skipper.computed - before
        host = begun.host_seconds + time.perf_counter() - started
        busy = self._upscaler.busy_seconds()
        device, self._assigned_seconds = busy - self._assigned_seconds, busy
        return UpscaledBatch(
            batch=begun.batch,
            pictures=pictures,
            inference_seconds=max(host, device),
            device_seconds=device,
            computed=computed,
            repeated=begun.repeated,
            upscaler=self._upscaler,
        )
