"""A picture equal to its predecessor is not computed again: its result is used once more."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from containers.common.pictures import Picture
from containers.upscaler.models import Upscaler


class Repeats:
    """Wraps an Upscaler whose result for a picture depends on that picture alone.

    The bytes are those of computing every picture, for the same picture gives the same result
    wherever in a batch it stands. Comparing costs under a millisecond for a 720p picture.
    """

    def __init__(self, upscaler: Upscaler) -> None:
        self._upscaler = upscaler
        self._source: Picture | None = None
        self._result: Picture | None = None
        self.count = 0
        """Pictures that were not computed so far."""

    def upscale(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See Upscaler.upscale."""
        fresh: list[Picture] = []
        places: list[int] = []
        before = self._source
        for picture in pictures:
            if before is None or not _equal(before, picture):
                fresh.append(picture)
            places.append(len(fresh) - 1)  # -1: the last result of the batch before
            before = picture
        self.count += len(pictures) - len(fresh)
        done = self._upscaler.upscale(fresh) if fresh else []
        results = [self._result_at(place, done) for place in places]
        self._source, self._result = pictures[-1], results[-1]
        return [replace(r, pts=p.pts) for r, p in zip(results, pictures, strict=True)]

    def _result_at(self, place: int, done: list[Picture]) -> Picture:
        if place >= 0:
            return done[place]
        if self._result is None:
            raise ValueError("the first picture has no predecessor")
        return self._result


def _equal(a: Picture, b: Picture) -> bool:
    return a.pixel_format == b.pixel_format and all(
        np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True)
    )
