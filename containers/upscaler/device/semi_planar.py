"""NV12 and P010, the layouts of hardware encoders: chroma's two components side by side."""

from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from containers.common.film.pictures import Picture, Plane

_P010_SHIFT = np.uint16(6)
"""P010 keeps ten bits at the upper end of sixteen."""


def semi_planar(picture: Picture) -> tuple[Plane, Plane]:
    """4:2:0 as NV12 or, of ten bits, P010: luma (h, w), and chroma (h / 2, w), Cb beside Cr."""
    luma, cb, cr = picture.planes[:3]
    chroma = np.asarray(cv2.merge([cb, cr]), luma.dtype).reshape(cb.shape[0], -1)
    if picture.bits == 8:
        return luma, chroma
    return np.left_shift(luma, _P010_SHIFT), np.left_shift(chroma, _P010_SHIFT)


def to_p010(picture: Picture) -> VideoFrame:
    """A ten-bit picture as NVENC takes it."""
    frame = VideoFrame(picture.width, picture.height, "p010le")
    for plane, samples in zip(frame.planes, semi_planar(picture), strict=True):
        _fill(plane, samples)
    frame.pts = picture.pts
    return frame


def _fill(plane: Any, samples: Plane) -> None:
    whole = np.frombuffer(plane, samples.dtype).reshape(-1, plane.line_size // samples.itemsize)
    rows, columns = samples.shape
    whole[:rows, :columns] = samples
