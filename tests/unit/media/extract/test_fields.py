"""Interlaced and telecined film: found by its pictures, undone exactly, whatever the shards."""

import io
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from containers.common.film.deinterlacing import (
    Decode,
    FieldPlan,
    film_pictures,
)
from containers.common.film.pictures import Picture
from containers.media.extract.fields.cadence import judge_sample, measure_all
from containers.media.extract.fields.pulldown import film_frames
from containers.media.extract.fields.treatment import sample_places
from contracts.film.facts import FieldOrder
from contracts.names import ExitCode, Stage
from tests.support.bench import INTERMEDIATE_BUCKET, Bench
from tests.support.fields import (
    NTSC,
    distance,
    interlaced,
    make_result,
    moment,
    nearest,
    of_fields,
    progressive,
    read,
    telecined,
    write,
)

FLAGGED = {"preset": "ultrafast", "crf": "8", "g": "12", "x264-params": "tff=1"}
CODING_LOSS = 3.0
"""Levels."""


def extracted(path: Path, **settings: Any) -> Bench:
    bench = Bench(path, **settings)
    code = bench.extract()
    assert code == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    return bench


@pytest.mark.parametrize(
    ("pictures", "cadence", "order"),
    [
        (progressive(40), "progressive", None),
        (interlaced(40), "interlaced", "top"),
        (interlaced(40, top_first=False), "interlaced", "bottom"),
        (telecined(40, begin=3), "telecined", "top"),
        (telecined(40, top_first=False), "telecined", "bottom"),
    ],
)
@pytest.mark.parametrize("flagged", [True, False])
def test_the_pictures_decide_and_not_the_flags(
    pictures: list[Picture], cadence: str, order: str | None, flagged: bool, tmp_path: Path
) -> None:
    film = write(tmp_path / "film.mp4", pictures, NTSC, options=FLAGGED if flagged else None)
    evidence = extracted(film).manifest.fields.evidence
    assert (evidence.cadence, evidence.order) == (cadence, order)
    assert evidence.flagged_interlaced == flagged


@pytest.mark.parametrize(
    ("reduced", "lines"),
    [(4, 0.25), (4, 0.75), (4, 1.25), (2, 1), (3, 1), (6, 1)],
)
def test_rough_film_that_moves_by_about_a_line_a_frame_is_left_alone(
    reduced: int, lines: float
) -> None:
    """As credits do, and film made smaller without a filter: rough however it is woven."""
    height, width, frames = 72, 128, 8
    noise = np.random.default_rng(5).uniform(0, 255, ((height + 20) * reduced, width * reduced))
    fine = cv2.GaussianBlur(noise, (0, 0), reduced / 2)
    fine = (fine - fine.min()) / (fine.max() - fine.min()) * 235
    seen = [
        np.ascontiguousarray(fine[start : start + height * reduced : reduced, ::reduced])
        for start in (round(i * lines * reduced) for i in range(frames))
    ]
    film = [Picture(i, "gray", (luma.astype(np.uint8),)) for i, luma in enumerate(seen)]
    assert judge_sample(film).cadence == "progressive"


def test_film_cut_between_its_fields_is_put_together_again() -> None:
    shots = [moment(i) for i in range(31)]
    shifted = [of_fields(b, a) for a, b in itertools.pairwise(shots)]
    assert judge_sample(shifted).cadence == "shifted"
    film = film_frames(list(measure_all(shifted)), np.arange(30), 30, top_first=False)
    plan = FieldPlan("bottom", film.top, film.bottom, film.deinterlaced, 30)
    pictures = list(film_pictures(plan, np.arange(30), _decoder(shifted), 0, 30))
    assert [nearest(p, shots) for p in pictures[1:]] == [(i, 0.0) for i in range(1, 30)]


