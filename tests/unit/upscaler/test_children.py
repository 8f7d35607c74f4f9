"""A worker of several devices: each child its share, each shard once, one exit code."""

import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.upscaler.children import Share, run_children
from contracts.film.ledger import Progress
from contracts.film.manifest import Shard
from contracts.keys import failure_key, progress_key
from contracts.names import ExitCode, Stage
from tests.unit.upscaler.support import (
    BUCKET,
    JOB_ID,
    SOURCES,
    FolderS3,
    environment,
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


@given(st.integers(0, 50), st.integers(1, 8))
def test_shares_make_up_the_run_and_are_even(count: int, parts: int) -> None:
    shards = [Shard(index=i, first_frame=i, frames=1) for i in range(count)]
    shares = [list(Share(n, parts).of(shards)) for n in range(parts)]
    assert [shard for share in shares for shard in share] == shards
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("text", ["4/4", "-1/2", "1", "a/b", "1/2/3"])
def test_shares_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of int() or ours
        Share.parse(text)
    assert str(Share.parse("1/4")) == "1/4"


def test_children_commit_what_one_worker_would(tmp_path: Path) -> None:
    prepare(tmp_path / "one", 20)
    prepare(tmp_path / "three", 20)
    assert work(tmp_path / "one") == ExitCode.OK
    assert spawn(tmp_path / "three", Path("nowhere"), children="3").wait(60) == ExitCode.OK
    assert committed(tmp_path / "three") == [0, 1, 2, 3, 4]
    for index in range(5):
        one, three = (shard_path(tmp_path / name, index) for name in ("one", "three"))
        assert one.read_bytes() == three.read_bytes()
        assert result(tmp_path / "three", index).frames == 4
    files = [
        FolderS3(tmp_path / "three").path(BUCKET, progress_key(JOB_ID, 0, child))
        for child in range(3)
    ]
    frames = [Progress.model_validate_json(path.read_bytes()).frames for path in files]
    assert frames == [4, 8, 8]


def test_a_childs_failure_is_the_workers_and_stops_the_others(tmp_path: Path) -> None:
    job = prepare(tmp_path, 400, shard_frames=2)
    path = FolderS3(tmp_path).path(SOURCES, job.source.key)
    half = job.source.size // 2
    path.write_bytes(path.read_bytes()[:half] + bytes(job.source.size - half))
    worker = spawn(tmp_path, Path("nowhere"), children="2")
    assert worker.wait(60) == ExitCode.BAD_SOURCE
    assert "uploads/clip.mkv: frame " in failure(tmp_path).message
    assert len(committed(tmp_path)) < 200


def test_sigterm_reaches_every_child(tmp_path: Path) -> None:
    prepare(tmp_path, 400, shard_frames=2)
    worker = spawn(tmp_path, Path("nowhere"), children="2")
    while len(committed(tmp_path)) < 2 and worker.poll() is None:
        time.sleep(0.01)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == ExitCode.INTERRUPTED
    assert list((tmp_path / "tmp").iterdir()) == []
    done = committed(tmp_path)
    assert 0 < len(done) < 200
    assert not FolderS3(tmp_path).path(BUCKET, failure_key(JOB_ID, Stage.PROCESS)).exists()
    time.sleep(0.2)
    assert committed(tmp_path) == done


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
place = Path(sys.argv[1])
number = int(sys.argv[-1].split("/")[0])
names = ("CUDA_VISIBLE_DEVICES", "SUPERRES_CHILDREN", "SUPERRES_GPUS", "SUPERRES_DOLLARS_PER_HOUR")
(place / str(number)).write_text(" ".join(os.environ[name] for name in names))
code = int(sys.argv[2 + number])
if code == 1000:
    time.sleep(50)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def run(folder: Path, codes: list[int], **variables: str) -> int:
    """Children that end with these codes; 1000 is one that does not end by itself."""
    environ = environment(Path("nowhere"), children=str(len(codes)), **variables)
    command = [sys.executable, "-c", SCRIPT, str(folder), *map(str, codes)]
    return run_children(len(codes), command, environ)


def test_each_child_gets_one_device_and_its_part_of_the_price(tmp_path: Path) -> None:
    assert run(tmp_path, [0, 0], gpus="2", dollars_per_hour="3.0") == ExitCode.OK
    seen = [(tmp_path / name).read_text() for name in ("0", "1")]
    assert seen == ["0 1 1 1.50000000", "1 1 1 1.50000000"]


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], ExitCode.OK),
        ([0, ExitCode.BAD_SOURCE], ExitCode.BAD_SOURCE),
        ([ExitCode.UNSUPPORTED, 1000], ExitCode.UNSUPPORTED),
        ([ExitCode.TRANSIENT, 0], ExitCode.TRANSIENT),
        ([-signal.SIGKILL, 0], 128 + signal.SIGKILL),
    ],
)
def test_the_first_code_that_is_not_ok_is_the_workers(
    tmp_path: Path, codes: list[int], code: int
) -> None:
    assert run(tmp_path, codes) == code
