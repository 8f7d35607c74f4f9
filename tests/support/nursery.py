"""Confined children that start at once: forked from a process that has loaded their libraries.

Loading takes half a second of processor time, most of what a job on a tiny film costs, and the
media tests start over a thousand children. A forked child then does what a fresh one does: it
confines itself and runs its program. Tests of confinement and of hostile films start fresh ones.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from containers.common.confined import parent
from containers.common.confined.messages import ChildStart

_PROGRAMS = (
    "containers.common.film.decoder.child",
    "containers.media.extract.child",
    "containers.media.recompose.child",
)
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.nursery import serve; serve()"
)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_MOST_FDS = 16
_ABOVE_ALL = 500
"""Where descriptors rest until each can take its own number."""


class Forked(subprocess.Popen[bytes]):
    """A child that somebody else forked for us."""

    def __init__(self, pid: int) -> None:
        self.args, self.pid, self.returncode = ["forked"], pid, None
        self.stdin = self.stdout = self.stderr = None
        self._waitpid_lock = threading.Lock()
        self._child_created = True


class Nursery:
    """The process that forks, at the other end of a socket."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _BOOT, str(parent.ROOT)],
                env=parent.ENVIRONMENT,
                cwd="/",
                stdin=theirs.fileno(),
            )

    def start_process(
        self, start: ChildStart, fds: Sequence[int], *, errors: int
    ) -> subprocess.Popen[bytes]:
        """Takes the place of parent.start_process."""
        request = json.dumps({"start": start.to_json(), "fds": list(fds)}).encode()
        with self._lock, _adopting():
            socket.send_fds(self._link, [request], [*fds, errors])
            reply = self._link.recv(64)
        return Forked(int(reply))

    def close(self) -> None:
        self._link.close()
        self._process.wait(10)


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Whoever loses its parent meanwhile becomes our child, as it would be if we had forked it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def serve() -> None:
    """The nursery's side. Never returns."""
    import importlib

    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for name in _PROGRAMS:
        importlib.import_module(name)
    link = socket.socket(fileno=os.dup(0))
    while True:
        request, fds, _, _ = socket.recv_fds(link, 65536, _MOST_FDS)
        if not request:
            os._exit(0)
        if not (middle := os.fork()):
            if os.fork():
                os._exit(0)  # which makes the child the test's own
            _become_child(link, json.loads(request), fds)
        os.waitpid(middle, 0)
        for fd in fds:
            os.close(fd)


def _become_child(link: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    from containers.common.confined.child import main

    start = json.loads(request["start"])
    os.setsid()
    while os.getppid() != start["parent"]:
        os.sched_yield()
    link.send(str(os.getpid()).encode())
    held = [fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE_ALL) for fd in fds]
    link.detach()
    os.closerange(3, _ABOVE_ALL)
    for fd, number in zip(held, [*request["fds"], 2], strict=True):
        os.dup2(fd, number, inheritable=True)
    os.closerange(_ABOVE_ALL, _ABOVE_ALL + 2 * _MOST_FDS)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if null not in request["fds"]:
        os.close(null)
    main(request["start"])


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
