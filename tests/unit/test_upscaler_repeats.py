"""Repeats: the same bytes as computing every picture, and no picture computed twice in a row."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.upscaler.models import Frames
from containers.upscaler.repeats import Repeats
from contracts.models import Engine, ModelName
from tests.unit.model_support import load
from tests.unit.upscaler_support import texture


class Doubling:
    """Stands for a model; counts what it is given."""

    device, tile = "cpu", 0
    versions: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.given = 0

    def device_memory_mib(self) -> int:
        return 0

    def upscale(self, frames: Frames) -> Frames:
        self.given += len(frames)
        return frames * 2


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=8))
def test_each_run_of_equal_pictures_is_computed_once(batches: list[list[int]]) -> None:
    model = Doubling()
    repeats = Repeats(model)
    shown = [n for batch in batches for n in batch]
    results = [
        repeats.upscale(np.array(batch, np.uint8).reshape(-1, 1, 1, 1)).ravel().tolist()
        for batch in batches
    ]
    assert [n for batch in results for n in batch] == [2 * n for n in shown]
    changes = 1 + sum(a != b for a, b in itertools.pairwise(shown))
    assert (model.given, repeats.count) == (changes, len(shown) - changes)


@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
def test_results_are_the_bytes_of_computing_every_picture(weights: Path, engine: Engine) -> None:
    a, b = texture(24, 32, 0), texture(24, 32, 1)
    film = np.concatenate([a, a, b, b, b, a])
    batches = [film[:3], film[3:5], film[5:]]
    load_one = lambda: load(weights, ModelName.ANIMEVIDEOV3, 24, 32, batch=3, engine=engine)  # noqa: E731
    plain, repeats = load_one(), Repeats(load_one())
    expected = [plain.upscale(batch) for batch in batches]
    found = [repeats.upscale(batch) for batch in batches]
    assert [x.tobytes() for x in found] == [x.tobytes() for x in expected]
    assert repeats.count == 3


def test_a_picture_that_differs_in_one_level_is_computed() -> None:
    model = Doubling()
    repeats = Repeats(model)
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[1, 3, 3, 2] = 1
    repeats.upscale(frames)
    assert model.given == 2
