"""The shape of pixels in a Matroska header: PyAV cannot pass it to the muxer.

FFmpeg's muxer writes DisplayWidth and DisplayHeight (RFC 9559, 5.1.4.1.28) from a field of its
stream that PyAV does not show, or where the tag `stereo_mode` makes one picture of two. So the
track is opened with that tag (`PLACEHOLDER`), and what stands then in the header is replaced by
elements of the same size.
"""

import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from containers.common.confined.files import Descriptor
from containers.common.runtime.errors import mismatch
from contracts.film.manifest import Manifest
from contracts.job import Codec, Container

PLACEHOLDER = {"stereo_mode": "left_right"}
_SEGMENT, _TRACKS, _ENTRY, _VIDEO, _CRC, _VOID = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0xBF, 0xEC
_STEREO, _WIDTH, _HEIGHT = 0x53B8, 0x54B0, 0x54BA
_SIDE_BYTES = 2
_CARRIERS = (Codec.H264, Codec.HEVC)
"""Say it in each keyframe, which every reader of Matroska takes."""


def needs_shape(manifest: Manifest) -> bool:
    """Whether only the file's header can say that the result's pixels are not square."""
    return (
        manifest.output.container in (Container.MKV, Container.WEBM)
        and manifest.video.sample_aspect_ratio != 1
        and manifest.encoder.codec not in _CARRIERS
        and not PLACEHOLDER.keys() & manifest.sidecar.film_labels.keys()
    )


def write_shape(file: Descriptor, manifest: Manifest) -> None:
    """Into the finished file, whose first track was opened with PLACEHOLDER."""
    video = manifest.video
    display = display_size(manifest.output.width, manifest.output.height, video.sample_aspect_ratio)
    tracks = _child(file, _child(file, _Element(0, 0, _end(file)), _SEGMENT), _TRACKS)
    picture = _child(file, _child(file, tracks, _ENTRY), _VIDEO)
    kept = b"".join(
        _bytes(file, child.begin, child.end)
        for child in _children(file, picture)
        if child.id not in (_STEREO, _WIDTH, _HEIGHT)
    )
    for name, side in zip((_WIDTH, _HEIGHT), display, strict=True):
        kept += name.to_bytes(2, "big") + bytes([0x80 | _SIDE_BYTES])
        kept += side.to_bytes(_SIDE_BYTES, "big")
    room = picture.end - picture.data - len(kept)
    file.seek(picture.data)
    file.write(kept + bytes([_VOID, 0x80 | (room - 2)]) + bytes(room - 2))
    checksum = next(_children(file, tracks))
    if checksum.id == _CRC:
        value = zlib.crc32(_bytes(file, checksum.end, tracks.end))
        file.seek(checksum.data)
        file.write(value.to_bytes(4, "little"))


def display_size(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """(width, height) of the picture as it is shown, in its own lines where that is a whole number.

    Raises LEDGER_MISMATCH beyond what two bytes hold.
    """
    most = 256**_SIDE_BYTES - 1
    wide, high = width * shape.numerator, height * shape.denominator
    common = math.gcd(wide, high)
    wide, high = wide // common, high // common
    if max(wide, high) > most:
        raise mismatch(f"Matroska cannot say that pixels are {shape} times as wide as high")
    times = min(max(height // high, 1), most // max(wide, high))
    return wide * times, high * times


@dataclass(frozen=True)
class _Element:
    """Of EBML (RFC 8794): where it begins, and from where to where its data lie."""

    begin: int
    data: int
    end: int
    id: int = 0


def _children(file: Descriptor, parent: _Element) -> Iterator[_Element]:
    place = parent.data
    while place < parent.end:
        head = _bytes(file, place, place + 12)
        name, size = _length(head[0]), _length(head[_length(head[0])])
        ends = head[name : name + size]
        length = int.from_bytes(ends, "big") & ((1 << 7 * size) - 1)
        data = place + name + size
        yield _Element(place, data, data + length, int.from_bytes(head[:name], "big"))
        place = data + length


def _child(file: Descriptor, parent: _Element, name: int) -> _Element:
    return next(child for child in _children(file, parent) if child.id == name)


def _length(first: int) -> int:
    """Bytes of an id or a size that begins with this one."""
    return 9 - first.bit_length()


def _bytes(file: Descriptor, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)


def _end(file: Descriptor) -> int:
    return file.seek(0, io.SEEK_END)
