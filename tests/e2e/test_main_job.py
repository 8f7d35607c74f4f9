"""A real clip through the whole pipeline on the embedded AWS, IAM enforced."""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.film.ledger import Report
from contracts.job import Codec, Container, Settings
from contracts.keys import shards_prefix
from contracts.models import ModelName
from contracts.names import Stage
from tests.e2e.support import SAMPLE, Bench

pytestmark = pytest.mark.slow


def times(video: Path) -> list[Fraction]:
    """Presentation times of all frames, in seconds."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        found = [p.pts * stream.time_base for p in container.demux(stream) if p.pts is not None]
    return sorted(Fraction(t) for t in found)


def pictures(video: Path) -> list[str]:
    """A hash of every decoded frame's samples."""
    with av.open(str(video)) as container:
        frames = container.decode(video=0)
        return [hashlib.sha256(f.to_ndarray().tobytes()).hexdigest() for f in frames]


def samples(video: Path) -> tuple[float, np.ndarray]:
    """(start in seconds, decoded samples) of the first audio track."""
    with av.open(str(video)) as container:
        frames = list(container.decode(audio=0))
    first = frames[0]
    assert first.pts is not None
    assert first.time_base is not None
    return float(first.pts * first.time_base), np.concatenate(
        [f.to_ndarray() for f in frames], axis=1
    )


def words(video: Path) -> list[str]:
    with av.open(str(video)) as container:
        packets = container.demux(container.streams.subtitles[0])
        return [bytes(p)[2:].decode() for p in packets if p.size > 2]


@dataclass(frozen=True)
class Finished:
    """A job that succeeded, with what it made."""

    job_id: str
    result: Path
    report: Report