def test_a_still_film_is_left_alone_and_the_report_says_why(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", [moment(0)] * 30)
    fields = extracted(film).manifest.fields
    assert fields.treatment == "as_coded"
    assert fields.reason == "too little moves in 1 samples to judge by; flagged progressive"


def test_a_still_film_that_calls_itself_interlaced_is_believed(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", [moment(0)] * 30, options=FLAGGED)
    assert extracted(film).manifest.fields.treatment == "deinterlaced"


def test_deinterlaced_film_keeps_its_frames_and_times_and_loses_its_combs(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", interlaced(30))
    made = make_result(film, codec="ffv1", shard_seconds=0.5)
    manifest, ledger = made.bench.manifest, made.bench.report.ledger
    assert manifest.fields.treatment == "deinterlaced"
    assert made.bench.timestamps == [frame.pts for frame in read(film)]
    assert (ledger.frames_coded, ledger.frames_in_result, ledger.frames_removed) == (30, 30, 0)
    combed, clean = read(film), read(made.result)
    for number in range(2, 28):
        truth = moment(number)
        assert distance(_small(clean[number]), truth) < distance(combed[number], truth) / 2


def _small(picture: Picture) -> Picture:
    """Half as wide and high."""
    luma = picture.planes[0]
    half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return Picture(picture.pts, "gray", (np.asarray(half, np.uint8),))


def test_a_user_may_leave_combs_or_force_their_removal(tmp_path: Path) -> None:
    combed = write(tmp_path / "combed.mp4", interlaced(20))
    clean = write(tmp_path / "clean.mp4", progressive(20))
    assert extracted(combed, deinterlace="off").manifest.fields.treatment == "as_coded"
    assert extracted(clean, deinterlace="on").manifest.fields.treatment == "deinterlaced"
    assert extracted(clean).manifest.fields.treatment == "as_coded"


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_telecined_film_gets_its_own_frames_and_even_times_back(
    ending: str, tmp_path: Path
) -> None:
    film = write(
        tmp_path / f"film.{ending}", telecined(50), NTSC,
        pts=[7 + 1001 * i for i in range(50)], time_base=Fraction(1, 30000),
    )  # fmt: skip
    made = make_result(film, codec="ffv1" if ending == "mkv" else "h264", shard_seconds=0.5)
    manifest, ledger = made.bench.manifest, made.bench.report.ledger
    assert (ledger.frames_coded, ledger.frames_removed, ledger.frames_in_result) == (50, 10, 40)
    assert manifest.video.frame_rate == pytest.approx(Fraction(24000, 1001), rel=1e-3)
    seconds = np.array([float(t * manifest.video.time_base) for t in made.bench.timestamps])
    assert np.diff(seconds) == pytest.approx(1001 / 24000, abs=0.002)
    shots = [moment(i * 1.25) for i in range(41)]
    found = [nearest(_small(picture), shots) for picture in read(made.result)]
    assert [number for number, _ in found] == list(range(40))
    assert max(far for _, far in found) < CODING_LOSS * 2
    assert "3:2 pulldown" in manifest.fields.reason
    assert "10 cycles of five coded frames became four" in made.bench.report.fields.reason


@pytest.mark.parametrize("begin", range(5))
@pytest.mark.parametrize("top_first", [True, False])
def test_a_cut_after_the_telecine_loses_no_frame_of_the_film(begin: int, top_first: bool) -> None:
    coded = [
        *telecined(23, top_first=top_first),
        *telecined(40, begin=20 + begin, top_first=top_first)[20:],
    ]
    film = film_frames(list(measure_all(coded)), np.arange(43), 43, top_first=top_first)
    order: FieldOrder = "top" if top_first else "bottom"
    plan = FieldPlan(order, film.top, film.bottom, film.deinterlaced, 43)
    pictures = film_pictures(plan, np.arange(43), _decoder(coded), 0, len(film.top))
    shots = [moment(i * 1.25) for i in range(60)]
    shown = {nearest(picture, shots)[0] for picture in pictures}
    whole = {nearest(picture, shots)[0] for picture in coded if nearest(picture, shots)[1] == 0}
    assert whole <= shown
    assert film.proved >= 5


def _decoder(pictures: list[Picture]) -> Decode:
    def decode(first: int, count: int) -> Iterator[Picture]:
        assert 0 <= first <= first + count <= len(pictures)
        return iter(pictures[first : first + count])

    return decode


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_frame_is_the_same_whatever_shards_it_is_made_in(length: int) -> None:
    coded = [*telecined(20), *interlaced(7), *telecined(33)[20:]]
    film = film_frames(list(measure_all(coded)), np.arange(40), 40, top_first=True)
    assert 0 < film.deinterlaced.sum() < len(film.top)
    woven = FieldPlan("top", film.top, film.bottom, film.deinterlaced, 40)
    for plan in (woven, FieldPlan.all_deinterlaced("bottom", 40)):
        frames = len(plan.top)
        stamps = np.arange(frames) * 3
        whole = list(film_pictures(plan, stamps, _decoder(coded), 0, frames))
        assert [p.pts for p in whole] == stamps.tolist()
        for first in range(0, frames, length):
            count = min(length, frames - first)
            for got, wanted in zip(
                film_pictures(plan, stamps, _decoder(coded), first, count),
                whole[first : first + count],
                strict=True,
            ):
                assert got.pts == wanted.pts
                assert all(map(np.array_equal, got.planes, wanted.planes))


def test_repeat_flags_of_film_are_no_telecine(tmp_path: Path) -> None:
    """Soft pulldown: MPEG-2 stores the film's frames and lets the player repeat fields."""
    hard = write(
        tmp_path / "plain.mkv", progressive(24), NTSC, "mpeg2video",
        {"g": "6", "bf": "0", "flags": "+ildct"}, pts=range(24),
    )  # fmt: skip
    soft, stamps = tmp_path / "soft.ts", [i // 2 * 5 + i % 2 * 2 for i in range(24)]
    with av.open(str(hard)) as source, av.open(str(soft), "w", format="mpegts") as out:
        target = out.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = [p for p in source.demux(video=0) if p.size]
        for number, (packet, stamp) in enumerate(zip(packets, stamps, strict=True)):
            flagged = av.Packet(_with_repeat_flag(bytes(packet), repeat=number % 2 == 1))
            flagged.stream, flagged.time_base = target, Fraction(1001, 60000)
            flagged.pts = flagged.dts = stamp
            flagged.is_keyframe = packet.is_keyframe
            out.mux(flagged)
    manifest = extracted(soft).manifest
    assert manifest.fields.treatment == "as_coded"
    assert manifest.video.frames == 24
    steps = np.diff(np.load(io.BytesIO(_stored_timestamps(soft)))) * 1.0
    assert sorted({round(step / 1501.5) for step in steps}) == [2, 3]


def _stored_timestamps(path: Path) -> bytes:
    bench = extracted(path)
    ref = bench.manifest.timestamps
    return bench.s3.objects[INTERMEDIATE_BUCKET, ref.key]["data"]


def _with_repeat_flag(payload: bytes, *, repeat: bool) -> bytes:
    """Set progressive_frame, and repeat_first_field where asked (ISO/IEC 13818-2, 6.2.3.1)."""
    data = bytearray(payload)
    place = data.index(b"\0\0\1\xb5", data.index(b"\0\0\1\0")) + 4
    assert data[place] >> 4 == 8
    data[place + 3] = data[place + 3] | (2 if repeat else 0)
    data[place + 4] |= 0x80
    return bytes(data)


def test_samples_are_spread_and_begin_at_keyframes() -> None:
    stamps = np.arange(3000) * 40
    places = sample_places(stamps, stamps[::100])
    assert set(places) <= set(range(0, 3000, 100))
    assert {0, 2900} <= set(places[:5])
    assert min(abs(a - b) for a, b in itertools.combinations(places, 2)) >= 100
    assert sample_places(stamps[:30], stamps[:1]) == [0]
