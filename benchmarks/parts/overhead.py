"""What a run costs beside inference and encoding, and what memory a worker needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import SAMPLE, make_clip
from benchmarks.superres import Timed, superres

LENGTHS, SHORT = (60, 250, 15_000), (60,)
MEMORY = {"lanczos": (250, 15_000), "animevideov3": (20, 200)}
QUICK_MEMORY = {"lanczos": (50, 250)}
"""Frames of a short and a long film, by model."""


@dataclass(frozen=True)
class Row:
    """One run: clip length, the command's wall time, the shards' part, the worker's peak."""

    what: str
    model: str
    frames: int
    seconds: float
    overhead: float
    peak_mib: int

    @classmethod
    def of(cls, what: str, model: str, timed: Timed) -> "Row":
        frames = timed.result["frames"]
        return cls(what, model, frames, timed.seconds, timed.overhead, timed.peak_mib)


def overheads(folder: Path, lengths: Sequence[int] = LENGTHS) -> list[Row]:
    """With lanczos: a short clip, then longer ones. The first run warms the snapshot."""
    superres(SAMPLE, folder / "warm.mp4", "--model", "lanczos")
    rows: list[Row] = []
    for frames in lengths:
        clip = make_clip(folder / f"{frames}.mp4", frames)
        timed = superres(clip, folder / "out.mp4", "--model", "lanczos", "--preset", "ultrafast")
        rows.append(Row.of(f"lanczos x2, {frames / 25:g} s of film", "lanczos", timed))
    return rows


def memories(folder: Path, lengths: Mapping[str, Sequence[int]] = MEMORY) -> list[Row]:
    """A worker's peak memory against the length of the film."""
    rows: list[Row] = []
    for model, counts in lengths.items():
        for frames in counts:
            clip = make_clip(folder / f"memory-{frames}.mp4", frames)
            options = ("--model", model, "--scale", "2", "--preset", "ultrafast")
            timed = superres(clip, folder / "out.mp4", *options)
            rows.append(Row.of(f"{model} x2, {frames} frames", model, timed))
    return rows


def demo(folder: Path) -> Timed:
    """What `make demo` runs."""
    options = ("--model", "animevideov3", "--scale", "4", "--workers", "2")
    picture = ("--picture", str(folder / "picture.png"))
    return superres(SAMPLE, folder / "demo.mp4", *options, *picture)
