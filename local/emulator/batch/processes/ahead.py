"""A job's process started before its job comes: it imports meanwhile what the job will need.

A worker imports for two seconds before a network's first picture. While another stage runs on one
core, the next one's imports can have the other.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

from local.emulator.batch.processes import waiting
from local.emulator.batch.processes.start import Start


class Ahead:
    """One process that imports `module`, for the first job that runs the package it is in."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._command = ["python", "-m", module.rpartition(".")[0]]
        self._lock = threading.Lock()
        self._begun = False
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, environment: Mapping[str, str], started: Callable[[int], None]) -> None:
        """Start the process, once; `started` is told its process group."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
            with contextlib.suppress(OSError):  # then the job's process is started as any other
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", waiting.__name__, self._module],
                    cwd="/",
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                started(self._process.pid)

    def take(self, start: Start) -> "subprocess.Popen[bytes] | None":
        """The process, which becomes that job's; None where there is none for it."""
        if start.command[:3] != self._command:
            return None
        process = self._given_away()
        if process is None or process.stdin is None:
            return None
        try:
            with process.stdin as orders:
                orders.write(json.dumps(start.as_order()).encode() + b"\n")
        except OSError:  # it has ended
            process.wait()
            return None
        return process

    def close(self) -> None:
        """End the process if no job took it."""
        process = self._given_away()
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.kill()
            process.wait()

    def _given_away(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            process, self._process, self._begun = self._process, None, True
        return process