@pytest.fixture(scope="module")
def finished(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The sample at twice its size, in four shards that two children share."""
    settings = Settings(model=ModelName.LANCZOS, scale=2, shard_seconds=0.6)
    job_id = bench.upload(SAMPLE, settings)
    return Finished(job_id, *bench.result(job_id, tmp_path_factory.mktemp("finished")))


def test_a_film_comes_back_larger_with_every_frame_sound_and_word(finished: Finished) -> None:
    result, report = finished.result, finished.report
    with av.open(str(result)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (640, 360)
        assert [s.type for s in container.streams] == ["video", "audio", "subtitle"]
    assert times(result) == times(SAMPLE)
    assert words(result) == words(SAMPLE)
    (start, heard), (wanted_start, wanted) = samples(result), samples(SAMPLE)
    assert abs(start - wanted_start) < 0.001
    np.testing.assert_array_equal(heard, wanted)
    assert report.ledger.balanced
    assert report.ledger.frames_in_result == 60
    assert [(s.kind, s.payload_equal) for s in report.ledger.streams] == [
        ("audio", True),
        ("subtitle", True),  # mov_text there and back gives the same packets
    ]
    assert report.ledger.dropped == ()


def test_the_job_is_announced_by_mail(bench: Bench, finished: Finished) -> None:
    mail = bench.mail(finished.job_id)
    assert "bunny.mp4" in mail["Subject"] + mail["Message"]
    assert f"results/{finished.job_id}/" in mail["Message"]


def test_work_is_shared_by_the_children_of_an_array_job(bench: Bench, finished: Finished) -> None:
    (parent,) = bench.batch_jobs(finished.job_id, Stage.PROCESS)
    assert parent["arrayProperties"]["size"] == 2
    shards = bench.client("s3").list_objects_v2(
        Bucket=bench.stack.outputs["intermediate_bucket"], Prefix=shards_prefix(finished.job_id)
    )
    assert shards["KeyCount"] == 4


def test_a_film_of_many_parts_and_ranges_comes_back_whole(bench: Bench, tmp_path: Path) -> None:
    """Above 8 MB an upload goes in parts, and workers read it by ranges."""
    large = tmp_path / "large.mp4"
    noise = np.random.default_rng(7)
    with av.open(str(large), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(150):
            picture = noise.integers(0, 255, (180, 320, 3), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    assert large.stat().st_size > 10_000_000

    settings = Settings(model=ModelName.LANCZOS, scale=2, preset="ultrafast", shard_seconds=2)
    (tmp_path / "out").mkdir()
    result, report = bench.result(bench.upload(large, settings), tmp_path / "out")
    assert report.ledger.balanced
    assert times(result) == times(large)


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """33 frames of 64x36 with B-frames, cut from the sample's picture."""
    target = tmp_path_factory.mktemp("clip") / "short.mp4"
    with av.open(str(SAMPLE)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": "3", "g": "20"})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == 33:
                break
            out.mux(stream.encode(frame.reformat(64, 36)))
        out.mux(stream.encode(None))
    return target


@pytest.mark.parametrize(
    ("model", "codec"),
    [(ModelName.LANCZOS, Codec.FFV1), (ModelName.ANIMEVIDEOV3, Codec.H264)],
)
def test_sharding_changes_no_pixel(
    bench: Bench, short_clip: Path, tmp_path: Path, model: ModelName, codec: Codec
) -> None:
    """Lossless codecs, so that what is compared is what the model drew."""
    quality = 0 if codec is Codec.H264 else None
    jobs = {
        shards: bench.upload(
            short_clip,
            Settings(
                model=model, codec=codec, quality=quality, shard_seconds=frames / 25,
                container=Container.MKV,
            ),
        )
        for frames, shards in ((33, 1), (11, 3), (3, 11))
    }  # fmt: skip
    results: list[list[str]] = []
    for shards, job_id in jobs.items():
        folder = tmp_path / str(shards)
        folder.mkdir()
        result, report = bench.result(job_id, folder)
        assert len(report.shards) == shards
        assert report.ledger.balanced
        results.append(pictures(result))
    assert len(results[0]) == 33
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("codec", [Codec.HEVC, Codec.AV1])
def test_other_codecs_join_without_re_encoding(
    bench: Bench, short_clip: Path, tmp_path: Path, codec: Codec
) -> None:
    settings = Settings(model=ModelName.LANCZOS, codec=codec, scale=3, shard_seconds=11 / 25)
    result, report = bench.result(bench.upload(short_clip, settings), tmp_path)
    assert report.ledger.balanced
    assert times(result) == times(short_clip)
    with av.open(str(result)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (192, 108)
        assert len(list(container.decode(video=0))) == 33


@pytest.mark.parametrize(
    "name", ["a b+c%2F.mp4", "e\u0301te\u0301 \N{BEAR FACE}.mp4", "-rf.mp4", "two\nlines.mp4"]
)
def test_odd_names_go_through_untouched(bench: Bench, tiny: Path, name: str) -> None:
    job_id = bench.drop(tiny.read_bytes(), name, {"superres-model": "lanczos"})
    snapshot = bench.finish(job_id)
    assert snapshot.state == "SUCCEEDED", snapshot
    assert snapshot.output["source"]["key"] == f"uploads/{name}"


def test_an_event_delivered_twice_starts_one_execution(bench: Bench, finished: Finished) -> None:
    job_id = finished.job_id
    source = bench.finish(job_id).output["source"]
    functions = bench.client("lambda").list_functions()["Functions"]
    (trigger,) = [f["FunctionName"] for f in functions if "trigger" in f["FunctionName"]]
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": source["bucket"]},
            "object": {
                "key": source["key"], "size": source["size"], "etag": source["etag"],
                "version-id": source["version_id"], "sequencer": "00",
            },
        },
    }  # fmt: skip
    answer = bench.client("lambda").invoke(FunctionName=trigger, Payload=json.dumps(event))
    assert "FunctionError" not in answer, answer["Payload"].read()
    executions = bench.client("stepfunctions").list_executions(
        stateMachineArn=bench.stack.outputs["state_machine_arn"]
    )["executions"]
    assert [e["name"] for e in executions].count(job_id) == 1


EXTRACTED = {"model": "lanczos", "codec": "ffv1"}


@pytest.fixture(scope="module")
def ranged(bench: Bench, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The pictures of a result whose workers read the source itself."""
    settings = Settings.parse({**EXTRACTED, "extraction": "ranged"})
    result, _ = bench.result(bench.upload(tiny, settings), tmp_path_factory.mktemp("ranged"))
    return pictures(result)


@pytest.mark.parametrize("mode", ["shards", "frames"])
def test_extract_may_write_the_pictures_down(
    bench: Bench, tiny: Path, ranged: list[str], tmp_path: Path, mode: str
) -> None:
    settings = Settings.parse({**EXTRACTED, "extraction": mode})
    written, report = bench.result(bench.upload(tiny, settings), tmp_path)
    assert report.ledger.balanced
    assert pictures(written) == ranged
