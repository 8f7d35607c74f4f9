"""The parent's side: starts the child, reads the film for it, and reports how it ended.

Whatever the child sends is judged as if the film itself had written it.
"""

import contextlib
import json
import logging
import math
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from containers.common.confined.messages import (
    BYTES,
    MAX_SENTENCE_CHARS,
    MESSAGE,
    Alive,
    ChildStart,
    Done,
    Message,
    OutOfMemory,
    Read,
    Ready,
    TaskFailed,
    TooMuch,
    parse_message,
    receive,
    send,
)
from containers.common.runtime.errors import WorkerError
from contracts.base import one_line
from contracts.names import ExitCode
from contracts.stack.environ import DecodingEnvironment

ROOT = Path(__file__).parents[3]
"""What the child imports from."""
START_SECONDS = 60.0
"""Enough for the child to load its libraries, on any machine that works."""
READ_FACTOR, READ_ALLOWANCE = 32, 1024**3
"""For one task a child may read the film this often, and this many bytes more."""
BELIEVED = frozenset({
    ExitCode.BAD_SOURCE, ExitCode.LIMIT_EXCEEDED, ExitCode.UNSUPPORTED, ExitCode.BAD_REQUEST,
    ExitCode.LEDGER_MISMATCH,
})  # fmt: skip
"""Codes that end a job for good. A film must not be able to ask for another attempt."""
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from containers.common.confined.child import main; main(sys.argv[2])"
)
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # each arena reserves 64 MiB of the address space
}
_CRASHES = {
    signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP,
}  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What a child may use."""

    memory_mib: int
    cpu_seconds: int
    stall_seconds: float
    """A child without a sign of life for this long counts as hanging."""
    file_bytes: int = 0
    filtered: bool = True

    @classmethod
    def of(cls, environment: DecodingEnvironment, file_bytes: int = 0) -> Self:
        return cls(
            memory_mib=environment.decode_memory_mib,
            cpu_seconds=environment.decode_cpu_seconds,
            stall_seconds=environment.decode_stall_seconds,
            file_bytes=file_bytes,
            filtered=environment.decode_filter == "required",
        )


def start_process(start: ChildStart, fds: Sequence[int], *, errors: int) -> subprocess.Popen[bytes]:
    """A fresh interpreter that confines itself as `start` says and runs its program.

    It inherits the descriptors `fds` under their numbers, and `errors` as its standard error.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", _BOOT, str(ROOT), start.to_json()],
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=fds,
        start_new_session=True,
    )


