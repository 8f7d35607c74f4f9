"""The extract worker on real films: timestamps, facts, sidecar, plan."""

import hashlib
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet

from containers.media.labels.sidecar import payload_hashes
from contracts import keys
from contracts.film.facts import Colour
from contracts.job import Container
from contracts.messages import ExtractResult
from contracts.names import ExitCode, Stage
from tests.support.bench import INTERMEDIATE_BUCKET, Bench
from tests.support.films import (
    OPEN_GOP,
    Clip,
    decode_all,
    make,
    png,
)

MPEG2 = {"bf": "2", "g": "12"}
TITLES = [(0.1, 0.5, "Hallo"), (0.7, 1.2, "Welt")]
CHAPTERS = [(0.0, 1.0, "Anfang"), (1.0, 1.6, "Ende")]

FILMS: dict[str, Clip] = {
    "b-frames.mp4": Clip(audio="aac"),
    "open-gop.mp4": Clip(options=OPEN_GOP, frames=60),
    "variable.mp4": Clip(
        time_base=Fraction(1, 90000), pts=[i * 3600 + i % 5 * 777 for i in range(50)]
    ),
    "transport.ts": Clip(options=OPEN_GOP, frames=60, audio="mp2"),
    "negative.mp4": Clip(pts=range(-5, 35), audio="aac"),
    "late.mp4": Clip(pts=range(100, 140), audio="aac"),
    "fragments.mp4": Clip(audio="aac", muxer_options={"movflags": "frag_keyframe+empty_moov"}),
    "matroska.mkv": Clip(audio="libopus"),
    "avi.avi": Clip(codec="mpeg4", options={"bf": "2"}, audio="ac3"),
    "exchange.mxf": Clip(codec="mpeg2video", options=MPEG2),
    "one.mp4": Clip(frames=1),
}


def extracted(folder: Path, name: str, clip: Clip | None = None, **settings: Any) -> Bench:
    bench = Bench(make(folder / name, clip), **settings)
    code = bench.extract()
    assert code == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    return bench


def sidecar_times(bench: Bench) -> Any:
    data = bench.s3.objects[INTERMEDIATE_BUCKET, keys.sidecar_index_key(bench.job_id)]["data"]
    return np.load(io.BytesIO(data))


def packets(path: Path, kind: str) -> list[Packet]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [p for p in container.demux(stream) if p.size]


@pytest.mark.parametrize("name", FILMS)
def test_the_plan_has_exactly_the_timestamps_that_decoding_gives(name: str, tmp_path: Path) -> None:
    bench = extracted(tmp_path, name, FILMS[name])
    assert bench.timestamps == [frame.pts for frame in decode_all(bench.film)]
    video = bench.manifest.video
    assert (video.start_pts, video.frames) == (bench.timestamps[0], len(bench.timestamps))
    assert video.end_pts > bench.timestamps[-1]


def test_everything_is_written_and_the_result_last(tmp_path: Path) -> None:
    bench = extracted(tmp_path, "film.mp4", Clip(audio="aac"))
    job = bench.job_id
    written = [key for operation, key in bench.s3.requests if operation == "PutObject"]
    result = keys.stage_result_key(job, Stage.EXTRACT)
    assert written[-1] == result
    assert sorted(written[2:]) == sorted([
        keys.timestamps_key(job),
        keys.sidecar_key(job),
        keys.sidecar_index_key(job),
        keys.manifest_key(job),
        result,
    ])  # fmt: skip


def test_the_stage_result_counts_what_the_manifest_plans(tmp_path: Path) -> None:
    bench = extracted(tmp_path, "film.mp4", Clip(frames=100), shard_seconds=0.5)
    result = bench.read(ExtractResult, keys.stage_result_key(bench.job_id, Stage.EXTRACT))
    manifest = bench.manifest
    assert result.frames == 100
    assert result.shards == len(manifest.shards) == 9
    assert result.runs == len(manifest.runs) == 4
    assert min(result.process_timeout_seconds, result.recompose_timeout_seconds) > 900


def test_running_extract_again_changes_nothing(tmp_path: Path) -> None:
    bench = extracted(tmp_path, "film.mp4", Clip(audio="aac"))
    before = dict(bench.s3.objects)
    assert bench.extract() == ExitCode.OK
    assert bench.s3.objects == before


def test_extract_interrupted_before_its_result_is_simply_run_again(tmp_path: Path) -> None:
    bench = extracted(tmp_path, "film.mkv", Clip(audio="libopus"))
    first = bench.manifest
    del bench.s3.objects[INTERMEDIATE_BUCKET, keys.stage_result_key(bench.job_id, Stage.EXTRACT)]
    assert bench.extract() == ExitCode.OK
    measured = {"extraction": first.extraction}  # by the clock, which no two runs agree on
    assert bench.manifest.model_copy(update=measured) == first


