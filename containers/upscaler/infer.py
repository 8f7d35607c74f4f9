"""The stage between decoder and encoder: batches through a model, several under way at once."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from containers.common.film.pictures import Picture
from containers.upscaler.models.upscaler import Pending, Upscaler
from containers.upscaler.repeats import Repeats
from contracts.film.manifest import Shard


@dataclass(frozen=True)
class Batch:
    """Consecutive pictures of one shard on their way, and what they cost so far."""

    shard: Shard
    pictures: list[Picture]
    started: float
    decode_seconds: float
    decoded: int
    """Pictures that the decoder gave."""


@dataclass(frozen=True)
class Enlarged:
    """A batch behind the model."""

    batch: Batch
    pictures: list[Picture]
    inference_seconds: float
    """Of the device or of the host's part, whichever was busy longer: they overlap."""
    device_seconds: float
    computed: int
    repeated: int
    upscaler: Upscaler


@dataclass(frozen=True)
class _Begun:
    batch: Batch
    pending: Pending
    host_seconds: float
    repeated: int


def enlarged(batches: Iterable[Batch], upscaler: Upscaler) -> Iterator[Enlarged]:
    """Every batch in its order; the upscaler says how many it works on at once."""
    stage = _Stage(upscaler)
    for batch in batches:
        stage.begin(batch)
        if stage.full:
            yield stage.finished()
    while stage.under_way:
        yield stage.finished()


class _Stage:
    def __init__(self, upscaler: Upscaler) -> None:
        self.under_way: deque[_Begun] = deque()
        self._upscaler = upscaler
        self._repeats = Repeats(upscaler)
        self._told = 0.0
        """Of the device's time, what was ascribed to a batch."""

    @property
    def full(self) -> bool:
        return len(self.under_way) >= self._upscaler.in_flight

    def begin(self, batch: Batch) -> None:
        started, before = time.perf_counter(), self._repeats.count
        pending = self._repeats.begin(batch.pictures)
        host = time.perf_counter() - started
        self.under_way.append(_Begun(batch, pending, host, self._repeats.count - before))

    def finished(self) -> Enlarged:
        """The oldest batch; waits for the device, which is not the host's work."""
        begun = self.under_way.popleft()
        begun.pending.wait()
        started = time.perf_counter()
        before = self._repeats.computed
        pictures = begun.pending.pictures()
        computed = self._repeats.computed - before
        host = begun.host_seconds + time.perf_counter() - started
        busy = self._upscaler.busy_seconds()
        device, self._told = busy - self._told, busy
        return Enlarged(
            batch=begun.batch,
            pictures=pictures,
            inference_seconds=max(host, device),
            device_seconds=device,
            computed=computed,
            repeated=begun.repeated,
            upscaler=self._upscaler,
        )
