"""Measures time by shards and workers, and memory by the film's length and the picture's size.

`python -m benchmarks.parts.scaling` measures and prints; as a part of `make bench` it also writes
docs/images/scaling.svg.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.chart import Panel, draw_chart
from benchmarks.clips import read_sample, write_looped
from benchmarks.peaks import peaks_below
from benchmarks.superres import ROOT, run_superres, table
from cli.stacks.machine import cores
from contracts.models import ModelName
from contracts.names import Stage

IMAGE = ROOT / "docs" / "images" / "scaling.svg"
RATE = 25
LANCZOS, NETWORK = ModelName.LANCZOS.value, ModelName.ANIMEVIDEOV3.value
ABOUT = (
    "Three charts: seconds of the process stage by shards and workers; peak memory of the stages "
    "by minutes of film; peak memory of the stages by megapixels of the result."
)
STAGES = (Stage.EXTRACT, Stage.PROCESS, Stage.RECOMPOSE)


@dataclass(frozen=True)
class ScalingSizes:
    """What to measure."""

    shards: tuple[int, ...]
    workers: tuple[int, ...]
    frames: int
    """Of the film that is cut into shards."""
    lengths: tuple[int, ...]
    """Frames of the films whose length matters."""
    heights: tuple[int, ...]
    """Lines of the results whose size matters, 16:9."""
    held: int
    """Frames of each of those: more than x264 looks ahead, so that its queue is full."""
    computed: int
    """The same for the network."""


FULL = ScalingSizes(
    shards=(1, 2, 4, 8), workers=(1, 2), frames=400, lengths=(250, 1_000, 4_000, 16_000),
    heights=(360, 720, 1080, 1440, 2160), held=60, computed=4,
)  # fmt: skip
QUICK = ScalingSizes(
    shards=(1, 2), workers=(1,), frames=24, lengths=(12, 24), heights=(144, 288), held=6, computed=2
)


@dataclass(frozen=True)
class ScalingTime:
    """One run: seconds of the whole command, and of its process stage."""

    workers: int
    shards: int
    seconds: float
    process: float


@dataclass(frozen=True)
class StageMemory:
    """One run, and the peak of each stage in MiB."""

    what: str
    model: str
    x: float
    """Minutes of film, or megapixels of the result."""
    mib: dict[Stage, int]


def measure_times(folder: Path, sizes: ScalingSizes) -> list[ScalingTime]:
    """Time lanczos x4 to 1280x720, in H.264 as by default."""
    film = write_looped(read_sample(), folder / "shards.mp4", sizes.frames)
    found: list[ScalingTime] = []
    for workers in (number for number in sizes.workers if number <= cores()):
        for shards in sizes.shards:
            timed = run_superres(
                film, folder / "out.mp4", "--model", LANCZOS, "--scale", "4",
                "--workers", str(workers), "--shard-seconds", str(sizes.frames / RATE / shards),
            )  # fmt: skip
            process = timed.result["stage_seconds"]["Process"]
            found.append(ScalingTime(workers, len(timed.shards), timed.seconds, process))
    return found


def measure_lengths(folder: Path, lengths: Sequence[int]) -> list[StageMemory]:
    """Measure memory of lanczos x2 to 320x180."""
    pictures = _resized((160, 90))
    found: list[StageMemory] = []
    for frames in lengths:
        film = write_looped(pictures, folder / f"length-{frames}.mp4", frames)
        minutes = round(frames / RATE / 60, 1)
        found.append(_memory(film, f"{minutes} min", minutes, LANCZOS, "--scale", "2"))
    return found


def measure_sizes(folder: Path, sizes: ScalingSizes) -> list[StageMemory]:
    """Measure lanczos x2 with the default encoder, the network x4 with one that buffers none."""
    found: list[StageMemory] = []
    for model, scale, frames, preset in (
        (LANCZOS, 2, sizes.held, "fast"),
        (NETWORK, 4, sizes.computed, "ultrafast"),
    ):
        for height in sizes.heights:
            width = height * 16 // 9
            film = folder / f"{model}-{height}.mp4"
            write_looped(_resized((width // scale, height // scale)), film, frames)
            name, pixels = f"{width}x{height}", round(width * height / 1e6, 1)
            options = ("--scale", str(scale), "--preset", preset)
            found.append(_memory(film, name, pixels, model, *options))
    return found


def _memory(film: Path, what: str, x: float, model: str, *options: str) -> StageMemory:
    with peaks_below() as peaks:
        run_superres(film, film.with_suffix(".out.mp4"), "--model", model, *options)
    return StageMemory(what, model, x, peaks.mib())


def _resized(size: tuple[int, int]) -> list[np.ndarray]:
    """Resize a few pictures of the sample to even sides."""
    even = (size[0] // 2 * 2, size[1] // 2 * 2)
    return [
        np.asarray(Image.fromarray(picture).resize(even, Image.Resampling.BICUBIC))
        for picture in read_sample()[:8]
    ]


def measure_scaling(folder: Path, *, quick: bool, image: Path | None = None) -> str:
    """Measure, draw the charts to `image` if given, and return the section in Markdown."""
    sizes = QUICK if quick else FULL
    times, lengths = measure_times(folder, sizes), measure_lengths(folder, sizes.lengths)
    areas = measure_sizes(folder, sizes)
    text = scaling_text(times, lengths, areas, sizes)
    if image is None:
        return text
    image.write_text(draw_scaling(times, lengths, areas))
    return f"![{ABOUT}](images/{image.name})\n\n{text}"


def draw_scaling(
    times: Sequence[ScalingTime], lengths: Sequence[StageMemory], areas: Sequence[StageMemory]
) -> str:
    """Draw the three charts as SVG."""
    workers = sorted({t.workers for t in times})
    by_workers = {
        f"{n} worker{'s' * (n > 1)}": [(t.shards, t.process) for t in times if t.workers == n]
        for n in workers
    }
    order = (Stage.PROCESS, Stage.EXTRACT, Stage.RECOMPOSE)
    of_length = {s.value: [(m.x, m.mib[s]) for m in lengths] for s in order}
    resized = [m for m in areas if m.model == LANCZOS]
    computed = [m for m in areas if m.model == NETWORK]
    of_size = {
        f"process, {LANCZOS}": [(m.x, m.mib[Stage.PROCESS]) for m in resized],
        "extract": [(m.x, m.mib[Stage.EXTRACT]) for m in resized],
        "recompose": [(m.x, m.mib[Stage.RECOMPOSE]) for m in resized],
        f"process, {NETWORK}": [(m.x, m.mib[Stage.PROCESS]) for m in computed],
    }
    panels = [
        Panel("Time of the process stage", "shards", "seconds", by_workers, logarithmic=True),
        Panel("Memory by length", "minutes of film", "MiB, peak", of_length, logarithmic=True),
        Panel("Memory by size", "megapixels of the result", "MiB, peak", of_size),
    ]
    return draw_chart(panels, ABOUT)


def scaling_text(
    times: Sequence[ScalingTime],
    lengths: Sequence[StageMemory],
    areas: Sequence[StageMemory],
    sizes: ScalingSizes,
) -> str:
    """Format what was measured and three tables in Markdown."""
    time_rows = [
        (str(t.workers), str(t.shards), f"{t.process:.1f}", f"{t.seconds:.1f}") for t in times
    ]
    header = ("", "model", *(f"{stage.value}, MiB" for stage in STAGES))
    time = (
        f"Time: {sizes.frames} frames, 320x180 to 1280x720, {LANCZOS}, H.264 by default. Workers "
        "share the cores: one worker has all of them, two have half each."
    )
    length = (
        f"Memory by length: 160x90 to 320x180, {LANCZOS}. Peaks are the kernel's high-water marks; "
        "where a worker has helper processes, theirs are added."
    )
    size = (
        f"Memory by the result's size: {LANCZOS} x2, {sizes.held} frames with x264 fast, which "
        f"holds some 40 pictures back; {NETWORK} x4, {sizes.computed} frames with x264 ultrafast, "
        "which holds none."
    )
    columns = ("workers", "shards", "process, s", "the whole command, s")
    tables = (
        table(columns, time_rows),
        table(header, [_cells(m) for m in lengths]),
        table(header, [_cells(m) for m in areas]),
    )
    pairs = zip((time, length, size), tables, strict=True)
    return "\n\n".join(part for pair in pairs for part in pair)


def _cells(m: StageMemory) -> tuple[str, ...]:
    return m.what, m.model, *(f"{m.mib[stage]}" for stage in STAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="measure small sizes, to check that it runs"
    )
    parser.add_argument("--image", type=Path, help="write the charts to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(measure_scaling(Path(folder), quick=arguments.quick, image=arguments.image))


if __name__ == "__main__":
    main()
