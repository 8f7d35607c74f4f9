"""Runs the process worker on a folder that stands in for S3, and reads what it leaves there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from containers.common.runtime.worker import run_worker
from containers.upscaler.worker import process
from contracts.film.ledger import ShardResult
from contracts.keys import failure_key
from contracts.messages import Failure
from contracts.names import SHARD_RESULT_METADATA, Stage
from contracts.stack.environ import ProcessEnvironment
from tests.unit.upscaler.support import (
    BUCKET,
    JOB_ID,
    FolderS3,
    environment,
    shard_path,
)


def work(folder: Path, run: int = 0, client: Any = None, **variables: str) -> int:
    """Run the worker in this process; return its exit code."""
    environ = environment(Path(variables.pop("weights", "nowhere")), **variables)
    environ["AWS_BATCH_JOB_ARRAY_INDEX"] = str(run)
    return run_worker(
        Stage.PROCESS,
        ProcessEnvironment,
        process,
        environ=environ,
        client=client or FolderS3(folder),
    )


def failure(folder: Path, run: int = 0) -> Failure:
    path = FolderS3(folder).path(BUCKET, failure_key(JOB_ID, Stage.PROCESS, run))
    return Failure.model_validate_json(path.read_bytes())


def result(folder: Path, index: int) -> ShardResult:
    text = shard_path(folder, index).with_suffix(".metadata").read_text()
    return ShardResult.model_validate_json(json.loads(text)[SHARD_RESULT_METADATA])


def committed(folder: Path, extension: str = "mp4") -> list[int]:
    return [i for i in range(100) if shard_path(folder, i, extension).exists()]


def spawn(folder: Path, weights: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start the worker as a process; its temporary files go under `folder`/tmp."""
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.upscaler.support", str(folder)],
        env={
            **os.environ,
            **environment(weights, **variables),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONWARNINGS": "error",
        },
        stderr=subprocess.DEVNULL,
    )
