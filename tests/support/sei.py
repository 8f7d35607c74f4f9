"""Films whose pictures carry messages (SEI, user data), put into the encoder's packets by hand."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from tests.support.films import (
    FORMATS,
    X264,
    picture,
)

START = b"\0\0\1"
T35 = 4
"""user_data_registered_itu_t_t35, of ITU-T H.264 D.1.6 and H.265 D.2.6."""
_SEI = {"libx264": b"\x06", "libx265": b"\x4e\x01"}
_SLICES = {"libx264": range(1, 6), "libx265": range(32), "mpeg2video": range(1, 0xB0)}


def sei(codec: str, payload: bytes) -> bytes:
    """A unit with one T.35 message; of MPEG-2, whose user data begins behind the ATSC's code."""
    if codec == "mpeg2video":
        return START + b"\xb2" + payload.removeprefix(b"\xb5\x00\x31")
    body = bytes([T35]) + b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255]) + payload
    escaped, zeros = bytearray(), 0
    for byte in body + b"\x80":
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = 0 if byte else zeros + 1
    return b"\0" + START + _SEI[codec] + bytes(escaped)


def _is_slice(codec: str, header: int) -> bool:
    kinds = {"libx264": header & 0x1F, "libx265": header >> 1 & 0x3F}
    return kinds.get(codec, header) in _SLICES[codec]


def with_message(codec: str, data: bytes, payload: bytes) -> bytes:
    """The packet with the message before its first slice."""
    place = data.find(START)
    while not _is_slice(codec, data[place + len(START)]):
        place = data.index(START, place + 1)
    place -= data[place - 1 : place] == b"\0"
    return data[:place] + sei(codec, payload) + data[place:]


def film_with_messages(
    path: Path,
    message: Callable[[int], bytes],
    *,
    codec: str = "libx264",
    frames: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """`message(n)`: what frame n, in the order of showing, carries. 64x48 at 25 a second."""
    rate = Fraction(25)
    with av.open(str(path), "w", format=FORMATS.get(path.suffix)) as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options or X264)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = 1 / rate
        for number in range(frames + 1):
            frame = None
            if number < frames:
                frame = VideoFrame.from_ndarray(picture(number, 64, 48), "rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = number, 1 / rate
            for packet in stream.encode(frame):
                shown = round((packet.pts or 0) * packet.time_base * rate)
                changed = Packet(with_message(codec, bytes(packet), message(shown)))
                changed.stream, changed.time_base = stream, packet.time_base
                changed.pts, changed.dts = packet.pts, packet.dts
                changed.is_keyframe = packet.is_keyframe
                out.mux(changed)
    return path


def caption_triplets(number: int) -> bytes:
    """A word of CEA-608's first field and one of CEA-708; zeros, as captions are full of them."""
    return bytes([0xFC, 0x20 + number, 0x80, 0xFF, 0x02, number, 0xFA, 0, 0, 0xFA, 0, 0])


def caption_message(number: int) -> bytes:
    data = caption_triplets(number)
    return b"\xb5\x00\x31GA94\x03" + bytes([0x40 | len(data) // 3, 0xFF]) + data + b"\xff"


def shown_captions(path: Path) -> list[bytes]:
    """What FFmpeg's decoder finds at each frame, in the order of showing."""
    with av.open(str(path)) as film:
        frames: list[VideoFrame] = list(film.decode(video=0))
    return [bytes(frame.side_data.get("A53_CC") or b"") for frame in frames]
