"""Subtitles from one form of text to another."""

import pytest

from containers.media.labels.subtitles import (
    convert_subtitle,
    lost_in_conversion,
    subtitle_text,
)

ASS = b"0,0,Default,,0,0,0,,{\\i1}Hallo{\\i0}, du\\Nda"


@pytest.mark.parametrize(
    ("codec", "payload", "text"),
    [
        ("mov_text", b"\0\0", ""),
        ("mov_text", b"\0\5Hallo", "Hallo"),
        ("mov_text", b"\0\5Hallo\0\0\0\x0cstylxxxx", "Hallo"),
        ("mov_text", b"\0\6\xfe\xff\0H\0i", "Hi"),
        ("mov_text", "\0\7Grüße".encode(), "Grüße"),
        ("subrip", b"<i>Hallo</i> {\\an8}du\r\nda", "Hallo du\nda"),
        ("text", b"1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("ass", ASS, "Hallo, du\nda"),
        ("webvtt", b"<c.loud>1 &lt; 2</c> <00:00:01.000>da", "1 < 2 da"),
    ],
)
def test_the_words_of_each_form(codec: str, payload: bytes, text: str) -> None:
    assert subtitle_text(payload, codec) == text


@pytest.mark.parametrize(
    ("source", "target", "payload", "result"),
    [
        ("subrip", "mov_text", b"<i>Hallo</i> {\\an8}du\r\nda", b"\0\x0bHallo du\nda"),
        ("subrip", "mov_text", b"", b"\0\1 "),
        ("subrip", "webvtt", b"<I>a</I> <font color=red>b</font> & <3", b"<i>a</i> b &amp; &lt;3"),
        ("ass", "mov_text", ASS, b"\0\x0cHallo, du\nda"),
        ("ass", "webvtt", ASS, b"Hallo, du\nda"),
        ("webvtt", "mov_text", b"<b>a</b> &amp; b", b"\0\5a & b"),
        ("mov_text", "subrip", b"\0\5Hallo", b"Hallo"),
        ("mov_text", "webvtt", b"\0\5a & b", b"a &amp; b"),
    ],
)
def test_one_form_becomes_another(source: str, target: str, payload: bytes, result: bytes) -> None:
    assert convert_subtitle(payload, source, target) == result
    assert source == "text" or lost_in_conversion(source, target)


def test_the_same_form_keeps_its_bytes() -> None:
    assert convert_subtitle(ASS, "ass", "ass") == ASS
    assert lost_in_conversion("ass", "ass") is None


def test_a_title_too_long_for_timed_text_is_cut_between_letters() -> None:
    sample = convert_subtitle("ü".encode() * 40_000, "subrip", "mov_text")
    assert len(sample) == 2 + int.from_bytes(sample[:2], "big") == 2 + 0xFFFE
    assert subtitle_text(sample, "mov_text") == "ü" * 32_767
