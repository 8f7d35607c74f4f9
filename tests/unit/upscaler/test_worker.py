"""The process worker: every shard committed once, each frame in its place; every failure named."""

import itertools
import logging
import signal
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError

from containers.common.film.coded_film import Film
from containers.common.film.pictures import (
    Picture,
    PictureReader,
    to_frame,
)
from containers.common.runtime import storage
from containers.upscaler.device.colour import RgbReader
from containers.upscaler.encode import ShardEncoder
from contracts.film.ledger import Progress
from contracts.job import Codec, Container
from contracts.keys import failure_key, progress_key
from contracts.limits import S3_USER_METADATA_BYTES
from contracts.models import ModelName
from contracts.names import SHARD_RESULT_METADATA, ExitCode, Metric, Stage
from tests.unit.upscaler.support import (
    BT709,
    BUCKET,
    JOB_ID,
    SOURCES,
    FolderS3,
    prepare,
    shard_path,
)
from tests.unit.upscaler.worker_support import (
    committed,
    failure,
    result,
    spawn,
    work,
)

LOSSLESS = {
    "codec": Codec.FFV1, "encoder": "ffv1", "options": {"level": "3"},
    "pixel_format": "yuv444p", "container": Container.MKV,
}  # fmt: skip


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        reader, planes = RgbReader(BT709, 8), PictureReader()
        return [reader.read(to_frame(planes.read(frame, 0))) for frame in container.decode(video=0)]


def test_a_run_commits_every_shard_with_its_result(tmp_path: Path) -> None:
    prepare(tmp_path, 10)
    assert work(tmp_path) == ExitCode.OK
    assert committed(tmp_path) == [0, 1, 2]
    for index, frames in enumerate((4, 4, 2)):
        stored = result(tmp_path, index)
        content = shard_path(tmp_path, index).read_bytes()
        assert (stored.job_id, stored.index, stored.frames) == (JOB_ID, index, frames)
        assert stored.counts() == {"decoded": frames, "upscaled": frames, "encoded": frames}
        assert stored.bytes == len(content)
        assert stored.device == "cpu"
        assert {"av", "opencv"} <= set(stored.versions)
        assert stored.peak_memory_mib > 0
        assert stored.wall_seconds > 0
        assert len(pictures(shard_path(tmp_path, index))) == frames
        assert len(stored.to_json()) + len(SHARD_RESULT_METADATA) < S3_USER_METADATA_BYTES


def test_each_frame_of_each_shard_is_its_source_frame_enlarged(tmp_path: Path) -> None:
    prepare(tmp_path, 10, **LOSSLESS)
    assert work(tmp_path) == ExitCode.OK
    found = [p for i in range(3) for p in pictures(shard_path(tmp_path, i, "mkv"))]
    sources = pictures(tmp_path / SOURCES / "clip.mkv")
    for shown, source in zip(found, sources, strict=True):
        expected = cv2.resize(source, (128, 96), interpolation=cv2.INTER_LANCZOS4)
        assert np.abs(shown.astype(int) - expected).max() <= 2


def test_a_picture_that_the_decoder_does_not_give_is_missing_in_every_count_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = Film.pictures
    monkeypatch.setattr(Film, "pictures", lambda *given: itertools.islice(pictures(*given), 9))
    prepare(tmp_path, 10, batch=4)
    assert work(tmp_path) == ExitCode.OK
    assert result(tmp_path, 1).counts() == {"decoded": 4, "upscaled": 4, "encoded": 4}
    assert result(tmp_path, 2).counts() == {"decoded": 1, "upscaled": 1, "encoded": 1}


