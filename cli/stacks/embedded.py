"""The embedded AWS as a child process: started, spoken to, and always ended."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from platformdirs import user_state_path

from cli.errors import UserError
from cli.files import ROOT
from cli.stacks.stack import Stack

STOP_SECONDS = 15.0
IMPORT_AHEAD = "containers.upscaler.preload"


def state_dir() -> Path:
    """Where the embedded AWS keeps its snapshots and the logs of jobs."""
    return user_state_path("superres", appauthor=False)


@contextmanager
def embedded_stack(
    settings: Mapping[str, str], *, preload_network: bool = False
) -> Iterator[Stack]:
    """Run the embedded AWS with the program deployed. Raises UserError if it does not start.

    `settings` override the stack's own. With `preload_network`, the imports of a network's worker
    run while the film is extracted.
    """
    command = [sys.executable, "-m", "local", "serve", "--state-dir", str(state_dir())]
    if preload_network:
        command += ["--import-ahead", IMPORT_AHEAD]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    with tempfile.TemporaryFile("w+") as errors:
        # In a session of its own: Ctrl+C reaches only us, and we end it in order.
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield _await_ready(process, errors)
        finally:
            _stop(process)


def _await_ready(process: subprocess.Popen[str], errors: IO[str]) -> Stack:
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
    """Close its stdin, which ends it and all its jobs; kill it if that takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
