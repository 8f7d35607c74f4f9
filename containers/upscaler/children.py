"""A worker with several devices starts a child process for each, which does a share of the run."""

import concurrent.futures
import contextlib
import logging
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Self

from contracts.base import ContractError
from contracts.film.manifest import Shard
from contracts.names import RETRY_EXIT_CODES, ExitCode
from contracts.stack.environ import ProcessEnvironment

SHARE_OPTION = "--share"
_VISIBLE = "CUDA_VISIBLE_DEVICES"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """Part `number` (from 0) of `parts` of a run: consecutive shards, as evenly as possible."""

    number: int = 0
    parts: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse text such as `1/4`. Raises ValueError."""
        number, parts = map(int, text.split("/"))
        if not 0 <= number < parts:
            raise ValueError(f"there is no share {text}")
        return cls(number, parts)

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def of(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Return the shards of the share."""
        first, last = (len(shards) * n // self.parts for n in (self.number, self.number + 1))
        return shards[first:last]


def children_wanted(environ: Mapping[str, str]) -> int:
    """Return the number of devices; 1 if the environment is invalid, which the worker reports."""
    try:
        return ProcessEnvironment.read(environ).children
    except ContractError:
        return 1


def run_children(count: int, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run `command` once for each share and return the worker's exit code.

    The code is that of the first child that fails. If a retry cannot help, the others get SIGTERM;
    otherwise they commit what they can. All children get a SIGTERM that the worker gets. Call it
    from the main thread.
    """
    children: list[subprocess.Popen[bytes]] = []
    code: int = ExitCode.OK
    with _forward_sigterm(children) as stopping, concurrent.futures.ThreadPoolExecutor() as pool:
        for share in (Share(number, count) for number in range(count)):
            if not stopping.is_set():
                line = [*command, SHARE_OPTION, str(share)]
                children.append(subprocess.Popen(line, env=_environment(environ, share)))
        for ended in concurrent.futures.as_completed([pool.submit(c.wait) for c in children]):
            one = _shell_code(ended.result())
            if code == ExitCode.OK and one != ExitCode.OK:
                code = one
                if one not in RETRY_EXIT_CODES:
                    _stop(children)
    return ExitCode.INTERRUPTED if stopping.is_set() else code


def _shell_code(returned: int) -> int:
    """Return the code as a shell and Batch give it: 128 plus the signal that ended the child."""
    return returned if returned >= 0 else 128 - returned


def _environment(environ: Mapping[str, str], share: Share) -> dict[str, str]:
    """Return the child's variables: one device, and its part of the job's price."""
    settings = ProcessEnvironment.read(environ)
    name = ProcessEnvironment.variable
    devices = environ.get(_VISIBLE, "").split(",")
    visible = devices[share.number] if len(devices) == share.parts else str(share.number)
    return {
        **environ,
        _VISIBLE: visible,
        name("children"): "1",
        name("gpus"): "1" if settings.gpus else "0",
        name("dollars_per_hour"): f"{settings.dollars_per_hour / share.parts:.8f}",
    }


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def _forward_sigterm(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[threading.Event]:
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        _stop(children)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)
