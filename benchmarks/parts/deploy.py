"""Measures how long the embedded AWS takes to start with the whole program, anew or restored.

`python -m benchmarks.parts.deploy` prints the table; `make bench` writes it into
docs/benchmarks.md.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.superres import ROOT, table

ROUNDS = 3
PATIENCE_SECONDS = 60.0
_CREATED = re.compile(r"^\S+ \S+ INFO created aws:", re.MULTILINE)
_WARMED = re.compile(r"functions warmed in ([0-9.]+) s")


@dataclass(frozen=True)
class StartTime:
    """One start: seconds from the command to "ready", and from then to the last warm function."""

    ready: float
    functions: float
    resources: int


@dataclass(frozen=True)
class StartTimes:
    """Several starts, each pair in its own state directory: deployed anew, then from a snapshot."""

    cold: Sequence[StartTime]
    warm: Sequence[StartTime]


def measure_starts(rounds: int = ROUNDS) -> StartTimes:
    """Start the embedded AWS twice in each round. Raises SystemExit where it does not start."""
    cold: list[StartTime] = []
    warm: list[StartTime] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(_time_start(Path(folder)))
            warm.append(_time_start(Path(folder)))
    return StartTimes(cold, warm)


def starts_text(starts: StartTimes) -> str:
    """Format what was measured and a table of medians in Markdown."""
    rows = [_row("deployed anew", starts.cold), _row("from a snapshot", starts.warm)]
    header = ("start", "ready, s (rounds)", "ready, s (median)", "functions warm after, s")
    return (
        f"`python -m benchmarks.parts.deploy`, from the command to ready; "
        f"{starts.cold[0].resources} AWS resources. "
        "The functions' processes start during the upload, which does not wait for them.\n\n"
        + table(header, rows)
    )


def _row(what: str, starts: Sequence[StartTime]) -> tuple[str, ...]:
    ready = [s.ready for s in starts]
    functions = statistics.median(s.functions for s in starts)
    rounds = ", ".join(f"{seconds:.1f}" for seconds in ready)
    return what, rounds, f"{statistics.median(ready):.1f}", f"{functions:.1f}"


def _time_start(state: Path) -> StartTime:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "serve", "--state-dir", str(state)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process:  # leaving the block closes stdin, which ends the process
        line = process.stdout.readline()
        ready = time.perf_counter() - began
        if not line:
            raise SystemExit("the embedded AWS did not start")
        log = Path(json.loads(line)["log_dir"]).parent / "server.log"
        functions = _read_warm_seconds(log)
    return StartTime(ready, functions, len(_CREATED.findall(log.read_text())))


def _read_warm_seconds(log: Path) -> float:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := _WARMED.search(log.read_text()):
            return float(found[1])
        time.sleep(0.02)
    raise SystemExit(f"the functions were not warmed (log: {log})")


if __name__ == "__main__":
    print(starts_text(measure_starts()))
