"""HDR10's static metadata: out of the first frame, into the encoder and into the result's header.

SMPTE ST 2086 (mastering display) and CTA-861.3 (content light level); units of ITU-T H.265, D.2.28.
"""

import io
import struct
from typing import BinaryIO

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from contracts.film.facts import (
    LightLevel,
    LostLabel,
    MasteringDisplay,
)
from contracts.job import Codec

CHROMATICITY, LUMINANCE = 50000, 10000
_RATIONALS = struct.Struct("<20i2i")
"""AVMasteringDisplayMetadata: red, green, blue, white (x, y), least, most; two flags."""
_DYNAMIC = {
    Type.DOVI_METADATA: "Dolby Vision",
    Type.DOVI_RPU_BUFFER: "Dolby Vision",
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
}
CARRIERS = frozenset({"libx264", "libx265", "libsvtav1"})
"""Encoders that write the metadata into each keyframe."""
_SAMPLE_ENTRIES = (b"avc1", b"hvc1", b"hev1", b"av01")
MAX_MOOV_BYTES = 64 * 1024**2
"""Of a shard: 20 s at 120 frames a second take less than one of them."""
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def mastering_display(first: VideoFrame) -> MasteringDisplay | None:
    """What the first frame says of the display that the film was graded on."""
    found = first.side_data.get(Type.MASTERING_DISPLAY_METADATA.name)
    if found is None:
        return None
    *numbers, has_primaries, has_luminance = _RATIONALS.unpack(bytes(found)[: _RATIONALS.size])
    if not (has_primaries and has_luminance) or 0 in numbers[1::2]:
        return None
    ratios = [a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    points = [round(value * CHROMATICITY) for value in ratios[:8]]
    red, green, blue, white = zip(points[::2], points[1::2], strict=True)
    least, most = (round(value * LUMINANCE) for value in ratios[8:])
    return MasteringDisplay(
        red=red, green=green, blue=blue, white=white, min_luminance=least, max_luminance=most
    )


def light_level(first: VideoFrame) -> LightLevel | None:
    found = first.side_data.get(Type.CONTENT_LIGHT_LEVEL.name)
    if found is None:
        return None
    content, average = struct.unpack("<2I", bytes(found)[:8])
    return LightLevel(max_content=content, max_average=average)


def lost_in_decoding(first: VideoFrame) -> tuple[LostLabel, ...]:
    """What the pictures carry and no upscaled picture can: dynamic metadata."""
    names = {name for kind, name in _DYNAMIC.items() if kind.name in first.side_data}
    return tuple(LostLabel(of="film", label=n, value="present", found=None) for n in sorted(names))


def encoder_options(
    codec: Codec,
    options: dict[str, str],
    display: MasteringDisplay | None,
    light: LightLevel | None,
) -> dict[str, str]:
    """The options with the metadata among them; as they are for codecs without a place for it."""
    name, parts = _PARAMETERS.get(codec, ("", {}))
    said: list[str] = []
    if name and display is not None:
        said.append(f"{parts['display']}={_display(display, fractions=codec is Codec.AV1)}")
    if name and light is not None:
        said.append(f"{parts['light']}={light.max_content},{light.max_average}")
    if not said:
        return options
    return {**options, name: ":".join(filter(None, (options.get(name), *said)))}


_PARAMETERS = {
    Codec.H264: ("x264-params", {"display": "mastering-display", "light": "cll"}),
    Codec.HEVC: ("x265-params", {"display": "master-display", "light": "max-cll"}),
    Codec.AV1: ("svtav1-params", {"display": "mastering-display", "light": "content-light"}),
}


def _display(display: MasteringDisplay, *, fractions: bool) -> str:
    def point(pair: tuple[int, int], unit: int) -> str:
        return "({},{})".format(*(v / unit if fractions else v for v in pair))

    names = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    levels = display.max_luminance, display.min_luminance
    points = "".join(name + point(pair, CHROMATICITY) for name, pair in names.items())
    return f"{points}L{point(levels, LUMINANCE)}"


def write_boxes(
    file: BinaryIO | io.RawIOBase, display: MasteringDisplay | None, light: LightLevel | None
) -> None:
    """Add mdcv and clli (ISO/IEC 14496-12, 12.1.6) to an MP4 whose moov stands last.

    So a demuxer knows them, and what copies its stream writes them into MP4 or Matroska. `file` is
    open for reading and writing; files of another kind stay as they are.
    """
    boxes = b""
    if display is not None:
        corners = (*display.green, *display.blue, *display.red, *display.white)
        levels = display.max_luminance, display.min_luminance
        boxes += struct.pack(">I4s8H2I", 32, b"mdcv", *corners, *levels)
    if light is not None:
        boxes += struct.pack(">I4s2H", 12, b"clli", light.max_content, light.max_average)
    place = _last_moov(file) if boxes else None
    if place is None:
        return
    file.seek(place)
    moov = file.read(MAX_MOOV_BYTES) or b""
    file.seek(place)
    file.write(_with_boxes(moov, boxes))


def _last_moov(file: BinaryIO | io.RawIOBase) -> int | None:
    """Where it begins, if it is the file's last box."""
    place, end = 0, file.seek(0, io.SEEK_END)
    while place + 8 <= end:
        file.seek(place)
        head = file.read(16) or b""
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:
            return None
        if head[4:8] == b"moov" and place + size == end and size <= MAX_MOOV_BYTES:
            return place
        place += size
    return None


def _find(data: bytes, start: int, end: int, kind: bytes) -> int | None:
    """Where a box of that kind begins."""
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] == kind:
            return start
        if size < 8:
            return None
        start += size
    return None


def _with_boxes(moov: bytes, boxes: bytes) -> bytes:
    """The same moov with the boxes at the end of its first sample entry, all sizes corrected."""
    place, end, parents = 0, len(moov), []
    for kind in (*_CONTAINERS, b"stsd"):
        found = _find(moov, place, end, kind)
        if found is None:
            return moov
        parents.append(found)
        end = found + int.from_bytes(moov[found : found + 4], "big")
        place = found + 8
    entry = place + 8  # behind stsd's version and count
    if moov[entry + 4 : entry + 8] not in _SAMPLE_ENTRIES:
        return moov
    end = entry + int.from_bytes(moov[entry : entry + 4], "big")
    changed = bytearray(moov[:end] + boxes + moov[end:])
    for parent in (*parents, entry):
        size = int.from_bytes(changed[parent : parent + 4], "big") + len(boxes)
        changed[parent : parent + 4] = size.to_bytes(4, "big")
    return bytes(changed)
