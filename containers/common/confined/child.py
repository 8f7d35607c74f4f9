"""The child's side: lock, then work for the parent until it is gone.

`parent` starts it as `python -I -c BOOT ROOT START`. A program is a function that takes a
ParentLink. It and all its imports are loaded before the lock: afterwards no file can be opened.
"""

import errno
import importlib
import os
import pkgutil
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import av

from containers.common.confined.lock import LockRefusedError, Rights, die_with_parent, lock
from containers.common.confined.memory import AddressSpace
from containers.common.confined.messages import (
    BYTES,
    MAX_MESSAGE_BYTES,
    MAX_READ_BYTES,
    MESSAGE,
    Alive,
    ChildStart,
    Done,
    Fetch,
    Message,
    OutOfMemory,
    Read,
    Ready,
    Shown,
    TaskFailed,
    TooMuch,
    receive,
    send,
)
from containers.common.runtime.errors import (
    NO_ROOM,
    WorkerError,
    has_errno,
)
from containers.common.runtime.ranged import RangedFile
from contracts.names import ExitCode

ALIVE_SECONDS = 1.0
DETAIL_CHARS = 4000
_PROGRAMS_OF_AV = frozenset({"av.__main__", "av.datasets"})
MAX_BLOB_BYTES = 1024**3
"""Of what the parent sends; the parent is trusted."""


class ParentGoneError(Exception):
    """The parent has ended, or closed the connection."""


class ParentLink:
    """The child's connection to its parent. Use it from one thread."""

    def __init__(self, link: socket.socket) -> None:
        self.socket = link
        self._said = time.monotonic()
        self.memory: AddressSpace | None = None

    def send(self, message: Message) -> None:
        self._said = time.monotonic()
        send(self.socket, MESSAGE, message.to_json().encode())

    def report_alive(self) -> None:
        """Call it often; it sends a message once a second."""
        if time.monotonic() - self._said > ALIVE_SECONDS:
            self.send(Alive())

    def task(self) -> bytes | None:
        """The next task's JSON; None when there is no more work."""
        try:
            return self._next(MESSAGE)
        except ParentGoneError:
            return None

    def blob(self) -> bytes:
        return self._next(BYTES)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the film; b"" at its end."""
        self.send(Read(offset=offset, size=min(size, MAX_READ_BYTES)))
        return self._next(BYTES)

    def fetch(self, number: int) -> None:
        """Have the parent put a part of the input into the file for input."""
        self.send(Fetch(number=number))
        self._next(BYTES)

    def show(self, slot: int, pts: int, seconds: float) -> None:
        self.send(Shown(slot=slot, pts=pts, seconds=seconds))

    def _next(self, wanted: bytes) -> bytes:
        frame = receive(self.socket, MAX_BLOB_BYTES)
        if frame is None or frame[0] != wanted:
            raise ParentGoneError
        return frame[1]


class LinkedFile(RangedFile):
    """The film, read by ranges through the parent; at most MAX_READ_BYTES at once."""

    def __init__(self, link: ParentLink, size: int) -> None:
        super().__init__(size)
        self._link = link

    def _fetch(self, start: int, size: int) -> bytes:
        return self._link.read(start, size)


def main(argument: str) -> None:
    """Never returns."""
    start = ChildStart.model_validate_json(argument)
    die_with_parent(start.parent)
    link = ParentLink(socket.socket(fileno=start.link))
    module, _, name = start.program.partition(":")
    program: Callable[[ParentLink], None] = getattr(importlib.import_module(module), name)
    _load_lazy_modules()
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        # From here on nothing of ours reaches the log but by messages, which the parent judges.
        os.dup2(silence, sys.stderr.fileno())
        os.close(silence)
        link.memory = memory = AddressSpace(start.memory_bytes)
        lock(
            Rights(
                memory_bytes=start.memory_bytes,
                cpu_seconds=start.cpu_seconds,
                file_bytes=start.file_bytes,
                filtered=start.filtered,
            )
        )
    except (LockRefusedError, OSError) as refusal:
        link.send(_refused(str(refusal)))
        os._exit(ExitCode.UNSUPPORTED)
    link.send(Ready())
    os._exit(_run(program, link, memory))


def _refused(reason: str) -> TaskFailed:
    return TaskFailed(
        exit_code=ExitCode.UNSUPPORTED,
        message=f"this machine cannot confine the process that reads films ({reason}); allow "
        "seccomp filters in its containers, or set decode_filter to off",
    )


def _run(program: Callable[[ParentLink], None], link: ParentLink, memory: AddressSpace) -> int:
    """The exit code. The parent ignores it: it goes by messages and signals."""
    try:
        program(link)
    except ParentGoneError:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the parent gets it, and logs it
        link.send(_report_of(error, memory))
    return ExitCode.OK


def _report_of(error: Exception, memory: AddressSpace) -> Message:
    if has_errno(error, errno.EFBIG):
        return TooMuch()
    if has_errno(error, errno.ENOSPC):
        return TaskFailed(exit_code=ExitCode.CRASH, message=NO_ROOM)
    if _lacks_memory(error) or (_could_lack_memory(error) and memory.exhausted):
        return OutOfMemory()
    if isinstance(error, WorkerError):
        return TaskFailed(exit_code=error.exit_code, message=error.message)
    message = f"internal error: {type(error).__name__}: {error}"[:DETAIL_CHARS]
    detail = traceback.format_exc()[-DETAIL_CHARS:]
    return TaskFailed(exit_code=ExitCode.CRASH, message=message, detail=detail)


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def _could_lack_memory(error: Exception) -> bool:
    """True of errors that libraries make of it: damage, or something unexpected."""
    damage = (ExitCode.BAD_SOURCE, ExitCode.LEDGER_MISMATCH)
    return not isinstance(error, WorkerError) or error.exit_code in damage


def _load_lazy_modules() -> None:
    """Import now what is imported at first use, when no file can be opened any more."""
    names = ["encodings.idna", "encodings.utf_16", "encodings.latin_1", "linecache"]
    found = pkgutil.walk_packages(av.__path__, "av.")
    names += [module.name for module in found if module.name not in _PROGRAMS_OF_AV]
    for name in names:
        importlib.import_module(name)


def send_answer(link: ParentLink, contract: Any) -> None:
    """Report that the task is finished, with the contract that the parent waits for."""
    text = contract.to_json()
    most = MAX_MESSAGE_BYTES // 2
    if len(text) > most:
        raise WorkerError(
            ExitCode.LIMIT_EXCEEDED,
            f"the film's tags, chapters and streams take {len(text)} bytes to describe, the limit "
            f"is {most}; take tags or chapters out",
        )
    link.send(Done(answer=text))
