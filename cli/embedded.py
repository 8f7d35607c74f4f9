"""The embedded AWS as a child process: started, spoken to, and always ended."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_state_path

from cli.errors import UserError
from cli.machine import cores
from contracts.models import CATALOGUE, Engine, ModelName, weights_file

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 15.0
PRECISIONS = ("auto", "float32", "bfloat16")
IMPORT_AHEAD = "containers.upscaler.preload"
CPU_GFLOPS_PER_THREAD = {"float32": 100.0, "bfloat16": 500.0}
"""Measured with animevideov3: float32 on AVX2, bfloat16 on AMX. Sizes runs and time limits only."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A deployed stack and how to speak to it."""

    endpoint: str | None
    region: str
    credentials: Mapping[str, str]
    outputs: Mapping[str, str]
    log_dir: Path
    warm: bool
    access_log: Path | None = None
    """Which statement of which role allowed which call, a JSON line each; AWS keeps none."""


def state_dir() -> Path:
    """Where snapshots and job logs of the embedded AWS live."""
    return user_state_path("superres", appauthor=False)


def weights_dir() -> Path:
    return user_cache_path("superres", appauthor=False) / "weights"


def ensure_weights(model: ModelName) -> None:
    """Fill the weights' cache once. Raises UserError."""
    facts, folder = CATALOGUE[model], weights_dir()
    if facts.weights_sha256 is None or (folder / weights_file(model)).is_file():
        return
    command = [sys.executable, "-m", "containers.upscaler", "weights", "--to", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"the weights of {model.value} are not in {folder}: {reason}")


def inference_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """bfloat16 where the processor multiplies it in hardware (AMX), else float32.

    Four times as fast there, at a bounded loss (docs/decisions/0006); elsewhere it would be slower.
    """
    try:
        return "bfloat16" if " amx_bf16" in cpuinfo.read_text() else "float32"
    except OSError:
        return "float32"


def inference_memory_mib(workers: int) -> int:
    """A third of this machine's memory, shared by the workers.

    Of what there is, not of what is free now: it decides the tiles, and so must not change.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, total // 3 // workers // 1024**2)


def overrides(workers: int, precision: str) -> dict[str, str]:
    """Stack settings that fit this machine: its cores shared by `workers` children.

    `precision` is one of PRECISIONS.
    """
    threads = max(1, cores() // workers)
    dtype = inference_dtype() if precision == "auto" else precision
    return {
        "inference_dtype": dtype,
        "inference_engine": Engine.NCNN.value,
        "inference_memory_mib": str(inference_memory_mib(workers)),
        "worker_parallelism": str(workers),
        "worker_vcpus": str(threads),
        "inference_threads": str(threads),
        "encoder_threads": str(threads),
        "worker_gflops": str(CPU_GFLOPS_PER_THREAD[dtype] * threads),
        "model_dir": str(weights_dir()),
    }


@contextmanager
def embedded_stack(settings: Mapping[str, str], *, network_comes: bool = False) -> Iterator[Stack]:
    """Run the embedded AWS with the program deployed. Raises UserError if it will not start.

    `network_comes`: a film for a network will; its worker's imports run beside the extraction.
    """
    command = [sys.executable, "-m", "local", "serve", "--state-dir", str(state_dir())]
    if network_comes:
        command += ["--import-ahead", IMPORT_AHEAD]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    with tempfile.TemporaryFile("w+") as errors:
        # Its own session: Ctrl+C reaches us alone, and we end it in order.
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield _ready(process, errors)
        finally:
            _stop(process)


def _ready(process: subprocess.Popen[str], errors: Any) -> Stack:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait()
        errors.seek(0)
        reason = (errors.read().strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(f"the embedded AWS did not start: {reason}", exit_code=1)
    ready = json.loads(line)
    return Stack(
        endpoint=ready["endpoint"],
        region=ready["region"],
        credentials={
            "aws_access_key_id": ready["access_key_id"],
            "aws_secret_access_key": ready["secret_access_key"],
        },
        outputs=ready["outputs"],
        log_dir=Path(ready["log_dir"]),
        access_log=Path(ready["access_log"]),
        warm=ready["warm"],
    )


def _stop(process: subprocess.Popen[str]) -> None:
    """Close its stdin, which ends it and all its jobs; insist if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