class ConfinedChild:
    """A child that runs one program (`module:function`) on one film, task by task.

    Start it from a thread that lives as long as the child may: the kernel kills it with that
    thread. `fds` are the descriptors that it inherits. Sentences about it name the film, `name`,
    and what it does, as a `tool`.
    """

    def __init__(
        self,
        program: str,
        limits: Confinement,
        name: str,
        *,
        fds: Sequence[int] = (),
        tool: str = "decoder",
    ) -> None:
        self.name, self._tool = name, tool
        self._limits = limits
        self._link, theirs = socket.socketpair()
        self._errors = os.memfd_create("errors")
        start = ChildStart(
            program=program,
            link=theirs.fileno(),
            parent=os.getpid(),
            memory_bytes=limits.memory_mib * 1024**2,
            cpu_seconds=limits.cpu_seconds,
            file_bytes=limits.file_bytes,
            filtered=limits.filtered,
        )
        with theirs:
            self._process = start_process(start, (theirs.fileno(), *fds), errors=self._errors)
        self._link.settimeout(limits.stall_seconds)
        self._poll = select.poll()
        self._poll.register(self._link, select.POLLIN)
        self._ready = False
        self._moved = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, task: Any, *blobs: bytes) -> None:
        """Send a task (a contract), and the bytes that go with it."""
        self._send(MESSAGE, task.to_json().encode())
        for blob in blobs:
            self._send(BYTES, blob)

    def reply(self) -> None:
        """Report that what the child asked to fetch is there."""
        self._send(BYTES, b"")

    def lower_file_bytes(self, most: int) -> None:
        """Let the child write no file longer than `most`; call it before the first task."""
        with contextlib.suppress(ProcessLookupError):  # gone, as the next receive finds out
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most, most))
        self._limits = replace(self._limits, file_bytes=most)

    def touch(self) -> None:
        """The child was waiting: start to count its silence anew."""
        self._moved = time.monotonic()

    def _send(self, tag: bytes, data: bytes) -> None:
        with contextlib.suppress(OSError):  # gone or hanging, as the next receive finds out
            send(self._link, tag, data)
        self.touch()

    def messages(
        self, file: Any, size: int, *, waiting: Callable[[], bool] | None = None
    ) -> Iterator[Message]:
        """The child's messages until its task is done, Done included; its reads are answered here.

        `file` and `size`: the film. `waiting()` is true while the child waits for a free slot, as
        then its silence is no sign. Raises WorkerError for how it failed or ended, and whatever
        `file` raises; the child is dead then.
        """
        try:
            left = size * READ_FACTOR + READ_ALLOWANCE
            while True:
                message = self._next(waiting)
                if isinstance(message, Read):
                    left -= message.size
                    if left < 0:
                        what = f"makes the {self._tool} read the file over and over"
                        raise self._limit(what)
                    self._send(BYTES, _read(file, message))
                elif isinstance(message, TaskFailed | OutOfMemory | TooMuch):
                    raise self._failure(message)
                elif isinstance(message, Ready):
                    self._ready = True
                elif not isinstance(message, Alive):
                    yield message
                    if isinstance(message, Done):
                        return
        except BaseException:
            self.kill()
            raise

    def ask(self, file: Any, size: int) -> str:
        """Wait for the task's answer (JSON, not judged yet)."""
        said = ""
        for message in self.messages(file, size):
            if not isinstance(message, Done):
                self.kill()
                raise self.nonsense()
            said = message.answer
        return said

    def _next(self, waiting: Callable[[], bool] | None) -> Message:
        self._wait(waiting)
        try:
            frame = receive(self._link)
        except TimeoutError:
            raise self._hang() from None
        except (ValueError, ConnectionError):
            frame = None
        self._moved = time.monotonic()
        if frame is None:
            raise self._obituary()
        try:
            if frame[0] != MESSAGE:
                raise self.nonsense()
            return parse_message(frame[1])
        except ValidationError:
            raise self.nonsense() from None

    def _wait(self, waiting: Callable[[], bool] | None) -> None:
        """Wait for a message. Raises WorkerError if the child hangs."""
        while True:
            patience = self._limits.stall_seconds if self._ready else START_SECONDS
            left = self._moved + patience - time.monotonic()
            if left <= 0 and waiting is not None and waiting():
                self._moved = time.monotonic()
            elif left <= 0:
                raise self._hang()
            elif self._poll.poll(math.ceil(left * 1000)):
                return

    def nonsense(self) -> WorkerError:
        """The error for a message that no honest child sends."""
        return self._bad(f"makes the {self._tool} send what no {self._tool} would")

    def _bad(self, what: str) -> WorkerError:
        message = f"{self.name} {what}; it is damaged or hostile: re-encode it and upload it again"
        return WorkerError(ExitCode.BAD_SOURCE, message)

    def _limit(self, what: str) -> WorkerError:
        return WorkerError(ExitCode.LIMIT_EXCEEDED, f"{self.name} {what}")

    def _out_of_memory(self) -> WorkerError:
        mib = self._limits.memory_mib
        return self._limit(
            f"needs more than {mib} MiB in the {self._tool}, the limit is {mib} "
            "(decode_memory_mib); raise this setting of the stack, or make the film smaller first"
        )

    def _too_much(self) -> WorkerError:
        mib = self._limits.file_bytes // 1024**2
        return self._limit(
            f"makes the {self._tool} write more than {mib} MiB, which no such film needs; "
            "re-encode it and upload it again"
        )

    def _hang(self) -> WorkerError:
        if not self._ready:
            message = f"the {self._tool} did not start: {self._last_words()}"
            return WorkerError(ExitCode.TRANSIENT, message)
        seconds = f"{self._limits.stall_seconds:g}"
        return self._limit(
            f"makes the {self._tool} hang: no sign of life for {seconds} s, "
            f"the limit is {seconds} (decode_stall_seconds)"
        )

    def _obituary(self) -> WorkerError:
        """Why a child ended without a message."""
        try:
            code = self._process.wait(self._limits.stall_seconds)
        except subprocess.TimeoutExpired:
            return self.nonsense()
        if not self._ready:
            message = f"the {self._tool} did not start (exit code {code}): {self._last_words()}"
            return WorkerError(ExitCode.CRASH, message)
        if -code == signal.SIGXCPU:
            seconds = self._limits.cpu_seconds
            return self._limit(
                f"takes more than {seconds} s of processor time in the {self._tool}, "
                f"the limit is {seconds} (decode_cpu_seconds)"
            )
        if -code == signal.SIGKILL:
            return self._limit(f"needs more memory in the {self._tool} than the worker has")
        if -code == signal.SIGSYS:
            return self._bad(f"makes the {self._tool} use a forbidden system call")
        if code < 0 and -code in _CRASHES:
            return self._bad(f"crashes the {self._tool} ({signal.Signals(-code).name})")
        return self._bad(f"ends the {self._tool} without a message (exit code {code})")

    def _failure(self, said: TaskFailed | OutOfMemory | TooMuch) -> WorkerError:
        if isinstance(said, OutOfMemory):
            return self._out_of_memory()
        if isinstance(said, TooMuch):
            return self._too_much()
        text = one_line(said.message[:MAX_SENTENCE_CHARS])[:MAX_SENTENCE_CHARS]
        if said.exit_code == ExitCode.CRASH:
            log.error("the confined %s crashed", self._tool, extra={"detail": said.detail[:4000]})
            return WorkerError(ExitCode.CRASH, text)
        code = next((c for c in BELIEVED if c == said.exit_code), ExitCode.BAD_SOURCE)
        return WorkerError(code, text)

    def _last_words(self) -> str:
        """The end of what the child wrote to stderr before it was locked."""
        size = os.fstat(self._errors).st_size
        text = os.pread(self._errors, 2000, max(0, size - 2000))
        return json.dumps(text.decode("utf-8", "replace").strip())

    def kill(self) -> None:
        """End the child by force. Harmless to repeat, from any thread."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the child and forget it. Harmless to repeat."""
        self.kill()
        self._link.close()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _read(file: Any, wanted: Read) -> bytes:
    file.seek(wanted.offset)
    return file.read(wanted.size)
