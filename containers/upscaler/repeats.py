"""A picture equal to its predecessor is not computed again: its result is used once more."""

import numpy as np

from containers.upscaler.models import Frames, Upscaler


class Repeats:
    """Wraps an Upscaler whose result for a picture depends on that picture alone.

    The bytes are those of computing every picture, for the same picture gives the same result
    wherever in a batch it stands. Comparing costs under a millisecond for a 720p picture.
    """

    def __init__(self, upscaler: Upscaler) -> None:
        self._upscaler = upscaler
        self._source: Frames | None = None
        self._result: Frames | None = None
        self.count = 0
        """Pictures that were not computed so far."""

    def upscale(self, frames: Frames) -> Frames:
        """See Upscaler.upscale."""
        fresh: list[int] = []
        places: list[int] = []
        before = self._source
        for number, picture in enumerate(frames):
            if before is None or not np.array_equal(before, picture):
                fresh.append(number)
            places.append(len(fresh) - 1)  # -1: the last result of the batch before
            before = picture
        self.count += len(frames) - len(fresh)
        done = self._compute(frames, fresh)
        first = self._result
        results = [first if place < 0 else done[place] for place in places]
        self._source, self._result = frames[-1], results[-1]
        if len(fresh) == len(frames):
            return done
        return np.stack([picture for picture in results if picture is not None])

    def _compute(self, frames: Frames, fresh: list[int]) -> Frames:
        if len(fresh) == len(frames):
            return self._upscaler.upscale(frames)
        return self._upscaler.upscale(frames[fresh]) if fresh else frames[:0]
