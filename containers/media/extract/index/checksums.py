"""FFV1's own checksums, for its decoder hides damage and reports none (RFC 9043, 4.9.3)."""

import zlib
from dataclasses import dataclass, field

from av.packet import Packet
from av.video.stream import VideoStream

_FOOTER_BYTES = 8
"""Of a slice: its size in three, its state in one, its checksum in four."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""The checksum takes the high bit first, zlib the low one."""
_NONE = 0xFFFF_FFFF
"""zlib's value for a register of zeros."""


@dataclass
class Checksums:
    """Checks the packets of one FFV1 stream. Other codecs pass, and FFV1 without checksums."""

    used: bool
    _any_whole: bool = False
    _wrong: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, stream: VideoStream) -> "Checksums":
        return cls(stream.codec_context.codec.canonical_name == "ffv1")

    def add(self, packet: Packet) -> None:
        if not self.used or packet.pts is None or packet.is_discard:
            return
        if _whole(bytes(packet)):
            self._any_whole = True
        else:
            self._wrong.append(packet.pts)

    def wrong(self) -> list[int]:
        """Timestamps of damaged packets. Where no checksum holds, there are none in this film."""
        return self._wrong if self._any_whole else []


def _whole(data: bytes) -> bool:
    """True if slices fill the packet and the remainder of each is zero."""
    end = len(data)
    while end > 0:
        size_at = end - _FOOTER_BYTES
        begin = size_at - int.from_bytes(data[size_at : size_at + 3]) if size_at >= 0 else -1
        if begin < 0 or zlib.crc32(data[begin:end].translate(_REVERSED), _NONE) != _NONE:
            return False
        end = begin
    return True