def test_picture_facts(tmp_path: Path) -> None:
    clip = Clip(
        rate=Fraction(24000, 1001), sar=Fraction(4, 3), rotation=90, colour=(9, 16, 9, 1),
        pixel_format="yuv420p10le", codec="libx265",
        options={"preset": "ultrafast", "x265-params": "log-level=none"},
    )  # fmt: skip
    video = extracted(tmp_path, "film.mp4", clip).manifest.video
    assert (video.codec, video.width, video.height) == ("hevc", 64, 48)
    assert (video.pixel_format, video.bit_depth) == ("yuv420p10le", 10)
    assert video.frame_rate == Fraction(24000, 1001)
    assert (video.sample_aspect_ratio, video.rotation) == (Fraction(4, 3), 90)
    said = Colour(primaries=9, transfer=16, matrix=9, full_range=False)
    assert video.colour == video.working_colour == said


@pytest.mark.parametrize(
    ("width", "height", "rate", "expected"),
    [
        (1280, 720, 24, (1, 1, 1)),
        (720, 576, 25, (5, 6, 5)),
        (720, 480, 30, (6, 6, 6)),
    ],
)
def test_colour_left_unsaid_is_filled_in_by_convention(
    width: int, height: int, rate: int, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    clip = Clip(width=width, height=height, rate=Fraction(rate), frames=2)
    video = extracted(tmp_path, "film.mp4", clip).manifest.video
    assert (video.colour.primaries, video.colour.matrix) == (2, 2)
    working = video.working_colour
    assert (working.primaries, working.transfer, working.matrix) == expected
    assert not working.full_range


def test_full_range_is_kept(tmp_path: Path) -> None:
    video = extracted(tmp_path, "film.mp4", Clip(colour=(1, 1, 1, 2))).manifest.video
    assert video.working_colour.full_range


@pytest.mark.parametrize(
    ("name", "codec", "options", "location"),
    [
        ("film.mp4", "libx264", {}, 1),
        ("film.mkv", "libx264", {"chroma_sample_location": "topleft"}, 3),
        ("film.mp4", "libx264", {"chroma_sample_location": "center"}, 2),
        ("film.ts", "mpeg2video", {}, 1),
        ("film.mkv", "mpeg1video", {}, 2),
        ("film.mkv", "ffv1", {}, 1),
    ],
)
def test_where_chroma_lies_is_as_the_stream_says(
    name: str, codec: str, options: dict[str, str], location: int, tmp_path: Path
) -> None:
    clip = Clip(codec=codec, frames=3, options=options)
    assert extracted(tmp_path, name, clip).manifest.video.chroma_location == location


def test_unsaid_chroma_of_hdr_lies_top_left(tmp_path: Path) -> None:
    clip = Clip(codec="ffv1", frames=2, options={}, colour=(9, 16, 9, 1))
    assert extracted(tmp_path, "film.mkv", clip).manifest.video.chroma_location == 3


def test_the_rate_of_a_variable_film_is_its_average(tmp_path: Path) -> None:
    pts = [0, 1, 2, 3, 14, 15, 16, 17, 18, 19]
    clip = Clip(pts=pts, time_base=Fraction(1, 19), rate=Fraction(10))
    assert float(extracted(tmp_path, "f.mp4", clip).manifest.video.frame_rate) == pytest.approx(9)


def test_audio_packets_rest_in_the_sidecar_with_their_exact_times(tmp_path: Path) -> None:
    bench = extracted(tmp_path, "film.mp4", Clip(audio="aac"))
    (stream,) = bench.manifest.sidecar.streams
    sound = packets(bench.film, "audio")
    times = sidecar_times(bench)
    assert (stream.codec, stream.labels) == ("aac", {"language": "eng"})
    assert (stream.time_base, stream.packets) == (Fraction(1, 48000), len(sound))
    assert times["pts_0"].tolist() == [p.pts for p in sound]
    assert times["dts_0"].tolist() == [p.dts for p in sound]
    assert times["duration_0"].tolist() == [p.duration for p in sound]
    assert times["pts_0"][0] == -1024  # the encoder's priming
    stored = tmp_path / "sidecar.mkv"
    stored.write_bytes(
        bench.s3.objects[INTERMEDIATE_BUCKET, keys.sidecar_key(bench.job_id)]["data"]
    )
    with stored.open("rb", buffering=0) as file:
        assert payload_hashes(file)[0] == (len(sound), stream.sha256)
    assert [bytes(p) for p in packets(stored, "audio")] == [bytes(p) for p in sound]


def test_timed_text_is_stored_as_it_is(tmp_path: Path) -> None:
    clip = Clip(subtitles=TITLES, subtitle_codec="mov_text")
    bench = extracted(tmp_path, "film.mp4", clip)
    (stream,) = bench.manifest.sidecar.streams
    assert (stream.codec, stream.packets) == ("mov_text", 2)
    stored = tmp_path / "sidecar.mkv"
    stored.write_bytes(
        bench.s3.objects[INTERMEDIATE_BUCKET, keys.sidecar_key(bench.job_id)]["data"]
    )
    assert [bytes(p) for p in packets(stored, "subtitle")] == [b"\0\5Hallo", b"\0\4Welt"]


def test_chapters_titles_and_attachments_are_set_aside(tmp_path: Path) -> None:
    clip = Clip(chapters=CHAPTERS, title="Ein Film", attachment=b"font" * 50)
    sidecar = extracted(tmp_path, "film.mkv", clip).manifest.sidecar
    assert [c.metadata for c in sidecar.chapters] == [{"title": "Anfang"}, {"title": "Ende"}]
    assert [float(c.end * c.time_base) for c in sidecar.chapters] == [1.0, 1.6]
    assert sidecar.metadata == {"title": "Ein Film"}
    (attachment,) = sidecar.attachments
    assert (attachment.name, attachment.kind) == ("font.ttf", "application/x-truetype-font")
    assert (sidecar.streams, sidecar.dropped) == ((), ())
    assert sidecar.payload is not None


def test_a_film_without_anything_else_has_no_sidecar(tmp_path: Path) -> None:
    bench = extracted(tmp_path, "film.mp4")
    assert bench.manifest.sidecar.payload is bench.manifest.sidecar.index is None
    assert keys.sidecar_key(bench.job_id) not in bench.s3.keys(INTERMEDIATE_BUCKET)


def test_what_cannot_come_along_is_named_with_the_reason(tmp_path: Path) -> None:
    clip = Clip(codec="mpeg4", options={}, audio="pcm_alaw")
    (dropped,) = extracted(tmp_path, "film.avi", clip).manifest.sidecar.dropped
    assert (dropped.kind, dropped.codec) == ("audio", "pcm_alaw")
    assert dropped.reason == "MP4 cannot hold pcm_alaw"


def test_a_cover_is_not_taken_for_the_film(tmp_path: Path) -> None:
    manifest = extracted(tmp_path, "film.mkv", Clip(cover=True)).manifest
    (cover,) = manifest.sidecar.attachments
    assert manifest.video.codec == "h264"
    assert (cover.name, cover.kind, cover.cover) == ("cover.png", "image/png", True)
    assert cover.sha256 == hashlib.sha256(png(32, 24)).hexdigest()


@pytest.mark.parametrize(
    ("name", "clip", "settings", "container"),
    [
        ("film.mp4", Clip(), {}, Container.MP4),
        ("film.ts", Clip(audio="aac"), {}, Container.MP4),
        ("film.mkv", Clip(), {}, Container.MKV),
        ("film.mkv", Clip(), {"container": "mp4"}, Container.MP4),
        ("film.mp4", Clip(), {"container": "mkv"}, Container.MKV),
        ("film.mp4", Clip(), {"codec": "ffv1"}, Container.MKV),
        ("film.mp4", Clip(), {"codec": "prores"}, Container.MOV),
        ("film.mkv", Clip(), {"codec": "prores"}, Container.MKV),
        ("film.mov", Clip(), {}, Container.MOV),
        ("film.mov", Clip(), {"codec": "av1"}, Container.MKV),
        ("film.avi", Clip(codec="mpeg4", options={}, audio="pcm_s16le"), {}, Container.MOV),
    ],
)
def test_the_result_is_matroska_only_where_it_is_asked_for_or_needed(
    name: str, clip: Clip, settings: dict[str, str], container: Container, tmp_path: Path
) -> None:
    assert extracted(tmp_path, name, clip, **settings).manifest.output.container is container


def test_hidden_vp8_frames_are_not_counted(tmp_path: Path) -> None:
    plain = make(
        tmp_path / "plain.webm", codec="libvpx", frames=60,
        options={"deadline": "realtime", "cpu-used": "4"},
    )  # fmt: skip
    path = tmp_path / "film.webm"
    with av.open(str(plain)) as source, av.open(str(path), "w", format="webm") as out:
        stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            copies: list[Packet] = [packet]
            if number == 45:  # an alternate reference frame comes before the frame it serves
                hidden = Packet(bytes([packet_byte(packet) & ~0x10]) + bytes(packet)[1:])
                hidden.pts = hidden.dts = (packet.pts or 0) - 5
                copies.insert(0, hidden)
            for copy in copies:
                copy.stream, copy.time_base = stream, Fraction(1, 1000)
                out.mux(copy)
    bench = Bench(path)
    assert bench.extract() == ExitCode.OK
    assert bench.timestamps == [frame.pts for frame in decode_all(path)]
    assert len(packets(path, "video")) == len(bench.timestamps) + 1 == 61


def packet_byte(packet: Packet) -> int:
    return bytes(packet)[0]


def test_a_recording_that_begins_amid_a_group_starts_at_its_first_whole_picture(
    tmp_path: Path,
) -> None:
    whole = make(tmp_path / "whole.ts", frames=90)
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        places = [p.pos or 0 for p in container.demux(video=0) if p.size]
    path = tmp_path / "film.ts"
    path.write_bytes(data[: 188 * 3] + data[places[17] // 188 * 188 :])
    bench = Bench(path)
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    later = [frame.pts for frame in decode_all(whole)][24:]
    assert bench.timestamps == later
