"""Measures what a run costs besides its shards, and a worker's memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import SAMPLE, make_sample_clip
from benchmarks.superres import TimedRun, run_superres

LENGTHS, SHORT = (60, 250, 15_000), (60,)
MEMORY = {"lanczos": (250, 15_000), "animevideov3": (20, 200)}
QUICK_MEMORY = {"lanczos": (50, 250)}
"""Frames of a short and a long film, by model."""


@dataclass(frozen=True)
class RunCost:
    """One run: frames of the clip, the command's wall time, its overhead, the worker's peak."""

    what: str
    model: str
    frames: int
    seconds: float
    overhead: float
    """Seconds besides the shards."""
    peak_mib: int

    @classmethod
    def of(cls, what: str, model: str, timed: TimedRun) -> "RunCost":
        frames = timed.result["frames"]
        return cls(what, model, frames, timed.seconds, timed.overhead, timed.peak_mib)


def measure_overhead(folder: Path, lengths: Sequence[int] = LENGTHS) -> list[RunCost]:
    """Run lanczos on a short clip, then on longer ones. A first run warms the snapshot."""
    run_superres(SAMPLE, folder / "warm.mp4", "--model", "lanczos")
    rows: list[RunCost] = []
    for frames in lengths:
        clip = make_sample_clip(folder / f"{frames}.mp4", frames)
        timed = run_superres(
            clip, folder / "out.mp4", "--model", "lanczos", "--preset", "ultrafast"
        )
        rows.append(RunCost.of(f"lanczos x2, {frames / 25:g} s of film", "lanczos", timed))
    return rows


def measure_memory(folder: Path, lengths: Mapping[str, Sequence[int]] = MEMORY) -> list[RunCost]:
    """Measure a worker's peak memory by the length of the film."""
    rows: list[RunCost] = []
    for model, counts in lengths.items():
        for frames in counts:
            clip = make_sample_clip(folder / f"memory-{frames}.mp4", frames)
            options = ("--model", model, "--scale", "2", "--preset", "ultrafast")
            timed = run_superres(clip, folder / "out.mp4", *options)
            rows.append(RunCost.of(f"{model} x2, {frames} frames", model, timed))
    return rows


def run_demo(folder: Path) -> TimedRun:
    """Run what `make demo` runs."""
    options = ("--model", "animevideov3", "--scale", "4", "--workers", "2")
    picture = ("--picture", str(folder / "picture.png"))
    return run_superres(SAMPLE, folder / "demo.mp4", *options, *picture)
