"""Finds a picture size that changes within a film while packets are read; hardly any is decoded.

A codec states its size in parameter sets or in the head of a keyframe, so these bytes change with
it. A keyframe is decoded, by itself, only if it has such bytes that none had before it.
"""

import hashlib

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from containers.common.film.media_errors import suppress_media_errors

LOOK_SECONDS = 0.5
"""Between keyframes that are searched for parameter sets; intra codecs have one a frame."""
MAX_DECODED = 64
"""Keyframes; of a film with more of these headers, a change is found when all is decoded."""
_EXTRACT = "extract_extradata"
_FILTERS = {
    "h264": f"h264_mp4toannexb,{_EXTRACT}",
    "hevc": f"hevc_mp4toannexb,{_EXTRACT}",
    "vvc": f"vvc_mp4toannexb,{_EXTRACT}",
    "av1": _EXTRACT,
    "mpeg1video": _EXTRACT,
    "mpeg2video": _EXTRACT,
    "mpeg4": _EXTRACT,
    "vc1": _EXTRACT,
}
"""FFmpeg's filters that take the parameter sets out of a packet."""
_HEADS = {
    "vp8": slice(6, 10),  # RFC 6386, 9.1
    "vp9": slice(0, 9),  # VP9 bitstream specification, 6.2: up to frame_size()
    "prores": slice(16, 20),  # SMPTE RDD 36, 5.1.1
    "dnxhd": slice(24, 28),  # SMPTE ST 2019-1, 7.2
}
"""Bytes of a keyframe that hold its size."""


class SizeWatch:
    """Looks at the packets of one video stream, in the file's order."""

    def __init__(self, stream: VideoStream, size: tuple[int, int]) -> None:
        """`size`: (width, height) of the first picture."""
        self._codec = stream.codec_context.codec.canonical_name
        self._extradata = stream.codec_context.extradata
        self._size = size
        context = stream.codec_context
        self._announced = context.width, context.height
        self._head = _HEADS.get(self._codec)
        self._extract = _filter(self._codec, stream)
        self._seen: set[bytes] = set()
        self._next_look = float("-inf")

    def find_change(self, packet: Packet) -> tuple[int, int] | None:
        """(width, height) of a keyframe that has another size than the first; else None."""
        if packet.has_sidedata("new_extradata"):
            self._extradata = bytes(packet.get_sidedata("new_extradata"))
            return self._judge(packet, self._extradata)
        if not packet.is_keyframe:
            return None
        if self._head is not None:
            return self._judge(packet, bytes(memoryview(packet)[self._head]))
        if self._extract is not None and self._due(packet):
            return self._judge(packet, _extract_parameter_sets(self._extract, packet))
        return None

    def _due(self, packet: Packet) -> bool:
        if packet.pts is None:
            return True
        seconds = float(packet.pts * packet.time_base)
        if seconds < self._next_look:
            return False
        self._next_look = seconds + LOOK_SECONDS
        return True

    def _judge(self, packet: Packet, headers: bytes) -> tuple[int, int] | None:
        digest = hashlib.sha256(headers).digest()
        if digest in self._seen or len(self._seen) > MAX_DECODED:
            return None
        self._seen.add(digest)
        if len(self._seen) == 1:  # the first picture's own
            return None
        size = decode_size(self._codec, self._extradata, self._announced, packet)
        return None if size in (None, self._size) else size


def _filter(codec: str, stream: VideoStream) -> BitStreamFilterContext | None:
    if codec not in _FILTERS:
        return None
    with suppress_media_errors():  # of a header that the filter cannot read
        return BitStreamFilterContext(_FILTERS[codec], stream)
    return None


def _extract_parameter_sets(extract: BitStreamFilterContext, packet: Packet) -> bytes:
    """b"" for a keyframe that has none, and so is decoded with those before it."""
    filtered: list[Packet] | None = None
    with suppress_media_errors():
        filtered = extract.filter(Packet(bytes(packet)))  # it takes what it is given
    if filtered is None:
        extract.flush()
        return b""
    found = (p.get_sidedata("new_extradata") for p in filtered if p.has_sidedata("new_extradata"))
    return b"".join(bytes(headers) for headers in found)


def decode_size(
    codec: str, extradata: bytes | None, announced: tuple[int, int], packet: Packet
) -> tuple[int, int] | None:
    """(width, height) of that one keyframe; None where it gives no picture.

    `announced`: what the file says, by which H.264's decoder crops.
    """
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)  # noqa: S101 - of a video stream
    context.extradata = extradata
    context.width, context.height = announced
    with suppress_media_errors():
        frames = [*context.decode(packet), *context.decode(None)]
        good = [frame for frame in frames if not frame.is_corrupt]
        return (good[0].width, good[0].height) if good else None
    return None
