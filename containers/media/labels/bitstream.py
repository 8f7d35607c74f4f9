"""Messages before a picture's first slice: ITU-T T.35 in H.264, HEVC, AV1 and MPEG-2 packets.

H.264 7.3.1 and D.1.6, H.265 7.3.1 and D.2.6: NAL units and SEI. AV1 5.3 and 5.8.2: OBUs and
metadata. H.262 6.2.2.2: user data.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_START = b"\0\0\1"
_LENGTH_BYTES = 4
"""Before NAL units in the MP4 files that FFmpeg writes."""
_T35_SEI, _T35_METADATA = 4, 4
_METADATA_OBU = b"\x2a"
"""Type 5, with its size."""
_ATSC = b"\xb5\x00\x31"
"""What T.35 says before ATSC's data; MPEG-2 has it without."""

Spans = Iterator[tuple[int, int, int]]
"""(begin, header, end): where a unit begins, with its length or start code, and without."""


@dataclass(frozen=True)
class _Syntax:
    """How to read the kind of a codec's units."""

    kind: Callable[[bytes, int], int]
    message: int
    slices: range
    header_bytes: int


_SYNTAXES = {
    "h264": _Syntax(lambda data, at: data[at] & 0x1F, 6, range(1, 6), 1),
    "hevc": _Syntax(lambda data, at: data[at] >> 1 & 0x3F, 39, range(32), 2),
    "av1": _Syntax(lambda data, at: data[at] >> 3 & 0x0F, 5, range(3, 8), 1),
    "mpeg2video": _Syntax(lambda data, at: data[at], 0xB2, range(1, 0xB0), 1),
}
"""By FFmpeg's name. AV1's kinds 3 to 7 are frames and their parts, but for 5, the message."""
WRITABLE = frozenset({"h264", "hevc", "av1"})


class Messages:
    """Reads the packets of one stream, whose header says how its units are delimited.

    With `fields` a packet may hold two pictures, a field each: then it is read to its end.
    """

    def __init__(self, codec: str, extradata: bytes, *, fields: bool = False) -> None:
        self._codec = codec
        self.fields = fields
        self._syntax = _SYNTAXES.get(codec)
        self._length_bytes = _length_bytes(codec, extradata)

    def __bool__(self) -> bool:
        """Whether the codec is one whose messages are read."""
        return self._syntax is not None

    def read(self, data: bytes) -> Iterator[bytes]:
        """T.35 messages from the country code on."""
        syntax = self._syntax
        if syntax is None:
            return
        for _, at, end in self._spans(data):
            kind = syntax.kind(data, at)
            if kind == syntax.message:
                yield from self._messages_in(data[at:end])
            elif kind in syntax.slices and not self.fields:
                return

    def with_messages(self, data: bytes, messages: list[bytes]) -> bytes:
        """The packet with these before its first slice; of a WRITABLE codec, as MP4 holds it."""
        syntax = self._syntax
        if syntax is None:
            raise ValueError(f"{self._codec} has no place for messages")
        for begin, at, _ in self._spans(data):
            kind = syntax.kind(data, at)
            if kind in syntax.slices and kind != syntax.message:
                return data[:begin] + self._unit(messages) + data[begin:]
        raise ValueError("a packet without a picture")

    def _spans(self, data: bytes) -> Spans:
        if self._codec == "av1":
            return _obus(data)
        if self._length_bytes:
            return _lengths(data, self._length_bytes)
        return _start_codes(data, self._is_last)

    def _is_last(self, data: bytes, at: int) -> bool:
        syntax = self._syntax
        return syntax is not None and not self.fields and syntax.kind(data, at) in syntax.slices

    def _messages_in(self, unit: bytes) -> Iterator[bytes]:
        if self._codec == "mpeg2video":
            yield _ATSC + unit[1:]
        elif self._codec == "av1":
            body = _obu_body(unit)
            if body[:1] == bytes([_T35_METADATA]):
                yield body[1:]
        elif self._syntax is not None:
            yield from _sei(unit[self._syntax.header_bytes :].replace(b"\0\0\3", b"\0\0"))

    def _unit(self, messages: list[bytes]) -> bytes:
        if self._codec == "av1":
            bodies = [bytes([_T35_METADATA]) + message + b"\x80" for message in messages]
            return b"".join(_METADATA_OBU + _leb128(len(body)) + body for body in bodies)
        header = b"\x06" if self._codec == "h264" else b"\x4e\x01"
        data = b"".join(bytes([_T35_SEI]) + _sei_size(len(m)) + m for m in messages)
        unit = header + _escape(data + b"\x80")
        return len(unit).to_bytes(_LENGTH_BYTES, "big") + unit


def _length_bytes(codec: str, extradata: bytes) -> int:
    """Of avcC and hvcC (ISO 14496-15); 0: start codes stand between the units."""
    place = {"h264": 4, "hevc": 21}.get(codec)
    if place is None or len(extradata) <= place or extradata[0] != 1:
        return 0
    return (extradata[place] & 3) + 1


def _lengths(data: bytes, size: int) -> Spans:
    place = 0
    while place + size < len(data):
        at = place + size
        end = at + int.from_bytes(data[place:at], "big")
        yield place, at, end
        place = end


def _start_codes(data: bytes, is_last: Callable[[bytes, int], bool]) -> Spans:
    """Up to the last unit that is needed: finding a slice's end takes the longest."""
    place = data.find(_START)
    while 0 <= place < len(data) - len(_START):
        at = place + len(_START)
        following = -1 if is_last(data, at) else data.find(_START, at)
        yield place, at, following if following >= 0 else len(data)
        place = following


def _obus(data: bytes) -> Spans:
    place = 0
    while place < len(data):
        size, at = _obu_size(data, place)
        end = len(data) if size is None else at + size
        yield place, place, end
        place = end


def _obu_size(data: bytes, place: int) -> tuple[int | None, int]:
    """(size, where it begins) of an OBU's body; None: all that follows."""
    at = place + 1 + bool(data[place] & 4)
    if not data[place] & 2:
        return None, at
    size = 0
    for shift in range(0, 56, 7):
        byte = data[at] if at < len(data) else 0
        at += 1
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    return size, at


def _obu_body(unit: bytes) -> bytes:
    _, at = _obu_size(unit, 0)
    return unit[at:]


def _leb128(value: int) -> bytes:
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])


def _sei(body: bytes) -> Iterator[bytes]:
    """The T.35 messages of a SEI unit without its escapes; broken ones end it."""
    place = 0
    while place + 2 < len(body):
        kind, place = _sei_number(body, place)
        size, place = _sei_number(body, place)
        if kind == _T35_SEI:
            yield body[place : place + size]
        place += size


def _sei_number(body: bytes, place: int) -> tuple[int, int]:
    value = 0
    while place < len(body) and body[place] == 0xFF:
        value, place = value + 0xFF, place + 1
    return value + (body[place] if place < len(body) else 0), place + 1


def _sei_size(size: int) -> bytes:
    return b"\xff" * (size // 0xFF) + bytes([size % 0xFF])


def _escape(body: bytes) -> bytes:
    """H.264 7.4.1: no three bytes look like a start code."""
    escaped, zeros = bytearray(), 0
    for byte in body:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = 0 if byte else zeros + 1
    return bytes(escaped)
