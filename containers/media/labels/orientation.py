"""How players turn and mirror the pictures: the display matrix, of which eight ways are kept."""

import math
import struct
from typing import NamedTuple

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

_MATRIX = struct.Struct("<9i")
"""AV_FRAME_DATA_DISPLAYMATRIX: rows (a, b, u), (c, d, v), (x, y, w), as ISO 14496-12, 8.3.2."""


class Orientation(NamedTuple):
    rotation: int
    """Degrees counter-clockwise: 0, 90, 180 or 270."""
    mirrored: bool
    """Left for right, after it was turned."""


def orientation(first: VideoFrame) -> Orientation:
    """As the first frame has it from container or stream; what lies between is rounded."""
    found = first.side_data.get(Type.DISPLAYMATRIX.name)
    if found is None:
        return Orientation(0, mirrored=False)
    a, b, _, c, d, *_ = _MATRIX.unpack(bytes(found)[: _MATRIX.size])
    mirrored = a * d < b * c
    degrees = -math.degrees(math.atan2(b, -a if mirrored else a))
    return Orientation(round(degrees / 90) * 90 % 360, mirrored)