def test_repeated_pictures_count_as_upscaled(tmp_path: Path) -> None:
    (tmp_path / SOURCES).mkdir()
    with av.open(str(tmp_path / SOURCES / "clip.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for _ in range(10):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    prepare(tmp_path, 10)
    assert work(tmp_path) == ExitCode.OK
    stored = result(tmp_path, 0)
    assert stored.repeated_frames == 3
    assert stored.counts() == {"decoded": 4, "upscaled": 4, "encoded": 4}


def test_a_networks_shards_do_not_depend_on_the_run_they_are_in(
    tmp_path: Path, weights: Path
) -> None:
    changes: dict[str, Any] = {"model": ModelName.ANIMEVIDEOV3, "batch": 3}
    prepare(tmp_path / "one", 10, **changes)
    prepare(tmp_path / "three", 10, run_shards=1, **changes)
    assert work(tmp_path / "one", weights=str(weights)) == ExitCode.OK
    for run in (2, 0, 1):
        assert work(tmp_path / "three", run, weights=str(weights)) == ExitCode.OK
    for index in range(3):
        assert shard_path(tmp_path / "one", index).read_bytes() == (
            shard_path(tmp_path / "three", index).read_bytes()
        )
    assert "torch" in result(tmp_path / "one", 0).versions


def test_a_child_does_its_own_run_only(tmp_path: Path) -> None:
    prepare(tmp_path, 20, run_shards=2)
    assert work(tmp_path, run=1) == ExitCode.OK
    assert committed(tmp_path) == [2, 3]


@pytest.mark.logs_errors
def test_a_run_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path, 8)
    assert work(tmp_path, run=7) == ExitCode.BAD_REQUEST
    assert failure(tmp_path, run=7).message.startswith("run 7 does not exist")


def test_committed_shards_are_left_alone_and_missing_ones_made_alike(tmp_path: Path) -> None:
    prepare(tmp_path, 20)
    assert work(tmp_path) == ExitCode.OK
    before = {i: shard_path(tmp_path, i).read_bytes() for i in range(5)}
    for index in (1, 3):
        shard_path(tmp_path, index).unlink()
    kept = {i: shard_path(tmp_path, i).stat().st_mtime_ns for i in (0, 2, 4)}
    assert work(tmp_path) == ExitCode.OK
    assert {i: shard_path(tmp_path, i).read_bytes() for i in range(5)} == before
    assert {i: shard_path(tmp_path, i).stat().st_mtime_ns for i in (0, 2, 4)} == kept


def test_a_worker_counts_what_it_commits_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(tmp_path, 20)
    assert work(tmp_path) == ExitCode.OK
    shard_path(tmp_path, 1).unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert work(tmp_path, stack="prod") == ExitCode.OK
    lines = [vars(record) for record in caplog.records if hasattr(record, "_aws")]
    assert {line["stack"] for line in lines} == {"prod"}
    (shard,) = [line for line in lines if Metric.SHARDS_COMMITTED in line]
    assert (shard[Metric.SHARDS_COMMITTED], shard[Metric.FRAMES]) == (1, 4)
    assert shard[Metric.FRAMES_PER_SECOND] > 0
    assert lines[-1][Metric.WORKER_FAILURES] == 0


def test_a_run_that_is_done_reads_no_source(tmp_path: Path) -> None:
    job = prepare(tmp_path, 8)
    assert work(tmp_path) == ExitCode.OK
    FolderS3(tmp_path).path(SOURCES, job.source.key).unlink()
    assert work(tmp_path) == ExitCode.OK


def test_a_shard_that_another_worker_commits_first_is_fine(tmp_path: Path) -> None:
    class Blind(FolderS3):
        def head_object(self, **call: Any) -> dict[str, Any]:
            return super().head_object(Bucket="none", Key="none")

    prepare(tmp_path, 8)
    assert work(tmp_path) == ExitCode.OK
    kept = shard_path(tmp_path, 0).stat().st_mtime_ns
    assert work(tmp_path, client=Blind(tmp_path)) == ExitCode.OK
    assert shard_path(tmp_path, 0).stat().st_mtime_ns == kept


def test_progress_ends_at_the_frames_of_the_run(tmp_path: Path) -> None:
    prepare(tmp_path, 20, run_shards=3)
    assert work(tmp_path, run=1, progress_seconds="1000") == ExitCode.OK
    path = FolderS3(tmp_path).path(BUCKET, progress_key(JOB_ID, 1))
    assert Progress.model_validate_json(path.read_bytes()) == Progress(run=1, frames=8)


@pytest.mark.logs_errors
def test_a_film_that_breaks_off_fails_by_its_frame_and_keeps_what_was_done(
    tmp_path: Path,
) -> None:
    job = prepare(tmp_path, 40)
    path = FolderS3(tmp_path).path(SOURCES, job.source.key)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    assert work(tmp_path) == ExitCode.BAD_SOURCE
    assert "uploads/clip.mkv: frame " in failure(tmp_path).message
    done = committed(tmp_path)
    assert done == list(range(len(done)))
    assert 0 < len(done) < 10


@pytest.mark.logs_errors
@pytest.mark.parametrize("answered", [0, 1, 2, 5, 9])
def test_a_request_that_fails_is_a_reason_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    class Failing(FolderS3):
        ranges = 0

        def get_object(self, **call: Any) -> dict[str, Any]:
            self.ranges += "Range" in call
            if self.ranges > answered:
                raise EndpointConnectionError(endpoint_url="https://s3")
            return super().get_object(**call)

    monkeypatch.setattr(storage, "BLOCK_BYTES", 512)
    prepare(tmp_path, 40)
    assert work(tmp_path, client=Failing(tmp_path)) == ExitCode.TRANSIENT


@pytest.mark.logs_errors
def test_an_encoder_that_raises_midway_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, calls = ShardEncoder.add, itertools.count(1)

    def failing(self: ShardEncoder, picture: Picture) -> None:
        if next(calls) == 7:
            raise RuntimeError("the encoder broke")
        add(self, picture)

    monkeypatch.setattr(ShardEncoder, "add", failing)
    prepare(tmp_path, 40)
    assert work(tmp_path) == ExitCode.CRASH
    assert "the encoder broke" in failure(tmp_path).message
    assert committed(tmp_path) == [0]


@pytest.mark.logs_errors
def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    prepare(tmp_path, 8, encoder="libnothing")
    assert work(tmp_path) == ExitCode.UNSUPPORTED
    assert "cannot encode h264 with libnothing" in failure(tmp_path).message
    assert committed(tmp_path) == []


@pytest.mark.logs_errors
def test_missing_weights_are_named(tmp_path: Path) -> None:
    prepare(tmp_path, 8, model=ModelName.ANIMEVIDEOV3)
    assert work(tmp_path, weights=str(tmp_path / "none")) == ExitCode.UNSUPPORTED
    assert "containers.upscaler weights --to" in failure(tmp_path).message


@pytest.mark.parametrize("model", [ModelName.LANCZOS, ModelName.ANIMEVIDEOV3])
def test_sigterm_ends_the_worker_with_143_and_nothing_half_done(
    tmp_path: Path, weights: Path, model: ModelName
) -> None:
    prepare(tmp_path, 400, model=model, shard_frames=2)
    worker = spawn(tmp_path, weights)
    while not committed(tmp_path) and worker.poll() is None:
        time.sleep(0.01)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == ExitCode.INTERRUPTED
    assert list((tmp_path / "tmp").iterdir()) == []
    assert 0 < len(committed(tmp_path)) < 200
    assert not FolderS3(tmp_path).path(BUCKET, failure_key(JOB_ID, Stage.PROCESS)).exists()
    for index in committed(tmp_path)[-2:]:
        assert len(pictures(shard_path(tmp_path, index))) == 2


def peak_mib(folder: Path, weights: Path) -> int:
    """By the worker's own account, which leaves out what its parent held before exec."""
    assert spawn(folder, weights).wait() == ExitCode.OK
    return max(result(folder, index).peak_memory_mib for index in committed(folder))


@pytest.mark.parametrize(
    ("model", "short", "long"),
    [(ModelName.LANCZOS, 300, 3000), (ModelName.ANIMEVIDEOV3, 20, 120)],
)
def test_memory_does_not_grow_with_the_film(
    tmp_path: Path, weights: Path, model: ModelName, short: int, long: int
) -> None:
    peaks = []
    for frames in (short, long):
        folder = tmp_path / str(frames)
        prepare(folder, frames, model=model, shard_frames=frames // 2)
        peaks.append(peak_mib(folder, weights))
    assert peaks[1] <= peaks[0] * 1.1
