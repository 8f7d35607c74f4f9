"""The S3 adapter: errors with exit codes, one commit, ranged reads of a pinned version."""

import io
import tracemalloc
from pathlib import Path

import pytest

from containers.common.runtime import storage
from containers.common.runtime.storage import (
    BLOCK_BYTES,
    COMMIT_TRIES,
    RangedReader,
    S3Store,
    WorkerError,
)
from contracts.film.ledger import Progress
from contracts.job import SourceObject
from contracts.names import ExitCode
from tests.support.fake_s3 import FakeS3, client_error

BUCKET, KEY = "the-source", "uploads/film.mp4"


def uploaded(size: int) -> tuple[FakeS3, bytes, SourceObject]:
    s3, data = FakeS3(), bytes(i * 31 % 251 for i in range(4096)) * (size // 4096 + 1)
    data = data[:size]
    version = s3.put_object(Bucket=BUCKET, Key=KEY, Body=data)["VersionId"]
    s3.requests.clear()
    source = SourceObject(bucket=BUCKET, key=KEY, version_id=version, etag="e", size=size)
    return s3, data, source


def read_all(reader: RangedReader) -> bytes:
    parts = []
    while part := reader.read(300_000):
        parts.append(part)
    return b"".join(parts)


def test_a_contract_comes_back_as_it_was_written() -> None:
    store = S3Store(FakeS3())
    store.put_json("b", "k", Progress(run=3, frames=17))
    assert store.get_json(Progress, "b", "k") == Progress(run=3, frames=17)


def test_a_missing_object_is_named() -> None:
    with pytest.raises(WorkerError, match="s3://b/k does not exist") as caught:
        S3Store(FakeS3()).get_json(Progress, "b", "k")
    assert caught.value.exit_code is ExitCode.SOURCE_MISSING


def test_a_file_that_breaks_its_contract_is_a_bad_request() -> None:
    s3 = FakeS3()
    s3.put_object(Bucket="b", Key="k", Body=b'{"run": "many", "frames": 1}')
    with pytest.raises(WorkerError, match="s3://b/k: run: got 'many'") as caught:
        S3Store(s3).get_json(Progress, "b", "k")
    assert caught.value.exit_code is ExitCode.BAD_REQUEST


def test_info_tells_size_and_metadata_and_none_for_nothing(tmp_path: Path) -> None:
    store = S3Store(FakeS3())
    (tmp_path / "f").write_bytes(b"12345")
    assert store.info("b", "k") is None
    store.put_file_once("b", "k", tmp_path / "f", {"superres-result": "yes"})
    assert store.info("b", "k") == storage.ObjectInfo(5, {"superres-result": "yes"})


def test_only_the_first_commit_counts(tmp_path: Path) -> None:
    store = S3Store(FakeS3())
    for content in (b"first", b"second"):
        (tmp_path / content.decode()).write_bytes(content)
    assert store.put_file_once("b", "k", tmp_path / "first", {})
    assert not store.put_file_once("b", "k", tmp_path / "second", {})
    assert store.get_bytes("b", "k") == b"first"


def test_a_conflict_with_another_commit_is_tried_again(tmp_path: Path) -> None:
    class Racing(FakeS3):
        conflicts = 2

        def put_object(self, **request: object) -> dict[str, object]:
            if self.conflicts:
                self.conflicts -= 1
                raise client_error("ConditionalRequestConflict", 409, "PutObject")
            return super().put_object(**request)

    (tmp_path / "f").write_bytes(b"x")
    s3 = Racing()
    assert S3Store(s3).put_file_once("b", "k", tmp_path / "f", {})
    assert s3.conflicts == 0


def test_endless_conflicts_are_left_to_batch(tmp_path: Path) -> None:
    class Busy(FakeS3):
        tries = 0

        def put_object(self, **request: object) -> dict[str, object]:
            self.tries += 1
            raise client_error("ConditionalRequestConflict", 409, "PutObject")

    s3, path = Busy(), tmp_path / "shard"
    path.write_bytes(b"shard")
    with pytest.raises(WorkerError) as caught:
        S3Store(s3).put_file_once("b", "k", path, {})
    assert caught.value.exit_code is ExitCode.TRANSIENT
    assert s3.tries == COMMIT_TRIES


def test_a_file_too_large_for_one_put_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "S3_PUT_BYTES", 3)
    (tmp_path / "f").write_bytes(b"1234")
    with pytest.raises(WorkerError, match="k has 4 bytes, one upload takes 3; ask for shorter"):
        S3Store(FakeS3()).put_file_once("b", "k", tmp_path / "f", {})


def test_files_travel_both_ways(tmp_path: Path) -> None:
    store = S3Store(FakeS3())
    (tmp_path / "up").write_bytes(b"content")
    store.upload(tmp_path / "up", "b", "k", content_type="video/mp4")
    store.download("b", "k", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"content"


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 7])
def test_ranged_reading_gives_the_object_byte_for_byte(size: int) -> None:
    s3, data, source = uploaded(size)
    assert read_all(S3Store(s3).reader(source)) == data


@pytest.mark.parametrize(("ahead", "requests"), [(2, 8), (8, 4)])  # 1 + 2 + 2 ..., 1 + 2 + 4 + 8
def test_sequential_reading_asks_for_more_at_a_time(ahead: int, requests: int) -> None:
    s3, _, source = uploaded(15 * BLOCK_BYTES)
    read_all(S3Store(s3).reader(source, ahead))
    assert len(s3.requests) == requests


def test_seeking_reads_only_the_blocks_in_question() -> None:
    s3, data, source = uploaded(20 * BLOCK_BYTES)
    reader = S3Store(s3).reader(source)
    for start in (17 * BLOCK_BYTES + 5, 3, 9 * BLOCK_BYTES, 17 * BLOCK_BYTES + 1000):
        assert reader.seek(start) == start
        assert reader.read(64) == data[start : start + 64]
    assert len(s3.requests) == 3
    assert reader.seek(-10, io.SEEK_END) == len(data) - 10
    assert reader.read() == data[-10:]


def test_the_cache_stays_small() -> None:
    s3, _, source = uploaded(25 * BLOCK_BYTES)
    reader = S3Store(s3).reader(source)
    tracemalloc.start()
    while reader.read(BLOCK_BYTES):
        pass
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert BLOCK_BYTES < kept <= 3 * 1024**2 + 100_000


def test_the_pinned_version_is_read_whatever_came_later() -> None:
    s3, data, source = uploaded(1000)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"newer" * 200)
    assert read_all(S3Store(s3).reader(source)) == data


def test_a_failed_range_is_transient_and_final() -> None:
    s3, _, source = uploaded(1000)
    reader = S3Store(s3).reader(source)
    s3.failing["GetObject"] = client_error("SlowDown", 503, "GetObject")
    with pytest.raises(WorkerError) as caught:
        reader.read(10)
    s3.failing.clear()
    with pytest.raises(WorkerError) as again:
        reader.read(10)
    assert caught.value.exit_code is ExitCode.TRANSIENT
    assert again.value is caught.value is reader.failure


def test_a_body_that_ends_early_is_transient() -> None:
    s3, data, source = uploaded(1000)
    s3.objects[BUCKET, KEY]["data"] = data[:600]
    with pytest.raises(WorkerError, match="got 600 of 1000 bytes") as caught:
        S3Store(s3).reader(source).read(10)
    assert caught.value.exit_code is ExitCode.TRANSIENT
