"""Every frame and sound at its time: clocks that wrap, late starts, odd rates, edit lists."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.films import (
    OPEN_GOP,
    X264,
    Clip,
    decode_all,
    make,
)
from tests.unit.media.support import run_job, sound, times, with_edits

WRAP = 2**33
"""Units of 90 kHz after which the clock of MPEG-TS starts anew (ISO 13818-1, 2.4.3.7)."""
AS_GIVEN = {"mpegts_copyts": "1", "muxdelay": "0"}
TS = {"time_base": Fraction(1, 90000), "options": OPEN_GOP, "muxer_options": AS_GIVEN}
HOURS = 3 * 3600
RATES = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001))

FILMS: dict[str, Clip] = {
    "wraps-after-a-second.ts": Clip(
        pts=[WRAP - 90000 + 3600 * i for i in range(60)], audio="mp2", **TS
    ),
    "wraps-after-a-minute.ts": Clip(
        pts=[WRAP - 80 * 90000 + 45000 * i for i in range(170)], rate=Fraction(2), audio="mp2", **TS
    ),
    "hours.ts": Clip(pts=[HOURS * 90000 + 3600 * i for i in range(50)], audio="mp2", **TS),
    "hours.mp4": Clip(
        pts=[HOURS * 90000 + 3003 * i for i in range(40)], time_base=Fraction(1, 90000), audio="aac"
    ),
    "hours.mkv": Clip(
        pts=[HOURS * 1000 + 40 * i for i in range(40)], time_base=Fraction(1, 1000), audio="libopus"
    ),
    **{f"{rate.numerator}.mp4": Clip(rate=rate, audio="aac") for rate in RATES},
    **{f"{rate.numerator}.ts": Clip(rate=rate, options=OPEN_GOP, audio="mp2") for rate in RATES},
}  # fmt: skip


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("name", FILMS)
def test_frames_and_sound_keep_their_times(name: str, container: str, tmp_path: Path) -> None:
    bench, result = run_job(
        tmp_path, make(tmp_path / name, FILMS[name]), container=container, shard_seconds=0.9
    )
    planned, shown = times(bench.film), times(result)
    moved = shown[0] - planned[0]
    if name != "wraps-after-a-second.ts":  # whose frames before the wrap FFmpeg puts below zero
        assert abs(moved) <= (0 if container == "mp4" else Fraction(1, 1000))
    apart = [abs(s - p - moved) for s, p in zip(shown, planned, strict=True)]
    assert max(apart) <= (0 if container == "mp4" else Fraction(1, 1000))
    assert sound(result)[1] == pytest.approx(sound(bench.film)[1], abs=0.001)
    (stream,) = bench.report.ledger.streams
    assert stream.result_offset_seconds == pytest.approx(stream.offset_seconds, abs=0.001)


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_of_1001ths_is_exact(rate: Fraction, tmp_path: Path) -> None:
    bench, result = run_job(tmp_path, make(tmp_path / "film.mp4", rate=rate), container="mp4")
    assert bench.manifest.video.frame_rate == rate
    assert times(result) == [number / rate for number in range(40)]


EDITS: dict[str, Sequence[tuple[int, int]]] = {
    "begins late": [(500, -1), (1600, 0)],
    "begins within a group": [(800, 15 * 512)],
    "two parts": [(480, 0), (480, 24 * 512)],
}
"""(milliseconds shown, first unit of the track shown; -1: nothing)."""


@pytest.mark.parametrize("edits", EDITS)
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_an_edit_list_decides_what_is_shown_and_when(
    edits: str, container: str, tmp_path: Path
) -> None:
    film = make(tmp_path / "film.mp4", options={**X264, "bf": "0"})
    with_edits(film, EDITS[edits])
    planned = [frame.pts for frame in decode_all(film)]
    bench, result = run_job(tmp_path, film, container=container, shard_seconds=0.4)
    assert bench.timestamps == planned
    assert times(result) == times(film)
    assert len(planned) == {"begins late": 40, "begins within a group": 20, "two parts": 24}[edits]


def test_sound_before_the_film_is_hidden_in_matroska_as_it_was_in_mp4(tmp_path: Path) -> None:
    film = make(tmp_path / "film.mp4", pts=range(-5, 35), audio="aac")
    _, result = run_job(tmp_path, film, container="mkv")
    heard = []
    for path in (film, result):
        with av.open(str(path)) as container:
            frames = list(container.decode(audio=0))
            heard.append(b"".join(frame.to_ndarray().tobytes() for frame in frames))
            assert frames[0].time == 0.0
    assert heard[0] == heard[1]
