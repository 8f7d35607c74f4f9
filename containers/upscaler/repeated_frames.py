"""A picture equal to its predecessor is not computed again; its result is reused."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from containers.common.film.pictures import Picture
from containers.upscaler.models.upscaler import Pending, Upscaler


class RepeatSkipper:
    """Passes pictures to an Upscaler, except repeats of their predecessors.

    It skips nothing if the upscaler's results depend on more than the picture (`repeats`). Results
    have the same bytes as without it, since equal pictures have equal results wherever they stand
    in a batch. Comparing takes under a millisecond for a 720p picture. See docs/decisions/0032.
    """

    def __init__(self, upscaler: Upscaler) -> None:
        self._upscaler = upscaler
        self._source: Picture | None = None
        self._batch: _SkippedBatch | None = None
        self.repeated = 0
        """How many pictures repeated their predecessor so far."""
        self.computed = 0
        """How many results the upscaler computed so far."""

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """See Upscaler.begin. Ask for the pictures of batches in the order in which they began."""
        fresh: list[Picture] = []
        places: list[int] = []
        before = self._source
        for picture in pictures:
            if before is None or not self._upscaler.repeats or not _equal(before, picture):
                fresh.append(picture)
            places.append(len(fresh) - 1)  # -1: the last result of the batch before
            before = picture
        self.repeated += len(pictures) - len(fresh)
        done = self._count(self._upscaler.begin(fresh)) if fresh else Pending(list)
        self._source = pictures[-1]
        stamps = [picture.pts for picture in pictures]
        self._batch = batch = _SkippedBatch(self._batch, done, stamps, places)
        return Pending(batch.pictures, done.wait)

    def _count(self, done: Pending) -> Pending:
        def pictures() -> list[Picture]:
            results = done.pictures()
            self.computed += len(results)
            return results

        return Pending(pictures, done.wait)


class _SkippedBatch:
    """A batch whose results take their places once they are computed."""

    def __init__(
        self, before: "_SkippedBatch | None", done: Pending, stamps: list[int], places: list[int]
    ) -> None:
        self._before = before
        self._done, self._stamps, self._places = done, stamps, places
        self._last: Picture | None = None

    def pictures(self) -> list[Picture]:
        done = self._done.pictures()
        previous = self._before.last() if self._before is not None else None
        self._before = None  # else each batch would keep all before it alive
        results = [done[place] if place >= 0 else _require(previous) for place in self._places]
        self._last = results[-1]
        return [replace(r, pts=pts) for r, pts in zip(results, self._stamps, strict=True)]

    def last(self) -> Picture:
        return _require(self._last)


def _require(picture: Picture | None) -> Picture:
    if picture is None:
        raise ValueError("ask for the pictures of batches in the order in which they began")
    return picture


def _equal(a: Picture, b: Picture) -> bool:
    return a.pixel_format == b.pixel_format and all(
        np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True)
    )
