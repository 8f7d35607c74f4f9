"""The source's frames for those who need pictures: damaged stretches mended as planned."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from containers.common.film.concealment import DECODER, Concealment
from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.deinterlacing import Decode
from containers.common.film.pictures import Picture
from contracts.film.facts import (
    Damage,
    Stretch,
    Video,
)


def source_decode(
    decoder: FilmDecoder,
    file: Any,
    size: int,
    video: Video,
    timestamps: NDArray[np.int64],
    damage: Damage,
) -> Decode:
    """What gives coded frames by number. `timestamps`: int64, of all of them, in the source's unit;
    `file` has `size` bytes."""

    def decode(first: int, count: int) -> Iterator[Picture]:
        for part, stretch in parts(damage, range(first, first + count)):
            mend = None if stretch is None else _mend(damage, stretch, timestamps)
            stamps = timestamps[part.start : part.stop]
            yield from decoder.pictures(file, size, video, stamps, part.start, mend)

    return decode


def parts(damage: Damage, wanted: range) -> Iterator[tuple[range, Stretch | None]]:
    """Cut a range of frames where stretches begin and end."""
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


def _mend(damage: Damage, stretch: Stretch, timestamps: NDArray[np.int64]) -> Concealment:
    inside = range(stretch.first_frame, stretch.end)
    return Concealment(
        first_frame=stretch.first_frame,
        timestamps=tuple(timestamps[stretch.first_frame : stretch.end + 1].tolist()),
        stand_ins={
            number: DECODER if item.stands_in == "decoder" else item.stands_in
            for item in damage.concealed
            for number in range(item.first_frame, item.first_frame + item.frames)
            if number in inside
        },
    )


def damaged_frames(damage: Damage, frames: int) -> NDArray[np.bool_]:
    """bool, shape (frames,): which of the source's frames are damaged."""
    damaged = np.zeros(frames, np.bool_)
    for item in damage.concealed:
        damaged[item.first_frame : item.first_frame + item.frames] = True
    return damaged
