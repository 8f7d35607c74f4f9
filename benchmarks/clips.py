"""Clips for benchmarks: made from the sample, or cut, reduced and enlarged from real films."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from containers.common.film.pictures import (
    Picture,
    PictureReader,
    Plane,
    to_frame,
)

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "bunny.mp4"
BT709 = 1
"""The matrix of everything here, as ITU-T H.273 and swscale number it."""
EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
"""swscale without shortcuts."""


class Box(NamedTuple):
    """A part of a picture, in pixels; all even, for 4:2:0."""

    left: int
    top: int
    width: int
    height: int


def read_sample() -> list[np.ndarray]:
    """Read the sample's frames: RGB, uint8, shape (180, 320, 3)."""
    return [frame.to_ndarray(format="rgb24") for frame in read_frames(SAMPLE)]


def make_sample_clip(target: Path, frames: int) -> Path:
    """Write so many frames of the sample; see write_looped."""
    return write_looped(read_sample(), target, frames)


def write_looped(pictures: list[np.ndarray], target: Path, frames: int, *, rate: int = 25) -> Path:
    """Write so many frames in H.264, the pictures (RGB, uint8) forwards and backwards in turn.

    So no frame repeats its predecessor.
    """
    height, width, _ = pictures[0].shape
    order = cycle([*range(len(pictures)), *range(len(pictures) - 2, 0, -1)])
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(pictures[next(order)], format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


def read_frames(video: Path, first: int = 0, count: int | None = None) -> Iterator[VideoFrame]:
    """Decode frames of the first video stream, `count` from `first` on."""
    with av.open(str(video)) as container:
        stop = None if count is None else first + count
        yield from islice(container.decode(video=0), first, stop)


def cut_film(film: Path, target: Path, box: Box, *, first: int, count: int) -> Path:
    """Cut `count` frames from `first` on, and of them the box, from a film in yuv420p.

    Raises SystemExit for a film in another format.
    """
    reader = PictureReader()

    def parts() -> Iterator[VideoFrame]:
        for frame in read_frames(film, first, count):
            picture = reader.read(frame, 0)
            if picture.pixel_format != "yuv420p":
                raise SystemExit(f"{film.name} is {picture.pixel_format}; give a film in yuv420p")
            planes = (_inner(plane, box, 2 if n else 1) for n, plane in enumerate(picture.planes))
            yield to_frame(Picture(0, "yuv420p", tuple(planes)))

    return write_lossless(parts(), target)


def _inner(plane: Plane, box: Box, subsampling: int) -> Plane:
    left, top, width, height = (side // subsampling for side in box)
    return plane[top : top + height, left : left + width]


def reduce_film(film: Path, target: Path, factor: int) -> Path:
    """Reduce by `factor`: bicubic (a = -0.5), antialiased, on gamma-encoded 8-bit RGB.

    MATLAB's imresize does the same, and so do most papers on super-resolution.
    """

    def smaller() -> Iterator[VideoFrame]:
        for picture in read_rgb(film):
            size = (picture.shape[1] // factor, picture.shape[0] // factor)
            small = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
            yield VideoFrame.from_ndarray(np.asarray(small), format="rgb24")

    return write_lossless(smaller(), target)


def enlarge_film(film: Path, target: Path, factor: int, *, kernel: Interpolation) -> Path:
    """Enlarge by `factor` with swscale, as players do."""
    reformatter = VideoReformatter()

    def larger() -> Iterator[VideoFrame]:
        for frame in read_frames(film):
            yield reformatter.reformat(
                frame,
                frame.width * factor,
                frame.height * factor,
                interpolation=kernel | Interpolation.ACCURATE_RND,
            )

    return write_lossless(larger(), target)


def read_rgb(film: Path) -> Iterator[NDArray[np.uint8]]:
    """Decode the film's pictures to RGB by BT.709: uint8, shape (height, width, 3)."""
    reformatter = VideoReformatter()
    for frame in read_frames(film):
        picture = reformatter.reformat(
            frame, format="rgb24", src_colorspace=BT709, interpolation=EXACT
        )
        yield picture.to_ndarray().astype(np.uint8, copy=False)


def write_lossless(pictures: Iterable[VideoFrame], target: Path, rate: int = 25) -> Path:
    """Write FFV1 in yuv420p, tagged as BT.709 of limited range."""
    reformatter = VideoReformatter()
    with av.open(str(target), "w") as out:
        stream = out.add_stream("ffv1", rate=rate)
        for number, picture in enumerate(pictures):
            frame = picture
            if picture.format.is_rgb:
                frame = reformatter.reformat(
                    picture, format="yuv420p", dst_colorspace=BT709, interpolation=EXACT
                )
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                for tag in ("color_primaries", "color_trc", "colorspace"):
                    setattr(stream.codec_context, tag, BT709)
                stream.codec_context.color_range = 1
            frame.colorspace = frame.color_primaries = frame.color_trc = BT709
            frame.color_range = 1
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target
