"""Films, broken at random: what a fuzz run feeds to the examination."""

import functools
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from tests.support.films import Clip, make

SUBTITLES = ((0.1, 0.4, "eins"), (0.5, 0.8, "zwei"))
CHAPTERS = ((0.0, 0.5, "one"), (0.5, 1.0, "two"))
CLIPS = {
    "film.mp4": Clip(frames=25, audio="aac", chapters=CHAPTERS, subtitles=SUBTITLES,
                     subtitle_codec="mov_text", title="a film"),
    "film.mov": Clip(frames=8, codec="prores_ks", options={}, pixel_format="yuv422p10le"),
    "film.mkv": Clip(frames=25, audio="libopus", subtitles=SUBTITLES, attachment=bytes(300),
                     cover=True),
    "film.webm": Clip(frames=12, codec="libvpx-vp9", options={"deadline": "realtime"}),
    "film.ts": Clip(frames=25, codec="mpeg2video", options={"g": "12"}, audio="mp2"),
    "film.avi": Clip(frames=25, codec="mpeg4", options={"bf": "2"}, audio="ac3"),
    "film.mxf": Clip(frames=12, codec="mpeg2video", options={}),
    "film.flv": Clip(frames=25, audio="aac"),
    "film.mpg": Clip(frames=25, codec="mpeg2video", options={}, width=96),
}  # fmt: skip
NUMBERS = (0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x01000000)

Mutation = Callable[[bytearray], None]


def films(folder: Path) -> dict[str, bytes]:
    """One small film of each kind, whole."""
    return {name: make(folder / name, clip).read_bytes() for name, clip in CLIPS.items()}


def _flip(data: bytearray, place: int, mask: int) -> None:
    data[place] ^= mask


def _cut(data: bytearray, place: int) -> None:
    del data[place:]


def _remove(data: bytearray, place: int, length: int) -> None:
    del data[place : place + length]


def _repeat(data: bytearray, place: int, length: int) -> None:
    data[place:place] = data[place : place + length]


def _blank(data: bytearray, place: int, length: int, value: int) -> None:
    data[place : place + length] = bytes([value]) * len(data[place : place + length])


def _set(data: bytearray, place: int, number: int, order: str) -> None:
    data[place : place + 4] = number.to_bytes(4, "big" if order == "big" else "little")


def _swap(data: bytearray, place: int, other: int, length: int) -> None:
    first, second = data[place : place + length], data[other : other + length]
    data[place : place + len(first)], data[other : other + len(second)] = second, first


def _swap_boxes(data: bytearray, which: int) -> None:
    """Two neighbouring top-level boxes of an MP4 or MOV, if it is one."""
    places, place = [], 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size < 8:
            break
        places.append((place, place + size))
        place += size
    if len(places) > 1:
        (a, b), (_, c) = places[which % (len(places) - 1) :][:2]
        data[a:c] = data[b:c] + data[a:b]


def _splice(data: bytearray, place: int, length: int, other: bytes) -> None:
    data[place:place] = other[: length or 1]


def mutations(size: int, others: list[bytes]) -> st.SearchStrategy[list[Mutation]]:
    """One to six, for a film of `size` bytes; half of them in its first four kilobytes."""
    last = max(size - 1, 0)
    place = st.integers(0, min(4096, last)) | st.integers(0, last)
    length = st.integers(1, 64) | st.integers(1, max(size // 4, 1))
    number, order = st.sampled_from(NUMBERS), st.sampled_from(["big", "little"])
    kinds: list[st.SearchStrategy[Mutation]] = [
        _strategy(_flip, place, st.integers(1, 255)),
        _strategy(_cut, place),
        _strategy(_remove, place, length),
        _strategy(_repeat, place, length),
        _strategy(_blank, place, length, st.sampled_from([0, 0xFF])),
        _strategy(_set, place, number, order),
        _strategy(_swap, place, place, length),
        _strategy(_swap_boxes, st.integers(0, 8)),
        _strategy(_splice, place, length, st.sampled_from(others)),
    ]
    return st.lists(st.one_of(kinds), min_size=1, max_size=6)


def _strategy(
    mutate: Callable[..., None], *given: st.SearchStrategy
) -> st.SearchStrategy[Mutation]:
    return st.tuples(*given).map(lambda values: functools.partial(_apply, mutate, values))


def _apply(mutate: Callable[..., None], values: tuple[object, ...], data: bytearray) -> None:
    if data and not (isinstance(values[0], int) and values[0] >= len(data)):
        mutate(data, *values)
