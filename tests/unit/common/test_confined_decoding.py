"""A film decoded in a confined child: the same pictures, and each end is one sentence."""

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.decoding import decode_frames
from containers.common.film.opening import FilmFile
from containers.common.film.pictures import Picture, PictureReader
from containers.common.runtime.errors import WorkerError
from contracts.names import ExitCode
from tests.support.films import (
    Clip,
    damage,
    decode_all,
    make,
)
from tests.unit.common.support import (
    LIMITS,
    PROGRAMS,
    video,
)

pytestmark = pytest.mark.usefixtures("nothing_left")

CLIPS = {
    "8-bit.mp4": Clip(frames=30),
    "odd.mkv": Clip(frames=20, width=63, height=37, pixel_format="yuv444p"),
    "10-bit.mkv": Clip(frames=20, codec="libx265", pixel_format="yuv420p10le",
                       options={"preset": "ultrafast", "x265-params": "log-level=none"}),
    "rgb.mkv": Clip(frames=20, codec="ffv1", options={}, pixel_format="bgr0"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("held", [1, 20])
def test_a_confined_decoder_gives_the_same_pictures(name: str, held: int, tmp_path: Path) -> None:
    clip = CLIPS[name]
    data = make(tmp_path / name, clip).read_bytes()
    film = [frame.pts for frame in decode_all(tmp_path / name)]
    reader = PictureReader()
    frames = decode_frames(FilmFile(io.BytesIO(data)), film)
    expected = [reader.read(frame, frame.pts or 0) for frame in frames]
    facts = video(clip.pixel_format, clip.width, clip.height)
    with FilmDecoder(LIMITS, name) as decoder:
        for first in (len(film) // 2, 0):
            wanted = np.array(film[first:])
            shown: list[Any] = []
            for number, picture in enumerate(
                decoder.pictures(io.BytesIO(data), len(data), facts, wanted, first_frame=first)
            ):
                shown = [*shown, (number, picture)][-held:]
                for index, kept in shown:
                    like = expected[first + index]
                    assert (kept.pts, kept.pixel_format) == (like.pts, like.pixel_format)
                    for mine, theirs in zip(kept.planes, like.planes, strict=True):
                        np.testing.assert_array_equal(mine, theirs)
        assert decoder.busy_seconds > 0


def shown_by(
    program: str, pixel_format: str = "yuv420p", stamps: int = 2, **limits: Any
) -> list[Picture]:
    with FilmDecoder(replace(LIMITS, **limits), "film.mp4", PROGRAMS + program) as decoder:
        pictures = decoder.pictures(io.BytesIO(b"film"), 4, video(pixel_format), np.arange(stamps))
        return list(pictures)


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("show_beyond_the_ring", ExitCode.BAD_SOURCE, "send what no decoder would"),
        ("show_another_time", ExitCode.BAD_SOURCE, "send what no decoder would"),
        ("show_nothing", ExitCode.BAD_SOURCE, "send what no decoder would"),
        ("show_twice", ExitCode.BAD_SOURCE, "send what no decoder would"),
        ("shrink", ExitCode.CRASH, "PermissionError"),
        ("crash", ExitCode.BAD_SOURCE, "crashes the decoder (SIGSEGV)"),
        ("hang", ExitCode.LIMIT_EXCEEDED, "no sign of life for 0.5 s"),
    ],
)
def test_a_decoder_that_a_film_took_over_only_ends_its_job(
    program: str, code: ExitCode, words: str
) -> None:
    with pytest.raises(WorkerError) as caught:
        shown_by(program, stall_seconds=0.5)
    assert caught.value.exit_code is code
    assert words in caught.value.message


def test_samples_out_of_range_are_cut_to_it() -> None:
    (picture,) = shown_by("show_what_is_out_of_range", "yuv420p10le", 1)
    assert [int(plane.max()) for plane in picture.planes] == [1023] * 3


@pytest.mark.logs_errors
def test_the_ring_cannot_shrink_even_without_the_filter() -> None:
    with pytest.raises(WorkerError, match="PermissionError"):
        shown_by("shrink", filtered=False)


def test_a_slow_reader_is_not_taken_for_a_hanging_decoder(tmp_path: Path) -> None:
    data = make(tmp_path / "film.mp4", frames=40).read_bytes()
    stamps = np.array([frame.pts for frame in decode_all(tmp_path / "film.mp4")])
    with FilmDecoder(replace(LIMITS, stall_seconds=0.4), "film.mp4") as decoder:
        pictures = decoder.pictures(io.BytesIO(data), len(data), video(), stamps)
        kept = next(pictures)
        time.sleep(1)
        assert len(list(pictures)) == len(stamps) - 1
        assert kept.pts == 0


def test_a_damaged_frame_is_named_by_its_number(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mp4", options={"bf": "0", "g": "12"})
    stamps = np.array([frame.pts for frame in decode_all(path)])
    data = damage(path, [20]).read_bytes()
    with (
        FilmDecoder(replace(LIMITS, memory_mib=256), "film.mp4") as decoder,
        pytest.raises(WorkerError, match=r"film.mp4: frame 20 \(at 0.800 s\)"),
    ):
        list(decoder.pictures(io.BytesIO(data), len(data), video(), stamps))


def test_a_film_that_needs_too_much_memory_is_not_called_damaged(tmp_path: Path) -> None:
    """Decoders say that they got none, drop the picture, or break off amid a reading."""
    path = make(tmp_path / "film.mkv", frames=6, width=3840, height=2160)
    data, stamps = path.read_bytes(), np.array([frame.pts for frame in decode_all(path)])
    facts = video(width=3840, height=2160)
    for mib in (112, 128):
        with (
            FilmDecoder(replace(LIMITS, memory_mib=mib), "film.mkv") as decoder,
            pytest.raises(WorkerError) as refused,
        ):
            list(decoder.pictures(io.BytesIO(data), len(data), facts, stamps))
        assert refused.value.exit_code is ExitCode.LIMIT_EXCEEDED
        assert f"needs more than {mib} MiB" in refused.value.message
        assert "(decode_memory_mib)" in refused.value.message
