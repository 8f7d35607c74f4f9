"""A process started before its job comes: meanwhile it imports what the job will need.

A worker imports for two seconds before a network's first picture. While one stage runs on one core,
the next stage's imports can use the other.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

from local.emulator.batch.processes import wait_for_command
from local.emulator.batch.processes.command import JobCommand


class PrestartedProcess:
    """One process that imports `module`, for the first job that runs the package it is in."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._command = ["python", "-m", module.rpartition(".")[0]]
        self._lock = threading.Lock()
        self._started = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str], on_start: Callable[[int], None]) -> None:
        """Start the process, once; `on_start` gets its process group."""
        with self._lock:
            if self._started:
                return
            self._started = True
            with contextlib.suppress(OSError):  # then the job's process starts as any other
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", wait_for_command.__name__, self._module],
                    cwd="/",
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                on_start(self._process.pid)

    def take_for(self, command: JobCommand) -> "subprocess.Popen[bytes] | None":
        """Turn the process into the command's; None if it does not fit or is gone."""
        if command.command[:3] != self._command:
            return None
        process = self._release()
        if process is None or process.stdin is None:
            return None
        try:
            with process.stdin as stdin:
                stdin.write(json.dumps(command.to_message()).encode() + b"\n")
        except OSError:  # it has ended
            process.wait()
            return None
        return process

    def close(self) -> None:
        """End the process if no job took it."""
        process = self._release()
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.kill()
            process.wait()

    def _release(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            process, self._process, self._started = self._process, None, True
        return process
