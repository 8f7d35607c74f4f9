"""Converts between frames and RGB with swscale, by the matrix and range that the manifest fixes."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from containers.common.film.pictures import (
    Picture,
    PictureReader,
    to_frame,
)
from containers.common.runtime.worker import WorkerError
from contracts.film.facts import Colour
from contracts.names import ExitCode

Bits = Literal[8, 16]
Rgb = NDArray[Any]
"""Full-range RGB, shape (height, width, 3): uint8 for 8 bits, uint16 for 16."""

MATRIX_RGB = 0
SWS_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""ITU-T H.273 matrix coefficients -> swscale's number; 5 and 6 are both BT.601."""
_RGB_FORMATS = {8: "rgb24", 16: "rgb48le"}
# Without these, swscale repeats chroma instead of interpolating it, and truncates sums.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_ONE_THREAD = 1


class RgbReader:
    """Converts decoded frames to RGB. Keeps its tables between frames; use it from one thread."""

    def __init__(self, colour: Colour, bits: Bits) -> None:
        self._range = _range(colour)
        self._colour = colour
        self._format = _RGB_FORMATS[bits]
        self._reformatter = VideoReformatter()

    def read(self, frame: VideoFrame) -> Rgb:
        """Convert one frame. Raises WorkerError BAD_REQUEST for an unknown matrix."""
        is_rgb = frame.format.is_rgb
        picture = self._reformatter.reformat(
            frame,
            format=self._format,
            src_colorspace=None if is_rgb else _matrix(self._colour),
            src_color_range=ColorRange.JPEG if is_rgb else self._range,
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
            threads=_ONE_THREAD,
        )
        return picture.to_ndarray()


class RgbWriter:
    """Converts RGB to frames for the encoder, tagged with their colour."""

    def __init__(self, colour: Colour, pixel_format: str, bits: Bits) -> None:
        self._target_is_rgb = VideoFormat(pixel_format).is_rgb
        self._matrix = None if self._target_is_rgb else _matrix(colour)
        self._colour = colour
        self._source = _RGB_FORMATS[bits]
        self._target = pixel_format
        self._reformatter = VideoReformatter()

    def write(self, picture: Rgb) -> VideoFrame:
        """Convert one picture to a frame of the writer's pixel format."""
        rgb = VideoFrame.from_numpy_buffer(np.ascontiguousarray(picture), self._source)
        frame = self._reformatter.reformat(
            rgb,
            format=self._target,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if self._target_is_rgb else _range(self._colour),
            interpolation=_EXACT,
            threads=_ONE_THREAD,
        )
        tag_colour(frame, self._colour)
        return frame


class PictureConverter:
    """Converts pictures to RGB and back, one by one; use it from one thread."""

    def __init__(self, source: Colour, colour: Colour, *, pixel_format: str, bits: Bits) -> None:
        self._reader = RgbReader(source, bits)
        self._writer = RgbWriter(colour, pixel_format, bits)
        self._planes = PictureReader()

    def to_rgb(self, pictures: Sequence[Picture]) -> Rgb:
        """Convert one or more pictures: shape (n, height, width, 3)."""
        arrays = [self._reader.read(to_frame(picture)) for picture in pictures]
        return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)

    def to_pictures(self, rgb: Rgb, sources: Sequence[Picture]) -> list[Picture]:
        """Convert to the writer's pixel format, each with its source's timestamp."""
        return [
            self._planes.read(self._writer.write(array), source.pts)
            for array, source in zip(rgb, sources, strict=True)
        ]


def tag_colour(frame: VideoFrame, colour: Colour) -> None:
    """Record in the frame what its samples mean."""
    is_rgb = frame.format.is_rgb
    frame.colorspace = MATRIX_RGB if is_rgb else colour.matrix
    frame.color_primaries = colour.primaries
    frame.color_trc = colour.transfer
    frame.color_range = ColorRange.JPEG if is_rgb else _range(colour)


def _range(colour: Colour) -> ColorRange:
    return ColorRange.JPEG if colour.full_range else ColorRange.MPEG


def _matrix(colour: Colour) -> int:
    if colour.matrix not in SWS_MATRIX:
        raise WorkerError(
            ExitCode.BAD_REQUEST,
            f"the manifest names colour matrix {colour.matrix}, which extract should have refused",
        )
    return SWS_MATRIX[colour.matrix]
