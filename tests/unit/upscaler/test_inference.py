"""Batches through a model: in order, as many under way as it says, each with what it cost."""

import gc
import weakref
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.common.film.pictures import Picture
from containers.upscaler.inference import DecodedBatch, upscale_batches
from containers.upscaler.models.upscaler import Pending, Upscaler
from contracts.film.manifest import Shard

SHARD = Shard(index=0, first_frame=0, frames=100)


class Device(Upscaler):
    """Adds one to every sample, a second of its own time a batch, `in_flight` batches at once."""

    device = "fake"
    versions: Mapping[str, str] = {}

    def __init__(self, in_flight: int) -> None:
        self._in_flight = in_flight
        self.begun = self.finished = 0

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def tile(self) -> int:
        return 0

    def device_memory_mib(self) -> int:
        return 0

    def busy_seconds(self) -> float:
        return float(self.finished)

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        self.begun += 1
        assert self.begun - self.finished <= self._in_flight

        def wait() -> None:
            self.finished += 1

        def made() -> list[Picture]:
            return [Picture(p.pts, p.pixel_format, (p.planes[0] + 1,)) for p in pictures]

        return Pending(made, wait)


def film(values: Sequence[Sequence[int]]) -> Iterator[DecodedBatch]:
    pts = 0
    for batch in values:
        pictures = []
        for value in batch:
            pictures.append(Picture(pts, "gray", (np.full((1, 1), value, np.uint8),)))
            pts += 1
        yield DecodedBatch(SHARD, pictures, 0.0, 0.0, decoded=len(pictures))


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_order_and_values_do_not_depend_on_how_many_are_under_way(
    values: list[list[int]], in_flight: int
) -> None:
    done = list(upscale_batches(film(values), Device(in_flight)))
    pictures = [p for part in done for p in part.pictures]
    assert [int(p.planes[0][0, 0]) for p in pictures] == [v + 1 for batch in values for v in batch]
    assert [p.pts for p in pictures] == list(range(len(pictures)))


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_model_gets_as_many_batches_as_it_asks_for_before_the_first_is_awaited(
    in_flight: int,
) -> None:
    model = Device(in_flight)
    stage = upscale_batches(film([[n] for n in range(10)]), model)
    next(stage)
    assert (model.begun, model.finished) == (in_flight, 1)
    assert len(list(stage)) == 9
    assert model.finished == 10


def test_each_batch_bears_the_devices_time_its_results_and_its_repeats() -> None:
    done = list(upscale_batches(film([[1], [1], [2, 2]]), Device(2)))
    assert [part.repeated for part in done] == [0, 1, 1]
    assert [part.computed for part in done] == [1, 0, 1]
    assert [part.device_seconds for part in done] == [1, 0, 1]
    assert all(part.inference_seconds >= part.device_seconds for part in done)


def test_batches_that_are_done_are_let_go() -> None:
    seen = []
    for part in upscale_batches(film([[n] for n in range(6)]), Device(2)):
        seen.append(weakref.ref(part.pictures[0].planes[0]))
        del part
    gc.collect()
    assert [reference() is not None for reference in seen].count(True) == 0
