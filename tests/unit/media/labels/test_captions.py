"""Captions within the pictures: they come through byte by byte, or are reported as lost."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media.labels.bitstream import Messages
from containers.media.labels.captions import (
    Captions,
    as_messages,
    place_captions,
    triplets,
)
from containers.media.recompose import composer
from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.sei import (
    START,
    caption_message,
    caption_triplets,
    film_with_messages,
    shown_captions,
    with_message,
)
from tests.unit.media.support import run_real_job
from tests.unit.upscaler.support import manifest

HEVC = {"preset": "ultrafast", "x265-params": "log-level=error"}
SOURCES = {
    "h264.mp4": ("libx264", None),
    "h264.ts": ("libx264", None),
    "mpeg2.ts": ("mpeg2video", {"bf": "2", "g": "6"}),
}


@pytest.mark.parametrize(
    ("source", "codec", "container"),
    [
        ("h264.mp4", "h264", "mp4"),
        ("h264.ts", "hevc", "mkv"),
        ("mpeg2.ts", "av1", "webm"),
    ],
)
def test_captions_stay_with_their_frames(
    source: str, codec: str, container: str, tmp_path: Path
) -> None:
    encoder, options = SOURCES[source]
    film = film_with_messages(
        tmp_path / source, caption_message, codec=encoder, frames=24, options=options
    )
    bench = Bench(film, codec=codec, container=container, shard_seconds=0.4)
    result = run_real_job(bench, tmp_path)
    assert len(bench.manifest.shards) > 1
    assert shown_captions(film) == [caption_triplets(n) for n in range(24)]
    assert shown_captions(result) == shown_captions(film)
    ledger = bench.report.ledger
    assert (ledger.captioned_frames, [x.label for x in ledger.lost]) == (24, [])


def test_captions_of_hevc_and_of_some_frames_only(tmp_path: Path) -> None:
    def some(number: int) -> bytes:
        return caption_message(number) if number % 3 else b"\xb5\x00\x31DTG1\x41\xff"

    film = film_with_messages(tmp_path / "film.mkv", some, codec="libx265", options=HEVC)
    bench = Bench(film)
    result = run_real_job(bench, tmp_path)
    assert shown_captions(result) == [caption_triplets(n) if n % 3 else b"" for n in range(12)]
    assert bench.report.ledger.captioned_frames == 8


def test_captions_that_the_codec_cannot_hold_are_reported(tmp_path: Path) -> None:
    film = film_with_messages(tmp_path / "film.mp4", caption_message)
    bench = Bench(film, codec="prores")
    run_real_job(bench, tmp_path)
    ledger = bench.report.ledger
    lost = [(x.label, x.value, x.found) for x in ledger.lost if x.label == "captions"]
    assert lost == [("captions", "CEA-608/708 in 12 pictures", None)]
    assert ledger.captioned_frames == 0


@pytest.mark.parametrize("user_data", [b"CC\x01\xf8\x9e\xff\x20\x20", b"\x03\x81\x0f\xff\x20\x20"])
def test_captions_in_forms_that_are_not_read_are_reported(user_data: bytes, tmp_path: Path) -> None:
    """MPEG-2's user data as DVDs have it, and as SCTE 20 does."""
    film = film_with_messages(
        tmp_path / "film.ts", lambda _: user_data, codec="mpeg2video", frames=6, options={"g": "6"}
    )
    bench = Bench(film)
    run_real_job(bench, tmp_path)
    lost = [(x.label, x.value) for x in bench.report.ledger.lost if x.label == "captions"]
    assert lost == [("captions", "of DVDs or SCTE 20 in 6 pictures")]


@pytest.mark.logs_errors
def test_captions_that_went_missing_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(film_with_messages(tmp_path / "film.mp4", caption_message))
    assert (bench.extract(), bench.upscale()) == (ExitCode.OK, ExitCode.OK)
    monkeypatch.setattr(
        composer, "PROGRAM", "tests.unit.media.recompose.meddling_programs:lost_captions"
    )
    assert bench.recompose() == ExitCode.LEDGER_MISMATCH
    said = bench.failure(Stage.RECOMPOSE).message
    assert said == "frame 7 does not carry the captions that were planned"


def test_captions_of_telecined_film_go_to_the_frame_that_is_shown() -> None:
    """Five coded frames become four: one of them takes over the captions of two."""
    captions = Captions()
    for number in range(5):
        captions.pts.append(number)
        captions.sizes.append(3)
        captions.data += bytes([0xFC, number, 0])
    stamps = np.array([0, 5, 10, 15])
    video = manifest().video.model_copy(
        update={"time_base": Fraction(1, 120), "start_pts": 0, "end_pts": 20}
    )
    found = place_captions(captions, Fraction(1, 30), stamps, video)
    assert [found[pts][1::3] for pts in stamps.tolist()] == [b"\0\1", b"\2", b"\3", b"\4"]


@pytest.mark.parametrize(("codec", "slice_header"), [("libx264", b"\x41"), ("mpeg2video", b"\1")])
def test_both_fields_of_a_picture_are_read(codec: str, slice_header: bytes) -> None:
    unit = START + slice_header + b"a slice"
    packet = b"".join(with_message(codec, unit, caption_message(n)) for n in (1, 2))
    name = {"libx264": "h264"}.get(codec, codec)
    for fields, wanted in (
        (False, caption_triplets(1)),
        (True, caption_triplets(1) + caption_triplets(2)),
    ):
        told = Messages(name, b"", fields=fields).read(packet)
        assert b"".join(map(triplets, told)) == wanted


def test_many_triplets_take_several_messages() -> None:
    told = bytes(range(120))
    assert b"".join(triplets(m) for m in as_messages(told)) == told


@given(st.sampled_from(["h264", "hevc", "av1", "mpeg2video"]), st.booleans(), st.binary())
def test_any_bytes_are_read_to_their_end(codec: str, lengths: bool, data: bytes) -> None:
    extradata = b"\1" + bytes(3) + b"\xff" * 30 if lengths else b""
    for start in (b"", b"\0\0\1\6", b"\0\0\1\x4e\1", b"\0\0\1\xb2", b"\x2a\x80", b"\0\0\0\7\6"):
        for told in Messages(codec, extradata).read(start + data):
            assert len(triplets(told)) <= 93
