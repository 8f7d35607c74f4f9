"""Plain subtitles between SubRip (UTF-8 lines with simple tags) and MP4's timed text."""

import re

_TAGS = re.compile(r"</?[a-zA-Z][^<>]{0,63}>|\{\\[^{}]*\}")


def mov_text_to_plain(sample: bytes) -> bytes:
    """The words of a timed text sample (3GPP TS 26.245: 16-bit length, text, style boxes)."""
    length = int.from_bytes(sample[:2], "big")
    text = sample[2 : 2 + length]
    if text[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return text.decode("utf-16", "replace").encode()
    return text


def plain_to_mov_text(text: bytes) -> bytes:
    """A timed text sample without styles; SubRip's tags are left out.

    Never an empty one, which means the time between titles.
    """
    words = _TAGS.sub("", text.decode("utf-8", "replace")).replace("\r\n", "\n").strip("\n")
    raw = (words or " ").encode()[:0xFFFF]
    return len(raw).to_bytes(2, "big") + raw
