"""Pictures of the source by frame number: whole stretches decoded, damaged ones concealed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from containers.common.film.concealment import DECODER, Concealment
from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.pictures import Picture
from contracts.film.facts import (
    Damage,
    Stretch,
    Video,
)


@dataclass(frozen=True, kw_only=True)
class SourcePictures:
    """The coded frames of a source, decoded in a confined child.

    `file` has `size` bytes; `timestamps`: int64, shape (coded frames,), in the source's time base.
    """

    decoder: FilmDecoder
    file: Any
    size: int
    video: Video
    timestamps: NDArray[np.int64]
    damage: Damage

    def decode(self, first: int, count: int) -> Iterator[Picture]:
        """`count` coded frames from number `first` on. Raises what FilmDecoder.pictures raises."""
        for part, stretch in cut_at_stretches(self.damage, range(first, first + count)):
            yield from self.decoder.pictures(
                self.file,
                self.size,
                self.video,
                self.timestamps[part.start : part.stop],
                first_frame=part.start,
                concealment=None if stretch is None else self._concealment(stretch),
            )

    def _concealment(self, stretch: Stretch) -> Concealment:
        inside = range(stretch.first_frame, stretch.end)
        stamps = self.timestamps[stretch.first_frame : stretch.end + 1]
        return Concealment(
            first_frame=stretch.first_frame,
            timestamps=tuple(stamps.tolist()),
            stand_ins={
                number: DECODER if item.stands_in == "decoder" else item.stands_in
                for item in self.damage.concealed
                for number in range(item.first_frame, item.first_frame + item.frames)
                if number in inside
            },
        )


def cut_at_stretches(damage: Damage, wanted: range) -> Iterator[tuple[range, Stretch | None]]:
    """Cut a range of frames where damaged stretches begin and end."""
    at = wanted.start
    for stretch in damage.stretches:
        if stretch.end <= at or at >= wanted.stop:
            continue
        if at < min(stretch.first_frame, wanted.stop):
            yield range(at, min(stretch.first_frame, wanted.stop)), None
        at = max(at, stretch.first_frame)
        if at < wanted.stop:
            yield range(at, min(stretch.end, wanted.stop)), stretch
            at = min(stretch.end, wanted.stop)
    if at < wanted.stop:
        yield range(at, wanted.stop), None


def damaged_frames(damage: Damage, frames: int) -> NDArray[np.bool_]:
    """bool, shape (frames,): which of the source's frames are damaged."""
    damaged = np.zeros(frames, np.bool_)
    for item in damage.concealed:
        damaged[item.first_frame : item.first_frame + item.frames] = True
    return damaged
