"""NV12 and P010, the layouts of hardware encoders: Cb and Cr interleaved in one plane."""

from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from containers.common.film.pictures import Picture, Plane

_P010_SHIFT = np.uint16(6)
"""P010 keeps its ten bits at the upper end of sixteen."""


def to_semi_planar(picture: Picture) -> tuple[Plane, Plane]:
    """Convert 4:2:0 to NV12 or, if it has ten bits, P010.

    Returns luma (h, w), and Cb and Cr interleaved (h / 2, w); uint8 or uint16.
    """
    luma, cb, cr = picture.planes[:3]
    chroma = np.asarray(cv2.merge([cb, cr]), luma.dtype).reshape(cb.shape[0], -1)
    if picture.bits == 8:
        return luma, chroma
    return np.left_shift(luma, _P010_SHIFT), np.left_shift(chroma, _P010_SHIFT)


def to_p010(picture: Picture) -> VideoFrame:
    """Convert a ten-bit picture of 4:2:0 to a frame for NVENC."""
    frame = VideoFrame(picture.width, picture.height, "p010le")
    for plane, samples in zip(frame.planes, to_semi_planar(picture), strict=True):
        _fill(plane, samples)
    frame.pts = picture.pts
    return frame


def _fill(plane: Any, samples: Plane) -> None:
    whole = np.frombuffer(plane, samples.dtype).reshape(-1, plane.line_size // samples.itemsize)
    rows, columns = samples.shape
    whole[:rows, :columns] = samples
