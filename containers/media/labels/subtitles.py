"""Converts text subtitles: the words stay, styles only where both forms have them.

mov_text: 3GPP TS 26.245 (16-bit length, UTF-8 or UTF-16 text, style boxes); SubRip: lines with
simple tags; WebVTT: W3C cue text; ASS as in Matroska: eight fields and the text, after commas.
"""

import html
import re

_TAGS = re.compile(r"</?[a-zA-Z][^<>]{0,63}>|\{\\[^{}]*\}")
_OVERRIDES = re.compile(r"\{[^{}]*\}")
_CUE_TAGS = re.compile(r"</?[a-zA-Z0-9][^<>]*>")
_SHARED_TAGS = re.compile(r"(</?[ibu]>)", re.IGNORECASE)
"""Italic, bold and underlined, which SubRip and WebVTT write alike."""
ASS_FIELDS_BEFORE_TEXT = 8
_LEFT_OUT = {
    "ass": "styles and positions",
    "ssa": "styles and positions",
    "mov_text": "styles",
    "subrip": "italics and other tags",
    "webvtt": "positions and other tags",
}


def convert_subtitle(payload: bytes, source: str, target: str) -> bytes:
    """A subtitle packet's bytes in another form; the same form gives the same bytes.

    `source` and `target` are FFmpeg's names. Empty words become a space, for an empty packet ends
    a title.
    """
    if source == target:
        return payload
    if (source, target) == ("subrip", "webvtt"):
        return _subrip_to_webvtt(_decoded(payload)).encode() or b" "
    text = subtitle_text(payload, source) or " "
    if target == "mov_text":
        raw = text.encode()[:0xFFFF].decode("utf-8", "ignore").encode()
        return len(raw).to_bytes(2, "big") + raw
    if target == "webvtt":
        return _escaped(text).encode()
    return text.encode()


def lost_in_conversion(source: str, target: str) -> str | None:
    """What `convert_subtitle` loses on the way to the other form, or None."""
    if source == target or source == "text":
        return None
    if (source, target) == ("subrip", "webvtt"):
        return "fonts and colours"
    return _LEFT_OUT.get(source)


def subtitle_text(payload: bytes, source: str) -> str:
    """What is read on the screen, lines separated by a newline."""
    if source == "mov_text":
        return _timed_text(payload)
    text = _decoded(payload)
    if source in ("ass", "ssa"):
        text = text.split(",", ASS_FIELDS_BEFORE_TEXT)[-1]
        text = _OVERRIDES.sub("", text).replace("\\h", "\u00a0")
        return text.replace("\\N", "\n").replace("\\n", "\n").strip("\n")
    if source == "webvtt":
        return html.unescape(_CUE_TAGS.sub("", text)).strip("\n")
    return _TAGS.sub("", text).strip("\n")


def _decoded(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").replace("\r\n", "\n")


def _timed_text(sample: bytes) -> str:
    length = int.from_bytes(sample[:2], "big")
    text = sample[2 : 2 + length]
    if text[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return text.decode("utf-16", "replace")
    return text.decode("utf-8", "replace")


def _subrip_to_webvtt(text: str) -> str:
    parts = _SHARED_TAGS.split(text)
    kept = [p.lower() if _SHARED_TAGS.fullmatch(p) else _escaped(_TAGS.sub("", p)) for p in parts]
    return "".join(kept).strip("\n")


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
