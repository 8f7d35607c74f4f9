"""Compares engines on one model: interleaved rounds in long-lived processes, medians.

Ours run the worker's code, colour conversion included. The peers run the same weights from an ONNX
graph made here, in `.bench-venv`. `python -m benchmarks.parts.engines` prints the table.
"""

import argparse
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts.peer import peer_environment
from benchmarks.superres import ROOT, table
from cli.models.weights import ensure_weights, weights_dir
from cli.stacks.machine import cores
from contracts.models import ModelName, weights_file

OURS = ("torch float32", "ncnn float32", "torch bfloat16")
PEERS = ("openvino float32", "onnxruntime float32", "openvino bfloat16")
GOALS = {"ncnn float32": 1.1, "torch float32": 1.4}
"""Of the fastest peer's time, in float32."""
PEER_PACKAGES = ("openvino==2026.4.1", "onnxruntime==1.32.0", "onnx==1.23.2")


@dataclass(frozen=True)
class EngineTimes:
    """Seconds per frame of every round, by engine; ratios are to the first engine."""

    width: int
    height: int
    seconds: dict[str, list[float]]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (engine, median seconds, median of the rounds' ratios to the first) for each."""
        first = next(iter(self.seconds.values()))
        return [
            (
                name,
                f"{statistics.median(values):.3f}",
                f"{statistics.median(v / f for v, f in zip(values, first, strict=True)):.2f}",
            )
            for name, values in self.seconds.items()
        ]


class EngineProcess:
    """A process that holds one engine and computes a frame for every line it reads."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def compute(self) -> float:
        """Compute a frame; return its seconds. Raises SystemExit if the process has ended."""
        if self._process.stdin is None:
            raise ValueError("the process has no stdin")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"{self._process.args} ended: see its message above")
        return line

    def close(self) -> None:
        self._process.communicate()


def compare_engines(width: int, height: int, *, rounds: int, peers: bool) -> EngineTimes:
    """Measure all engines in each round, on frames of random pixels and all cores."""
    ensure_weights(ModelName.ANIMEVIDEOV3)
    weights = weights_dir() / weights_file(ModelName.ANIMEVIDEOV3)
    size = [str(width), str(height), str(cores()), str(weights)]
    script = str(Path(__file__).with_name("engine_child.py"))
    commands = {name: [sys.executable, script, name, *size] for name in OURS}
    if peers:
        python = peer_environment(ROOT / ".bench-venv", PEER_PACKAGES)
        commands |= {name: [str(python), script, name, *size] for name in PEERS}
    with ExitStack() as stack:
        runners: dict[str, EngineProcess] = {}
        for name, command in commands.items():
            runners[name] = EngineProcess(command)
            stack.callback(runners[name].close)
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(rounds):
            for name, runner in runners.items():
                seconds[name].append(runner.compute())
    return EngineTimes(width, height, seconds)


def _goals(c: EngineTimes) -> str:
    """Compare our float32 engines with the fastest peer in float32, round by round."""
    peers = [values for name, values in c.seconds.items() if name in PEERS and "float32" in name]
    if not peers:
        return "No peers were measured."
    fastest = [min(values) for values in zip(*peers, strict=True)]
    sentences: list[str] = []
    for name, goal in GOALS.items():
        pairs = zip(c.seconds[name], fastest, strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        verdict = "reached" if ratio <= goal else "not reached"
        sentences.append(
            f"{name} takes {ratio:.2f} of the fastest peer's time (goal {goal}: {verdict})"
        )
    return f"Round by round, {'; '.join(sentences)}."


def engines_text(c: EngineTimes) -> str:
    header = ("engine", "seconds a frame", "ratio")
    rounds = len(next(iter(c.seconds.values())))
    return (
        f"animevideov3 x4, {c.width}x{c.height}, {cores()} threads, {rounds} rounds interleaved, "
        f"medians; ratios are to the first row, round by round. Ours go from 8-bit pictures to "
        f"8-bit pictures, the peers from float32 to float32. Workers without a GPU choose "
        f"{OURS[1]} (decisions/0030). {_goals(c)}\n\n" + table(header, list(c.rows()))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peers", action="store_true", help="our own engines only")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    measured = compare_engines(width, height, rounds=arguments.rounds, peers=not arguments.no_peers)
    print(engines_text(measured))


if __name__ == "__main__":
    main()
