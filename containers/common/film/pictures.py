"""Decoded pictures as plain arrays, in whichever process their decoder runs."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from containers.common.runtime.errors import WorkerError
from contracts.names import ExitCode

Plane = NDArray[np.uint8 | np.uint16]
"""One component, shape (rows, columns), values 0 to 2**bits - 1."""

_SUBSAMPLINGS = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}
_DEPTHS = (8, 10, 12, 16)
_ALPHA_420_DEPTHS = (8, 10, 16)


@dataclass(frozen=True)
class Picture:
    """A picture as its decoder left it: no margins, no conversion except of the samples' order.

    `pixel_format` is one that `plain_format` gives; the planes stand in FFmpeg's order (Y, U, V or
    G, B, R, then alpha). `pts` counts in the stream's time base.
    """

    pts: int
    pixel_format: str
    planes: tuple[Plane, ...]

    @property
    def width(self) -> int:
        return self.planes[0].shape[1]

    @property
    def height(self) -> int:
        return self.planes[0].shape[0]

    @property
    def bits(self) -> int:
        """Of one sample."""
        return VideoFormat(self.pixel_format).components[0].bits


def plain_format(pixel_format: str) -> str:
    """The planar format of one sample a component that holds all of `pixel_format`.

    Grey becomes gray or gray10le and so on, palettes and packed RGB become gbrp, packed YUV its
    planar twin; unusual depths the next larger, unusual subsampling 4:4:4.

    Raises WorkerError UNSUPPORTED for formats that are neither (X'Y'Z', sensor data, floats).
    """
    source = VideoFormat(pixel_format)
    components = source.components
    widest = max(c.bits for c in components)
    if widest > _DEPTHS[-1] or pixel_format.startswith(("xyz", "bayer")):
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"pictures in {pixel_format} cannot be read; convert the film to YUV or RGB first",
        )
    bits = next(depth for depth in _DEPTHS if depth >= widest)
    alpha = has_alpha(pixel_format) or source.has_palette
    end = "" if bits == 8 else f"{bits}le"
    if source.is_rgb or source.has_palette:
        return f"gbr{'a' if alpha else ''}p{end}"
    if len(components) < 3:
        return f"gray{end}" if not alpha else f"yuva444p{end}"
    sampling = _subsampling(source)
    if alpha:
        if sampling == "420" and bits not in _ALPHA_420_DEPTHS:
            sampling = "422"
        return f"yuva{sampling}p{end}"
    return f"yuv{sampling}p{end}"


def has_alpha(pixel_format: str) -> bool:
    """True of formats with a plane or a component for transparency; not of palettes."""
    return any(c.is_alpha for c in VideoFormat(pixel_format).components)


def _subsampling(source: VideoFormat) -> str:
    chroma = VideoFormat(source.name, 64, 64).components[1]
    return _SUBSAMPLINGS.get((64 // chroma.width, 64 // chroma.height), "444")


class PictureReader:
    """Decoded frames -> pictures. Keeps its tables between frames; use it from one thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def read(self, frame: VideoFrame, pts: int) -> Picture:
        """Copies the samples, so that the decoder may use its buffers again."""
        pixel_format, planes = self.planes(frame)
        return Picture(pts, pixel_format, tuple(plane.copy() for plane in planes))

    def planes(self, frame: VideoFrame) -> tuple[str, list[Plane]]:
        """The picture's plain format and its planes, which are the frame's own memory."""
        wanted = plain_format(frame.format.name)
        if frame.format.name not in (wanted, wanted.replace("yuv", "yuvj")):
            colour, full = frame.colorspace, frame.color_range
            frame = self._reformatter.reformat(
                frame,
                format=wanted,
                src_colorspace=colour,
                dst_colorspace=colour,
                src_color_range=full,
                dst_color_range=full,
                threads=1,
            )
        return wanted, _planes(frame)


def _planes(frame: VideoFrame) -> list[Plane]:
    planes: list[Plane] = []
    for plane, (rows, columns) in zip(
        frame.planes, plane_shapes(frame.format.name, frame.width, frame.height), strict=True
    ):
        planes.append(_samples(plane, frame.format.name)[:rows, :columns])
    return planes


def _samples(plane: Any, pixel_format: str) -> Plane:
    """A frame's plane with its margins, not copied."""
    kind = sample_type(pixel_format)
    return np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)


def plane_shapes(pixel_format: str, width: int, height: int) -> list[tuple[int, int]]:
    """(rows, columns) of each plane of a plain format."""
    components = VideoFormat(pixel_format, width, height).components
    by_plane = sorted(components, key=lambda c: c.plane)
    return [(c.height, c.width) for c in by_plane]


def sample_type(pixel_format: str) -> np.dtype[Any]:
    """uint8 or uint16, little-endian, of a plain format."""
    bits = VideoFormat(pixel_format).components[0].bits
    return np.dtype("u1" if bits <= 8 else "<u2")


def picture_bytes(pixel_format: str, width: int, height: int) -> int:
    """Of all planes together."""
    samples = sum(math.prod(shape) for shape in plane_shapes(pixel_format, width, height))
    return samples * sample_type(pixel_format).itemsize


def to_frame(picture: Picture) -> VideoFrame:
    """A frame of the same format and samples, for swscale, a filter or an encoder."""
    frame = VideoFrame(picture.width, picture.height, picture.pixel_format)
    for plane, samples in zip(frame.planes, picture.planes, strict=True):
        rows, columns = samples.shape
        _samples(plane, picture.pixel_format)[:rows, :columns] = samples
    frame.pts = picture.pts
    return frame
