"""Cutting a picture into tiles with a halo: pure arithmetic, no pixels."""

import itertools
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Along one side: [start, stop) is kept of what is computed from [read_start, read_stop)."""

    start: int
    stop: int
    read_start: int
    read_stop: int


@dataclass(frozen=True)
class Tile:
    """One tile, in source pixels."""

    rows: Span
    columns: Span


def plan_tiles(width: int, height: int, *, side: int, halo: int, grid: int = 1) -> list[Tile]:
    """Cut a picture into tiles of nearly equal size, at most `side` long, that cover it once.

    Each tile reads `halo` more pixels on every side that is not the picture's edge. With a halo of
    at least the network's receptive radius, the result equals the untiled one. What a tile reads
    begins at a multiple of `grid`. All lengths are source pixels. Raises ValueError for a side
    below 1, a negative halo, or a side or halo that is not a multiple of `grid`.
    """
    if side < 1 or halo < 0:
        raise ValueError(
            f"a tile needs at least one pixel and a halo of at least 0: {side}, {halo}"
        )
    if side % grid or halo % grid:
        raise ValueError(f"a tile of {side} pixels and its halo of {halo} leave the grid of {grid}")
    columns = _spans(width, side, halo, grid)
    return [Tile(rows, cols) for rows in _spans(height, side, halo, grid) for cols in columns]


def _spans(length: int, side: int, halo: int, grid: int) -> list[Span]:
    steps = math.ceil(length / grid)
    count = math.ceil(steps / (side // grid))
    bounds = [min(steps * i // count * grid, length) for i in range(count + 1)]
    return [
        Span(start, stop, max(start - halo, 0), min(stop + halo, length))
        for start, stop in itertools.pairwise(bounds)
    ]
