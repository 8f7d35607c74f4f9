"""What is wrong with a film is said in one clear sentence, before any work is spent on it."""

import itertools
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from containers.common.runtime import storage
from containers.media.extract.judge.probe import REMEDIES
from contracts.keys import failure_key, job_key
from contracts.names import ExitCode, Stage
from contracts.stack.environ import ExtractEnvironment
from tests.support.bench import INTERMEDIATE_BUCKET, SOURCE_BUCKET, Bench
from tests.support.fake_s3 import client_error
from tests.support.films import (
    X264,
    Clip,
    damage,
    decode_all,
    make,
    png,
)

pytestmark = pytest.mark.logs_errors

FASTSTART = {"movflags": "+faststart"}


def refused(path: Path, code: ExitCode, **changes: Any) -> str:
    bench = Bench(path)
    assert bench.extract(**changes) == code
    failure = bench.failure(Stage.EXTRACT)
    assert failure.exit_code == code
    assert "\n" not in failure.message
    left = bench.s3.keys(INTERMEDIATE_BUCKET)
    assert left == [failure_key(bench.job_id, Stage.EXTRACT), job_key(bench.job_id)]
    return failure.message


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("film.mp4", b"", "film.mp4 is empty (0 bytes); upload it again"),
        ("notes.mp4", b"Dear diary,\n" * 40, "notes.mp4 is a text file, not a video"),
        ("photo.mp4", png(32, 24), "photo.mp4 is a still picture (PNG), not a video"),
        ("photo.mov", b"\xff\xd8\xff\xe0" + bytes(500), "is a still picture (JPEG), not a video"),
        ("song.mp4", b"ID3\x04" + bytes(500), "song.mp4 is a sound file (MP3), not a video"),
        ("noise.mp4", bytes(range(256)) * 20, "noise.mp4 is not a video in a format we read (MP4,"),
        ("list.mp4", b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n", "list.mp4 is a text file, not a video"),
        ("film.mkv", b"\x1a\x45\xdf\xa3" + bytes(300), "looks like Matroska but cannot be read"),
    ],
)
def test_what_is_not_a_film(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert sentence in refused(path, ExitCode.BAD_SOURCE)


def test_sound_alone_is_not_a_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with (
        av.open(str(make(tmp_path / "a.mp4", audio="aac"))) as film,
        av.open(str(path), "w") as out,
    ):
        stream = out.add_stream_from_template(film.streams.audio[0], opaque=True)
        for packet in film.demux(audio=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert refused(path, ExitCode.BAD_SOURCE) == "song.mp4 holds sound and no video"


def test_a_cover_alone_is_not_a_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with (
        av.open(str(make(tmp_path / "a.mp4", audio="aac"))) as film,
        av.open(str(path), "w", format="matroska") as out,
    ):
        out.add_attachment("cover.png", "image/png", png(32, 24))
        stream = out.add_stream_from_template(film.streams.audio[0], opaque=True)
        for packet in film.demux(audio=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert refused(path, ExitCode.BAD_SOURCE) == "song.mkv holds a still picture and no video"


@pytest.mark.parametrize(
    ("name", "clip", "sentence"),
    [
        ("film.mp4", Clip(frames=100), "its index (moov) is missing or broken; upload it again"),
        ("film.mp4", Clip(frames=100, muxer_options=FASTSTART), "it announces 100 frames and hold"),
        ("film.mkv", Clip(frames=100), "is cut off: it announces 4.000 s and ends after 2.4"),
        ("film.avi", Clip(frames=100, codec="mpeg4", options={}), "it announces 4.000 s and ends"),
        ("film.mxf", Clip(frames=100, codec="mpeg2video", options={}), "film.mxf"),
        ("film.flv", Clip(frames=100), "film.flv is cut off: it announces 4.0"),
    ],
)
def test_a_film_cut_short_is_refused_at_once(
    name: str, clip: Clip, sentence: str, tmp_path: Path
) -> None:
    path = cut(make(tmp_path / name, clip), 0.6)
    assert sentence in refused(path, ExitCode.BAD_SOURCE)


def test_a_colour_matrix_that_workers_do_not_know_is_refused_before_they_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ycgco.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = 8
        for _ in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.colorspace = 8
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    message = refused(path, ExitCode.UNSUPPORTED)
    assert message.startswith("ycgco.mkv has colour matrix 8 (ITU-T H.273)")


def test_a_recording_cut_anywhere_keeps_its_whole_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "film.ts", frames=100, audio="aac")
    whole = [frame.pts for frame in decode_all(path)]
    bench = Bench(cut(path, 0.63))
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    stamps = bench.timestamps
    assert stamps == whole[: len(stamps)]
    assert 50 < len(stamps) < 70


def test_a_damaged_end_is_found_by_decoding_it(tmp_path: Path) -> None:
    path = damage(make(tmp_path / "film.mp4", options={**X264, "bf": "0"}), [38])
    message = refused(path, ExitCode.BAD_SOURCE)
    assert message.startswith("film.mp4: frame 38 (at 1.520 s) ")
    assert "; the file is damaged there: repair it, upload it again, or have" in message
    assert "--damage conceal" in message


def test_a_damaged_beginning_is_refused(tmp_path: Path) -> None:
    message = refused(damage(make(tmp_path / "film.mp4"), [0]), ExitCode.BAD_SOURCE)
    assert message.startswith("film.mp4 begins with damaged frames; repair it, upload it again, or")


def test_a_film_without_one_good_frame_is_refused(tmp_path: Path) -> None:
    message = refused(damage(make(tmp_path / "film.mp4"), range(40)), ExitCode.BAD_SOURCE)
    assert message == "film.mp4: not one frame can be decoded; upload it again"


def test_two_frames_at_one_time_are_unsupported(tmp_path: Path) -> None:
    film = make(
        tmp_path / "film.mkv",
        codec="ffv1",
        options={},
        pts=[0, 1, 1, 2, 3],
        time_base=Fraction(1, 1000),
    )
    message = refused(film, ExitCode.UNSUPPORTED)
    assert "does not say when each of its frames is shown" in message


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"max_source_bytes": 1000}, r"film.mp4 has \d+ bytes, the limit is 1000 (max_source_byt"),
        ({"max_streams": 1}, "film.mp4 has 2 streams, the limit is 1 (max_streams); take str"),
        ({"max_extradata_bytes": 30}, "bytes in stream 0, the limit is 30 (max_extradata_bytes);"),
        ({"max_job_dollars": 1e-3}, "with lanczos at 2x, the limit is 0.001 (max_job_dollars); c"),
        ({"max_frame_pixels": 3000}, "has 64x48 = 3072 pixels, the limit is 3000 (max_frame_pix"),
        ({"max_output_pixels": 9999}, "at 2x becomes 128x96 = 12288 pixels, the limit is 999"),
        ({"max_frames": 39}, "film.mp4 has 40 frames, the limit is 39 (max_frames)"),
        ({"max_duration_seconds": 1.5}, "lasts 1.6 seconds, the limit is 1.5 (max_duration_secon"),
    ],
)
def test_every_limit_says_what_was_got_and_what_is_allowed(
    limit: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = damage(make(tmp_path / "film.mp4", audio="aac"), range(40))  # so none is decoded before
    message = refused(path, ExitCode.LIMIT_EXCEEDED, **limit)
    assert sentence.replace(r"\d+", str(path.stat().st_size)) in message
    assert message.endswith((", or raise this setting of the stack", ", or raise the limit"))


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"max_streams": 1}, "film.mkv has 2 streams, the limit is 1 (max_streams)"),
        ({"max_attachments": 1}, "film.mkv has 2 attachments, the limit is 1 (max_attachments); t"),
        ({"max_attachment_bytes": 99}, "has 1100 bytes of attachments, the limit is 99 (max_attac"),
        ({"max_chapters": 1}, "film.mkv has 2 chapters, the limit is 1 (max_chapters); take cha"),
    ],
)
def test_chapters_and_attachments_have_limits(
    limit: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.mkv"
    with (
        av.open(str(make(tmp_path / "a.mp4", audio="aac"))) as film,
        av.open(str(path), "w") as out,
    ):
        copies = [out.add_stream_from_template(s, opaque=True) for s in film.streams]
        for name, size in (("one.ttf", 1000), ("two.ttf", 100)):
            out.add_attachment(name, "font/ttf", bytes(size))
        chapters = [(0, 800, "One"), (800, 1600, "Two")]
        out.set_chapters(
            [
                {"id": i, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {}}
                for i, (a, b, _) in enumerate(chapters)
            ]
        )
        for packet in film.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    path = damage(path, range(40))
    assert sentence in refused(path, ExitCode.LIMIT_EXCEEDED, **limit)


def test_every_limit_has_a_remedy() -> None:
    limits = {name for name in ExtractEnvironment.model_fields if name.startswith("max_")}
    assert set(REMEDIES) == limits - {"max_job_dollars"}  # which has its own


def test_tags_that_take_megabytes_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mkv", frames=3, title="x" * 2_100_000)
    message = refused(path, ExitCode.LIMIT_EXCEEDED)
    assert message.startswith("the film's tags, chapters and streams take 210")
    assert message.endswith(" bytes to describe, the limit is 2097152; take tags or chapters out")


def test_the_frame_limit_holds_where_no_header_tells_the_number(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mkv", frames=1100, width=32, height=32)
    message = refused(path, ExitCode.LIMIT_EXCEEDED, max_frames=900)
    assert message == (
        "film.mkv has more than 1000 frames, the limit is 900 (max_frames); cut the film into "
        "parts, or raise this setting of the stack"
    )


def test_a_small_file_that_declares_a_huge_picture_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "film.avi", frames=3, codec="ffv1", options={})
    declared, huge = struct.pack("<II", 64, 48), struct.pack("<II", 15000, 15000)
    path.write_bytes(path.read_bytes().replace(declared, huge))
    assert "15000x15000 = 225000000 pixels" in refused(path, ExitCode.LIMIT_EXCEEDED)


@pytest.mark.parametrize("failing", [0, 1, 4, 7])
def test_trouble_with_s3_is_transient_and_not_blamed_on_the_film(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BLOCK_BYTES", 16 * 1024)
    bench = Bench(make(tmp_path / "film.mkv", frames=200, codec="rawvideo", options={}))
    reads, get_object = itertools.count(), bench.s3.get_object

    def sometimes(**request: Any) -> dict[str, Any]:
        if request["Bucket"] == SOURCE_BUCKET and next(reads) == failing:
            raise client_error("SlowDown", 503, "GetObject")
        return get_object(**request)

    monkeypatch.setattr(bench.s3, "get_object", sometimes)
    assert bench.extract() == ExitCode.TRANSIENT
    assert next(reads) == failing + 1


def test_a_job_that_is_not_there_is_named(tmp_path: Path) -> None:
    bench = Bench(make(tmp_path / "film.mp4", frames=2))
    bench.s3.objects.clear()
    assert bench.extract() == ExitCode.SOURCE_MISSING
    assert "job.json does not exist" in bench.failure(Stage.EXTRACT).message
