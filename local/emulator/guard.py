"""A small process that outlives the emulator just long enough to leave nothing behind.

It is forked before any thread exists, and reads from a pipe which process groups run. When the
pipe closes, for whatever reason, it kills those that remain and removes the scratch directory.
"""

import contextlib
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Self


class Guard:
    """The emulator's end of the pipe."""

    def __init__(self, pid: int, writer: int) -> None:
        """`writer` is the pipe's file descriptor."""
        self._pid = pid
        self._writer = writer
        self._lock = threading.Lock()

    @classmethod
    def fork(cls, scratch: Path) -> Self:
        """Fork the process, which removes `scratch` at the end."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(writer)
                _detach()
                _clean_up(_remaining_groups(reader), scratch)
            finally:
                os._exit(0)
        os.close(reader)
        return cls(pid, writer)

    def watch(self, group: int) -> None:
        """A process group that must not outlive the emulator."""
        self._send(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended by itself."""
        self._send(f"-{group}\n")

    def finish(self) -> None:
        """Close the pipe and wait until everything is gone."""
        os.close(self._writer)
        os.waitpid(self._pid, 0)

    def _send(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError):
            os.write(self._writer, line.encode())


def _detach() -> None:
    """Leave the terminal's process group and the caller's streams."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def _remaining_groups(reader: int) -> set[int]:
    groups: set[int] = set()
    with os.fdopen(reader) as lines:
        for line in lines:
            change = groups.add if line.startswith("+") else groups.discard
            change(int(line[1:]))
    return groups


def _clean_up(groups: set[int], scratch: Path) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(scratch, ignore_errors=True)
