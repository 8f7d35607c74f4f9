"""From shards to the result: exact times, untouched sound, nothing lost."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from contracts import keys
from contracts.film.ledger import Report
from contracts.messages import RecomposeResult
from contracts.names import ExitCode, Stage
from tests.support.bench import (
    FINAL_BUCKET,
    INTERMEDIATE_BUCKET,
    Bench,
)
from tests.support.films import (
    OPEN_GOP,
    Clip,
    decode_all,
    make,
)
from tests.unit.media.support import CHAPTERS, make_and_run, sound, subtitles, times

TITLES = [(0.1, 0.5, "Hallo"), (0.7, 1.2, "<i>Welt</i>\nzwei")]
MPEG2 = {"bf": "2", "g": "12"}

FILMS: dict[str, Clip] = {
    "b-frames.mp4": Clip(audio="aac"),
    "open-gop.mp4": Clip(options=OPEN_GOP, frames=60),
    "variable.mp4": Clip(
        time_base=Fraction(1, 90000), pts=[i * 3600 + i % 5 * 777 for i in range(50)], audio="aac"
    ),
    "ntsc.mp4": Clip(
        rate=Fraction(24000, 1001), time_base=Fraction(1, 24000),
        pts=[1001 * i + 12345 for i in range(60)], audio="aac", audio_offset=-0.3,
    ),
    "coarse.mkv": Clip(rate=Fraction(24000, 1001), audio="libopus"),
    "transport.ts": Clip(options=OPEN_GOP, frames=60, audio="aac"),
    "program.mpg": Clip(codec="mpeg2video", options=MPEG2, width=96, frames=60, audio="mp2"),
    "negative.mp4": Clip(pts=range(-5, 35), audio="aac"),
    "avi.avi": Clip(codec="mpeg4", options={"bf": "2"}, audio="ac3"),
    "raw-sound.mov": Clip(audio="pcm_s16be"),
    "one.mp4": Clip(frames=1),
    "odd.mkv": Clip(width=63, height=49, pixel_format="yuv444p"),
}  # fmt: skip


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("name", FILMS)
def test_every_frame_is_shown_at_its_time_and_the_sound_is_untouched(
    name: str, container: str, tmp_path: Path
) -> None:
    bench, result = make_and_run(
        tmp_path, name, FILMS[name], container=container, shard_seconds=0.4
    )
    planned, shown = times(bench.film), times(result)
    assert len(planned) == len(shown)
    shift = shown[0] - planned[0]
    error = max(abs(s - p - shift) for s, p in zip(shown, planned, strict=True))
    if container == "mp4":
        assert shift == error == 0
    else:
        assert abs(shift) <= Fraction(1, 1000)
        assert error <= Fraction(1, 1000)
        assert bench.report.ledger.max_timestamp_error_seconds <= 0.0005
    if FILMS[name].audio:
        before, after = sound(bench.film), sound(result)
        if name != "transport.ts":  # whose sound packets lose their headers
            assert after[0] == before[0]
        assert after[1] == pytest.approx(before[1], abs=0.001)


def test_joining_changes_no_pixel(tmp_path: Path) -> None:
    bench = Bench(make(tmp_path / "film.mp4", frames=30), shard_seconds=0.4)
    bench.extract()
    bench.process()
    shards = []
    for shard in bench.manifest.shards:
        path = tmp_path / "shard.mp4"
        key = keys.shard_key(bench.job_id, shard.index, "mp4")
        path.write_bytes(bench.s3.objects[INTERMEDIATE_BUCKET, key]["data"])
        shards += [frame.sha256 for frame in decode_all(path)]
    bench.recompose()
    assert [frame.sha256 for frame in decode_all(bench.result(tmp_path))] == shards


def test_picture_facts_survive(tmp_path: Path) -> None:
    clip = Clip(sar=Fraction(4, 3), rotation=90, colour=(1, 13, 6, 2))
    for container in ("mp4", "mkv"):
        _, result = make_and_run(tmp_path, "film.mp4", clip, container=container)
        with av.open(str(result)) as film:
            stream = film.streams.video[0]
            frame = next(film.decode(stream))
            assert (stream.sample_aspect_ratio, frame.rotation) == (Fraction(4, 3), 90)
            said = stream.codec_context
            colour = said.color_primaries, said.color_trc, said.colorspace, said.color_range
            assert colour == (1, 13, 6, 2)


@pytest.mark.parametrize(
    ("rotation", "matrix"),
    [(0, [(-1, 0), (0, 1)]), (180, [(1, 0), (0, -1)]), (270, [(0, 1), (1, 0)])],
)
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_mirrored_picture_stays_mirrored(
    container: str, rotation: int, matrix: list[tuple[int, int]], tmp_path: Path
) -> None:
    clip = Clip(frames=4, rotation=rotation, mirrored=True)
    bench, result = make_and_run(tmp_path, "film.mp4", clip, container=container)
    assert (bench.manifest.video.rotation, bench.report.ledger.mirrored) == (rotation, True)
    for film in (tmp_path / "film.mp4", result):
        with av.open(str(film)) as opened:
            found = next(opened.decode(video=0)).side_data.get("DISPLAYMATRIX")
        assert found is not None
        unit = np.frombuffer(found, np.int32).reshape(3, 3)[:2, :2] / 2**16
        assert np.abs(unit - matrix).max() < 1e-4


def test_chapters_metadata_and_languages_survive(tmp_path: Path) -> None:
    clip = Clip(
        chapters=CHAPTERS, title="Ein Film", audio="libopus", subtitles=TITLES,
        attachment=b"font" * 50,
    )  # fmt: skip
    bench, result = make_and_run(tmp_path, "film.mkv", clip)
    with av.open(str(result)) as film:
        assert [c["metadata"] for c in film.chapters()] == [{"title": "Anfang"}, {"title": "Ende"}]
        assert film.metadata["title"] == "Ein Film"
        assert [s.type for s in film.streams] == ["video", "audio", "subtitle", "attachment"]
        assert [s.language for s in list(film.streams)[1:3]] == ["eng", "ger"]
        assert film.streams.attachments[0].data == b"font" * 50
    assert subtitles(result) == subtitles(bench.film)
    assert all(s.payload_equal for s in bench.report.ledger.streams)


def test_plain_subtitles_become_timed_text_in_mp4(tmp_path: Path) -> None:
    clip = Clip(subtitles=TITLES, chapters=CHAPTERS, attachment=b"font")
    bench, result = make_and_run(tmp_path, "film.mkv", clip, container="mp4")
    first, second = subtitles(result)
    assert first == (pytest.approx(0.1), pytest.approx(0.4), b"\0\5Hallo")
    assert second == (pytest.approx(0.7), pytest.approx(0.5), b"\0\x09Welt\nzwei")
    (stream,) = bench.report.ledger.streams
    assert (stream.codec, stream.result_codec, stream.payload_equal) == (
        "subrip", "mov_text", False,
    )  # fmt: skip
    (dropped,) = bench.report.ledger.dropped
    assert dropped.reason == "MP4 cannot hold attachments"
    with av.open(str(result)) as film:
        assert len(film.chapters()) == 2


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_timed_text_survives(container: str, tmp_path: Path) -> None:
    clip = Clip(subtitles=TITLES[:1], subtitle_codec="mov_text", audio="aac")
    _, result = make_and_run(tmp_path, "film.mp4", clip, container=container)
    ((start, length, text),) = subtitles(result)
    with av.open(str(result)) as film:
        assert film.streams.subtitles[0].language == "ger"
    moved = float(times(result)[0])
    assert (start - moved, length) == (pytest.approx(0.1, abs=0.001), pytest.approx(0.4))
    assert text.endswith(b"Hallo")


def test_the_report_accounts_for_everything(tmp_path: Path) -> None:
    bench, result = make_and_run(tmp_path, "film.mp4", Clip(audio="aac"), shard_seconds=0.4)
    report = bench.report
    assert report.ledger.balanced
    ledger = report.ledger
    assert ledger.frames_decoded == ledger.frames_upscaled == ledger.frames_encoded == 40
    assert ledger.frames_in_result == ledger.frames_planned == 40
    assert [shard.index for shard in report.shards] == [0, 1, 2, 3]
    assert report.result_bytes == result.stat().st_size
    assert report.duration_seconds == pytest.approx(1.6)
    (stream,) = report.ledger.streams
    assert stream.packets_planned == stream.packets_muxed == 76
    assert stream.payload_equal
    done = bench.read(RecomposeResult, keys.stage_result_key(bench.job_id, Stage.RECOMPOSE))
    assert (done.frames, done.result, done.bytes) == (40, report.result, report.result_bytes)
    assert Report.model_validate_json(bench.s3.text(done.report.bucket, done.report.key)) == report


def test_running_recompose_again_gives_the_same_bytes(tmp_path: Path) -> None:
    bench, result = make_and_run(tmp_path, "film.mp4", Clip(audio="aac"))
    first = result.read_bytes()
    assert bench.recompose() == ExitCode.OK
    assert bench.result(tmp_path).read_bytes() == first


class TestRefusals:
    """What does not add up is never handed over."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        bench = Bench(make(tmp_path / "film.mp4", frames=30), shard_seconds=0.4)
        assert bench.extract() == ExitCode.OK
        bench.process()
        return bench

    def refused(self, bench: Bench) -> str:
        assert bench.recompose() == ExitCode.LEDGER_MISMATCH
        assert bench.s3.keys(FINAL_BUCKET) == []
        return bench.failure(Stage.RECOMPOSE).message

    def body(self, bench: Bench, index: int) -> bytes:
        key = keys.shard_key(bench.job_id, index, "mp4")
        return bench.s3.objects[INTERMEDIATE_BUCKET, key]["data"]

    @pytest.mark.logs_errors
    def test_a_missing_shard(self, bench: Bench) -> None:
        del bench.s3.objects[INTERMEDIATE_BUCKET, keys.shard_key(bench.job_id, 1, "mp4")]
        assert self.refused(bench) == "shard 1 of 3 is missing"

    @pytest.mark.logs_errors
    def test_a_shard_whose_bytes_are_not_what_its_worker_made(self, bench: Bench) -> None:
        bench.commit(bench.manifest.shards[1], self.body(bench, 1), sha256="0" * 64)
        message = self.refused(bench)
        assert message == "shard 1 of 3 does not have the bytes that its worker made"

    @pytest.mark.logs_errors
    @pytest.mark.parametrize(
        ("count", "stage"),
        [("decoded_frames", "decoded"), ("upscaled_frames", "upscaled"), ("frames", "encoded")],
    )
    def test_a_shard_that_says_another_number_of_frames(
        self, bench: Bench, count: str, stage: str
    ) -> None:
        bench.commit(bench.manifest.shards[2], self.body(bench, 2), **{count: 9})
        assert self.refused(bench) == (
            f"shard 2 of 3 (frames 20 to 29) has 9 frames {stage} instead of 10"
        )

    @pytest.mark.logs_errors
    def test_a_shard_in_anothers_place(self, bench: Bench) -> None:
        bench.commit(bench.manifest.shards[2], self.body(bench, 1), index=1)
        assert self.refused(bench) == f"shard 2 of 3 is shard 1 of job {bench.job_id}"

    @pytest.mark.logs_errors
    def test_a_shard_with_other_headers(self, bench: Bench) -> None:
        other = Bench(bench.film, shard_seconds=0.4, scale=3)
        other.extract()
        other.process()
        bench.commit(bench.manifest.shards[1], self.body(other, 1))
        assert self.refused(bench) == "shard 1 was encoded with other headers than shard 0"

    @pytest.mark.logs_errors
    def test_a_shard_with_fewer_frames_than_it_says(self, bench: Bench, tmp_path: Path) -> None:
        short = Bench(make(tmp_path / "short.mp4", frames=8), shard_seconds=10)
        short.extract()
        short.process()
        bench.commit(bench.manifest.shards[2], self.body(short, 0))
        assert self.refused(bench) == "shard 2 has 8 packets for 10 frames"
