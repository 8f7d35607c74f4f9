"""Measures what it would save not to recompute the parts of a picture that stand still.

`python -m benchmarks.parts.tiles`: the share of 64x64 tiles that equal their predecessors with
their halo of 18 pixels, in drawn and in real films, after a real codec. docs/decisions/0032 draws
the conclusion.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import SAMPLE, read_frames, read_rgb
from benchmarks.parts import drawn
from benchmarks.real_clips import real_clip
from benchmarks.superres import table
from containers.common.film.pictures import PictureReader
from containers.upscaler.models.tiling import Tile, plan_tiles

SIDE, HALO = 64, 18
CODECS = {"lossless": {"qp": "0"}, "CRF 16": {"crf": "16"}, "CRF 23": {"crf": "23"}}
REAL_FRAMES = 48


@dataclass(frozen=True)
class Saving:
    """Shares of all pixels of a film, its first picture left out."""

    repeats: float
    """In pictures equal to their predecessors, which are not computed today."""
    equal_tiles: float
    """In tiles, of the other pictures, that equal their predecessors with their halo."""
    by_tiles: float
    """Saved if each other tile were computed with its halo; negative: more work."""
    by_rectangle: float
    """Saved if one rectangle were computed, around all that changed, with its halo."""


def saving(pictures: Iterable[NDArray[np.bool_]]) -> Saving:
    """Compute the saving from maps of what changed, one for each picture after the first."""
    total = repeated = equal = tiled = boxed = 0
    for changed in pictures:
        height, width = changed.shape
        total += changed.size
        if not changed.any():
            repeated += changed.size
            continue
        tiles = plan_tiles(width, height, side=SIDE, halo=HALO)
        dirty = [tile for tile in tiles if _read(changed, tile).any()]
        equal += changed.size - sum(_inner(tile) for tile in dirty)
        tiled += sum(_read(changed, tile).size for tile in dirty)
        boxed += _rectangle(changed)
    fresh = total - repeated
    shares = (repeated, equal, fresh - tiled, fresh - boxed)
    return Saving(*(share / total for share in shares))


def _read(changed: NDArray[np.bool_], tile: Tile) -> NDArray[np.bool_]:
    rows, columns = tile.rows, tile.columns
    return changed[rows.read_start : rows.read_stop, columns.read_start : columns.read_stop]


def _inner(tile: Tile) -> int:
    return (tile.rows.stop - tile.rows.start) * (tile.columns.stop - tile.columns.start)


def _rectangle(changed: NDArray[np.bool_]) -> int:
    """Count the pixels that computing the smallest rectangle around a change reads.

    A change reaches HALO pixels of the result in each direction; they read HALO pixels further.
    """
    size = 1
    for axis in (0, 1):
        touched = np.flatnonzero(changed.any(axis=axis))
        start = max(int(touched[0]) - 2 * HALO, 0)
        size *= min(int(touched[-1]) + 1 + 2 * HALO, changed.shape[1 - axis]) - start
    return size


def changed_pixels(film: Path, first: int, count: int) -> Iterator[NDArray[np.bool_]]:
    """Of each picture after the first: where any of its planes differs from its predecessor."""
    reader, before = PictureReader(), None
    for frame in read_frames(film, first, count):
        picture = reader.read(frame, 0)
        if before is not None:
            height, width = picture.planes[0].shape
            changed = np.zeros((height, width), bool)
            for old, new in zip(before.planes, picture.planes, strict=True):
                step = round(width / new.shape[1])
                different = (old != new).repeat(step, 0).repeat(step, 1)
                changed |= different[:height, :width]
            yield changed
        before = picture


def encode(pictures: Iterable[np.ndarray], target: Path, options: dict[str, str]) -> Path:
    """Encode as films are delivered: H.264, preset medium, 24 frames a second."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"preset": "medium", **options})
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return target


def measure_savings(folder: Path, *, quick: bool) -> Iterator[tuple[str, ...]]:
    """Yield rows of the table: the film, how it was encoded, and what would be saved."""
    codecs = {"CRF 23": CODECS["CRF 23"]} if quick else CODECS
    for name in drawn.SCENES:
        for grain in (0.0, 2.0):
            for coded, options in codecs.items():
                film = encode(drawn.draw_scene(name, grain), folder / "drawn.mkv", options)
                what = f"drawn, {name}{', grain' if grain else ''}"
                yield _row(what, coded, saving(changed_pixels(film, 0, drawn.FRAMES)))
    films = {"sample": SAMPLE} if quick else {n: real_clip(n) for n in ("bunny", "city")}
    for name, film in films.items():
        yield _row(name, "as it is", saving(changed_pixels(film, 40, REAL_FRAMES)))
        again = encode(_crop_to_even(film), folder / "real.mkv", CODECS["CRF 23"])
        yield _row(name, "CRF 23", saving(changed_pixels(again, 40, REAL_FRAMES)))


def _crop_to_even(film: Path) -> Iterator[np.ndarray]:
    for picture in read_rgb(film):
        yield np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2])


def _row(film: str, coded: str, s: Saving) -> tuple[str, ...]:
    shares = (s.repeats, s.equal_tiles, s.by_tiles, s.by_rectangle)
    return film, coded, *(f"{share:.0%}" for share in shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure one codec and the sample")
    arguments = parser.parse_args()
    columns = ("film", "encoded", "repeats", "equal tiles", "saved by tiles", "by a rectangle")
    with tempfile.TemporaryDirectory() as folder:
        print(table(columns, list(measure_savings(Path(folder), quick=arguments.quick))))


if __name__ == "__main__":
    main()
