"""Repeats: the same bytes as computing every picture, and no picture computed twice in a row."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.common.film.pictures import Picture
from containers.upscaler.models.upscaler import Pending, Upscaler
from containers.upscaler.repeated_frames import RepeatSkipper
from contracts.models import Engine, ModelName
from tests.unit.upscaler.models.support import load
from tests.unit.upscaler.support import coded, texture


class Doubling(Upscaler):
    """Stands for a model; counts what it is given."""

    device = "cpu"
    versions: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.given = 0

    @property
    def tile(self) -> int:
        return 0

    def device_memory_mib(self) -> int:
        return 0

    def busy_seconds(self) -> float:
        return 0.0

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        self.given += len(pictures)
        made = [Picture(p.pts, p.pixel_format, tuple(x * 2 for x in p.planes)) for p in pictures]
        return Pending(lambda: made)


def grey(value: int, pts: int = 0) -> Picture:
    return Picture(pts, "gray", (np.full((1, 1), value, np.uint8),))


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=8))
def test_each_run_of_equal_pictures_is_computed_once(batches: list[list[int]]) -> None:
    model = Doubling()
    repeats = RepeatSkipper(model)
    shown = [n for batch in batches for n in batch]
    numbers = itertools.count()
    given = [[grey(n, next(numbers)) for n in batch] for batch in batches]
    results = [picture for batch in given for picture in repeats.begin(batch).pictures()]
    assert [int(picture.planes[0][0, 0]) for picture in results] == [2 * n for n in shown]
    assert [picture.pts for picture in results] == list(range(len(shown)))
    changes = 1 + sum(a != b for a, b in itertools.pairwise(shown))
    assert (model.given, repeats.repeated) == (changes, len(shown) - changes)


@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
def test_results_are_the_bytes_of_computing_every_picture(weights: Path, engine: Engine) -> None:
    a, b = texture(24, 32, 0), texture(24, 32, 1)
    film = coded(np.concatenate([a, a, b, b, b, a]))
    batches = [film[:3], film[3:5], film[5:]]
    load_one = lambda: load(weights, ModelName.ANIMEVIDEOV3, 24, 32, batch=3, engine=engine)  # noqa: E731
    plain, repeats = load_one(), RepeatSkipper(load_one())
    expected = [plain.upscale(batch) for batch in batches]
    found = [repeats.begin(batch).pictures() for batch in batches]
    for left, right in zip(itertools.chain(*expected), itertools.chain(*found), strict=True):
        assert left.pts == right.pts
        assert [x.tobytes() for x in left.planes] == [x.tobytes() for x in right.planes]
    assert repeats.repeated == 3


def test_a_picture_that_differs_in_one_level_is_computed() -> None:
    model = Doubling()
    repeats = RepeatSkipper(model)
    planes = [np.zeros((4, 4), np.uint8) for _ in range(4)]
    planes[3][3, 2] = 1
    repeats.begin([Picture(0, "yuv444p", (*planes[:2], planes[i])) for i in (2, 3)]).pictures()
    assert model.given == 2


def test_pictures_of_unlike_formats_are_not_repeats() -> None:
    model, formats = Doubling(), ("gbrp", "yuv444p")
    plane = np.zeros((4, 4), np.uint8)
    RepeatSkipper(model).begin([Picture(n, kind, (plane,) * 3) for n, kind in enumerate(formats)])
    assert model.given == 2
