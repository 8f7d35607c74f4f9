"""Observes the peak memory of the workers that a command starts, from outside."""

import itertools
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.stacks.embedded import IMPORT_AHEAD
from contracts.names import Stage
from local.emulator.batch.processes import wait_for_command

INTERVAL_SECONDS = 0.05
_PROC = Path("/proc")
_STAGES = {
    ("containers.media", "extract"): Stage.EXTRACT,
    ("containers.upscaler", "process"): Stage.PROCESS,
    (wait_for_command.__name__, IMPORT_AHEAD): Stage.PROCESS,
    ("containers.media", "recompose"): Stage.RECOMPOSE,
}
"""By the words `MODULE ARGUMENT` of a worker's command; a worker that waited keeps those."""


class PeakMemory:
    """MiB by stage: the most of all its workers, including their helper processes.

    A peak is the kernel's high-water mark (VmHWM), last read at most INTERVAL_SECONDS before the
    worker ended.
    """

    def __init__(self) -> None:
        self._marks: dict[tuple[Stage, int], dict[int, int]] = defaultdict(dict)

    def observe(self, root: int) -> None:
        """Read the high-water marks of all processes below `root`."""
        children = _list_children()
        self._walk(root, None, children)

    def _walk(
        self, process: int, worker: tuple[Stage, int] | None, children: dict[int, list[int]]
    ) -> None:
        if worker is None and (stage := _stage(process)) is not None:
            worker = stage, process
        if worker is not None and (mark := _high_water_kib(process)):
            self._marks[worker][process] = mark
        for child in children.get(process, ()):
            self._walk(child, worker, children)

    def mib(self) -> dict[Stage, int]:
        """Return the peaks so far."""
        found: dict[Stage, int] = {}
        for (stage, _), marks in self._marks.items():
            found[stage] = max(found.get(stage, 0), sum(marks.values()) // 1024)
        return found


@contextmanager
def peaks_below(root: int | None = None) -> Iterator[PeakMemory]:
    """Observe the workers below a process, by default ours, until the block ends."""
    peaks, ended = PeakMemory(), threading.Event()

    def watch() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            peaks.observe(root or os.getpid())

    thread = threading.Thread(target=watch, name="peaks", daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _list_children() -> dict[int, list[int]]:
    """List all processes of this machine by parent."""
    found: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _read(entry / "stat").rpartition(")")[2].split()):
            found[int(fields[1])].append(int(entry.name))
    return found


def _stage(process: int) -> Stage | None:
    """Return the stage of a worker's process, by its command; None for any other process."""
    words = _read(_PROC / str(process) / "cmdline").split("\0")
    return next((_STAGES[pair] for pair in itertools.pairwise(words) if pair in _STAGES), None)


def _high_water_kib(process: int) -> int:
    lines = _read(_PROC / str(process) / "status").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
