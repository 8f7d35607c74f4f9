"""`make bench`: run everything and write docs/benchmarks.md."""

import argparse
import datetime
import platform
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.deploy import Starts, measure, starts_text
from benchmarks.engines import Engines, engines_text
from benchmarks.engines import compare as compare_engines
from benchmarks.overhead import Row, demo, memories, overheads
from benchmarks.peer import CRF, PRESET, Comparison, compare, cores
from benchmarks.superres import ROOT, Timed, table

PACKAGES = ("torch", "av", "opencv-python-headless", "numpy", "ministack", "pulumi", "pulumi-aws")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "?")
    flags = next((line for line in lines if line.startswith("flags")), "")
    simd = [name for name in ("avx2", "avx512f", "amx_tile", "avx_vnni") if name in flags.split()]
    return f"{model}, {cores()} cores ({', '.join(simd) or 'no wide SIMD'}), {platform.machine()}"


def rows_text(rows: list[Row]) -> str:
    cells = [
        (r.what, str(r.frames), f"{r.seconds:.1f}", f"{r.overhead:.1f}", str(r.peak_mib))
        for r in rows
    ]
    header = ("run", "frames", "wall, s", "beside the shards, s", "worker's peak, MiB")
    return table(header, cells)


def peer_text(c: Comparison) -> str:
    formats = list(c.ours)
    rows = [
        (str(n + 1), *(f"{c.ours[f][n]:.1f}" for f in formats), f"{theirs:.1f}")
        for n, theirs in enumerate(c.theirs)
    ]
    medians = ("median", *(f"{statistics.median(c.ours[f]):.1f}" for f in formats))
    ratios = ("ratio to the peer", *(f"**{c.ratio(f):.2f}**" for f in formats), "1")
    tried = ", ".join(f"{name}: {seconds:.1f} s" for name, seconds in c.calibration.items())
    header = ("round", *(f"superres run, {f}, s" for f in formats), f"framelift ({c.best}), s")
    return (
        f"{c.frames} frames of 320x180, animevideov3 x4, libx264 {PRESET} CRF {CRF}, CPU, "
        f"rounds interleaved. `superres run` includes the embedded AWS, its start and the job's "
        f"whole walk. The peer computes in float32, at its best of four configurations, picked "
        f"on 50 frames ({tried}). `superres run` chooses {formats[0]} on this machine "
        f"(decisions/0006).\n\n"
        + table(header, [*rows, (*medians, f"{statistics.median(c.theirs):.1f}"), ratios])
        + "\n\nGoal: a ratio of at most 0.90. "
        + "; ".join(f"{f}: {'reached' if c.ratio(f) <= 0.9 else 'not reached'}" for f in formats)
        + "."
    )


def page(
    starts: Starts,
    sample: Timed,
    cost: list[Row],
    memory: list[Row],
    engines: Engines,
    peer: Comparison | None,
) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    growth = [b.peak_mib / a.peak_mib for a, b in ((memory[0], memory[1]), (memory[2], memory[3]))]
    stages = ", ".join(f"{k} {v:.1f}" for k, v in sample.result["stage_seconds"].items() if v > 0.1)
    parts = [
        "# Benchmarks\n\nWritten by `make bench`. Cores are shared and noisy: read ratios.",
        (
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {machine()}; Python "
            f"{platform.python_version()}; {versions}."
        ),
        (
            f"## The demo\n\n`make demo`, set up and warm: {sample.seconds:.1f} s for 60 frames of "
            f"320x180 to 1280x720 (goal: 60, aim: 40). Stages in seconds: {stages}."
        ),
        "## The start\n\n" + starts_text(starts),
        "## What a run costs beside its shards\n\nGoal: at most 10 s, aim 5, whatever the clip's "
        "length.\n\n" + rows_text(cost),
        "## Memory of a worker\n\nGoal: the longer film needs at most 10 % more.\n\n"
        + rows_text(memory)
        + f"\n\nGrowth: lanczos {growth[0]:.2f}, animevideov3 {growth[1]:.2f}.",
    ]
    parts.append("## Engines, the model alone\n\n" + engines_text(engines))
    if peer is not None:
        parts.append("## Beside framelift-video 2.1.0\n\n" + peer_text(peer))
    parts.append("No figure here comes from a GPU or from real AWS.")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peer", action="store_true", help="leave out the comparison")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts = measure()
        cost, sample, memory = overheads(folder), demo(folder), memories(folder)
        engines = compare_engines(640, 360, rounds=5, peers=not arguments.no_peer)
        peer = None if arguments.no_peer else compare(folder)
    arguments.out.write_text(page(starts, sample, cost, memory, engines, peer))
    print(arguments.out.read_text())


if __name__ == "__main__":
    main()
