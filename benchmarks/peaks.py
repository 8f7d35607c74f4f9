"""Peak memory of the workers that a command starts, seen from outside."""

import itertools
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded import IMPORT_AHEAD
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
"""By the words `MODULE ARGUMENT` of a worker's command; one that waited keeps its own."""


class Peaks:
    """MiB by stage: the most of all its workers; a worker's helper processes count with it.

    A peak is the kernel's high-water mark (VmHWM), last read at most INTERVAL_SECONDS before the
    worker ended.
    """

    def __init__(self) -> None:
        self._marks: dict[tuple[Stage, int], dict[int, int]] = defaultdict(dict)

    def look(self, root: int) -> None:
        """Read the marks of all processes below `root`."""
        children = _children()
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
        """What was seen so far."""
        found: dict[Stage, int] = {}
        for (stage, _), marks in self._marks.items():
            found[stage] = max(found.get(stage, 0), sum(marks.values()) // 1024)
        return found


@contextmanager
def peaks_below(root: int | None = None) -> Iterator[Peaks]:
    """Look at the workers below a process, ours by default, until the block is left."""
    peaks, ended = Peaks(), threading.Event()

    def watch() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            peaks.look(root or os.getpid())

    thread = threading.Thread(target=watch, name="peaks", daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _children() -> dict[int, list[int]]:
    """By parent, all processes of this machine."""
    found: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _read(entry / "stat").rpartition(")")[2].split()):
            found[int(fields[1])].append(int(entry.name))
    return found


def _stage(process: int) -> Stage | None:
    """Of a worker's process, by its command; None of any other."""
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
