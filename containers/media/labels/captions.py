"""Captions within pictures (CEA-608 and CEA-708), from the source's packets into the result's.

ATSC A/53 part 4, 6.2.3, gives their form in MPEG-2 pictures, SCTE 128 in H.264; HEVC and AV1 took
it over. They are moved as they are, byte by byte, from picture to picture by time.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from containers.media.labels.bitstream import WRITABLE, Messages
from contracts.film.facts import Video

_HEAD = b"\xb5\x00\x31GA94\x03"
_ANY, _COUNT = 0x40, 0x1F
"""Bits of the byte that follows: there is caption data, and how many triplets."""
_TRIPLET = 3
_LOOKED_AT = 64 * 1024
"""Bytes of a packet of one picture; messages stand before its first slice."""

ARRAYS = ("caption_pts", "caption_sizes", "caption_data")
ByTime = Mapping[int, bytes]
"""Triplets (cc_data) by the timestamp of the film's frame that carries them."""


@dataclass
class Captions:
    """The triplets of a stream's packets, in the file's order, as they come."""

    pts: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    """Bytes that belong to each timestamp."""
    data: bytearray = field(default_factory=bytearray)
    untimed: int = 0
    """Packets with captions and without a timestamp."""
    unread: int = 0
    """Packets with captions in another form (see `is_unread`)."""

    def add(self, packet: Packet, messages: Messages) -> None:
        """Add the captions that a packet of the film carries."""
        if not messages or packet.is_discard:
            return
        head = bytes(memoryview(packet)[: None if messages.fields else _LOOKED_AT])
        found = list(messages.read(head))
        data = b"".join(map(triplets, found))
        if data and packet.pts is None:
            self.untimed += 1
        elif data:
            self._take(packet.pts or 0, data)
        elif any(map(is_unread, found)):
            self.unread += 1

    def _take(self, pts: int, data: bytes) -> None:
        self.pts.append(pts)
        self.sizes.append(len(data))
        self.data += data

    def retimed(self, shown: Mapping[int, int]) -> "Captions":
        """The same at other times, by the packets' timestamps."""
        captions = Captions(untimed=self.untimed, unread=self.unread)
        for pts, data in self.in_order():
            if pts in shown:
                captions._take(shown[pts], data)
            else:
                captions.untimed += 1
        return captions

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """As `from_arrays` takes them."""
        padded = bytes(self.data) + bytes(-len(self.data) % 8)
        numbers = np.array(self.pts, np.int64), np.array(self.sizes, np.int64)
        return dict(zip(ARRAYS, (*numbers, np.frombuffer(padded, np.int64)), strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.int64]]) -> "Captions":
        """Raises ValueError or KeyError for arrays that do not belong together."""
        pts, sizes, words = (arrays[name] for name in ARRAYS)
        total = int(sizes.sum())
        whole = bool((sizes > 0).all() and (sizes % _TRIPLET == 0).all())
        if len(pts) != len(sizes) or not whole or len(words) != -(-total // 8):
            raise ValueError("captions that do not belong together")
        data = bytearray(words.tobytes()[:total])
        return cls(array("q", pts.tolist()), array("q", sizes.tolist()), data)

    def in_order(self) -> Iterator[tuple[int, bytes]]:
        """(timestamp, triplets), by time."""
        ends = np.cumsum(np.array(self.sizes, np.int64))
        for place in np.argsort(np.array(self.pts, np.int64), kind="stable").tolist():
            end = int(ends[place])
            yield self.pts[place], bytes(self.data[end - self.sizes[place] : end])


def messages_of(stream: VideoStream, *, fields: bool = False) -> Messages:
    """A reader for the stream's packets; `fields`: they may hold a picture for each field."""
    context = stream.codec_context
    return Messages(context.codec.canonical_name, bytes(context.extradata or b""), fields=fields)


def triplets(message: bytes) -> bytes:
    """The captions (cc_data) of a T.35 message; nothing of others."""
    place = len(_HEAD)
    if not message.startswith(_HEAD) or len(message) < place + 2 or not message[place] & _ANY:
        return b""
    size = (message[place] & _COUNT) * _TRIPLET
    data = message[place + 2 : place + 2 + size]
    return data[: len(data) // _TRIPLET * _TRIPLET]


def is_unread(message: bytes) -> bool:
    """True of captions as MPEG-2 has them on DVDs, and by SCTE 20."""
    kind = message.removeprefix(_HEAD[:3])
    return kind.startswith(b"CC\x01\xf8") or (
        kind[:1] == b"\x03" and kind[1:2] in (b"\x01", b"\x81")
    )


def place_captions(
    captions: Captions, time_base: Fraction, timestamps: NDArray[np.int64], video: Video
) -> dict[int, bytes]:
    """Captions by frame: each goes to the frame shown at its time, and none outside the film.

    `time_base` is of the captions' timestamps. Telecined film has fewer frames than its source:
    then some take over the captions of two.
    """
    units, by_time = time_base / video.time_base, dict[int, bytes]()
    for pts, data in captions.in_order():
        time = pts * units.numerator // units.denominator
        if video.start_pts <= time < video.end_pts:
            frame = int(timestamps[np.searchsorted(timestamps, time, side="right") - 1])
            by_time[frame] = by_time.get(frame, b"") + data
    return by_time


def as_messages(data: bytes) -> list[bytes]:
    """T.35 messages that hold the triplets, each 31 at most."""
    step = _COUNT * _TRIPLET
    parts = [data[i : i + step] for i in range(0, len(data), step)]
    return [_HEAD + bytes([_ANY | len(part) // _TRIPLET, 0xFF]) + part + b"\xff" for part in parts]


def can_carry(codec: str) -> bool:
    """Whether the result's pictures have a place for captions."""
    return codec in WRITABLE
