"""Measures how much of a picture is combed, by which fields it is woven of; judges nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from containers.common.film.pictures import Picture

COLUMNS = 240
"""Sampled per line; motion is wider than a column."""
BLOCK = 8
"""Side of a block: lines of one field, and sampled columns."""
NOISE = 4
"""Levels of 8 bits by which a line may leave its neighbours' range unseen."""
COMBED = 2.0
"""Mean excess in a block, in levels, from which it counts."""
MOVED = 3.0
"""Mean change of a block's field between frames, in levels, from which it counts."""

Lines = NDArray[np.int16]
"""Luma of one field in 8-bit levels, shape (lines, columns)."""
Blocks = NDArray[np.float32]


@dataclass(frozen=True)
class FieldPair:
    """The luma of a coded frame's two fields."""

    top: Lines
    bottom: Lines


@dataclass(frozen=True)
class Combing:
    """Shares of a frame's blocks, 0 to 1, judged beside the frame before it.

    `own` weaves the frame as coded, `top_first` its top field with the bottom field before it,
    `bottom_first` its bottom field with the top field before it. The energies are mean excesses
    in levels over the blocks where any weave is combed; the `worse` shares count blocks that are
    more combed than by the best of the three.
    """

    own: float
    top_first: float
    bottom_first: float
    worse_own: float
    worse_top_first: float
    worse_bottom_first: float
    top_changed: float
    """Blocks whose top field is not the one before it again; by more than noise."""
    bottom_changed: float
    moving: float
    """Blocks that are combed by at least one weave, so that the others mean something."""


def field_pair(picture: Picture) -> FieldPair:
    luma = picture.planes[0]
    if picture.pixel_format.startswith("gbr"):
        luma = picture.planes[0]  # green stands first and carries most of the luma
    rows = luma.shape[0] // 2 * 2
    sampled = luma[:rows, :: max(1, luma.shape[1] // COLUMNS)]
    levels = (sampled >> (picture.bits - 8)).astype(np.int16)
    return FieldPair(levels[0::2], levels[1::2])


def measure_combing(this: FieldPair, before: FieldPair) -> Combing:
    """Judge a frame beside the one before it."""
    own = _excess(this.top, this.bottom)
    top_first = _excess(this.top, before.bottom)
    bottom_first = _excess(before.top, this.bottom)
    least = np.minimum(np.minimum(own, top_first), bottom_first)
    most = np.maximum(np.maximum(own, top_first), bottom_first)
    moving = most - least > COMBED
    top = _blocks(np.abs(this.top - before.top))
    bottom = _blocks(np.abs(this.bottom - before.bottom))
    scale = float(moving.sum()) or 1.0
    return Combing(
        own=float(own[moving].sum()) / scale,
        top_first=float(top_first[moving].sum()) / scale,
        bottom_first=float(bottom_first[moving].sum()) / scale,
        worse_own=_share(own - least > COMBED),
        worse_top_first=_share(top_first - least > COMBED),
        worse_bottom_first=_share(bottom_first - least > COMBED),
        top_changed=_share(top > np.maximum(MOVED, bottom / 2)),
        bottom_changed=_share(bottom > np.maximum(MOVED, top / 2)),
        moving=_share(moving),
    )


def _excess(top: Lines, bottom: Lines) -> Blocks:
    """Mean levels by which lines leave the range of the two around them, of the other field."""
    over = _outside(bottom[:-1], top[:-1], top[1:]) + _outside(top[1:], bottom[:-1], bottom[1:])
    return _blocks(over)


def _outside(line: Lines, above: Lines, below: Lines) -> Lines:
    low, high = np.minimum(above, below), np.maximum(above, below)
    detail = (high - low) >> 1  # where the field itself is rough, a line may well differ
    return np.maximum(np.maximum(low - line, line - high) - detail - NOISE, 0)


def _blocks(values: Lines) -> Blocks:
    """Means over blocks; what is left over at the right and below is ignored."""
    rows, columns = (max(1, n // BLOCK) for n in values.shape)
    high, wide = min(BLOCK, values.shape[0]), min(BLOCK, values.shape[1])
    kept = values[: rows * high, : columns * wide]
    return kept.reshape(rows, high, columns, wide).mean(axis=(1, 3), dtype=np.float32)


def _share(blocks: NDArray[np.bool_]) -> float:
    return float(blocks.mean())
