"""`make bench`: measure speed and memory; each part writes its section of docs/benchmarks.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import PAGE, provenance, write_section
from benchmarks.parts import (
    confined,
    deploy,
    engines,
    indexing,
    overhead,
    overlap,
    peer,
    scaling,
)
from benchmarks.superres import TimedRun, table

OURS = ("torch", "ncnn", "av", "opencv-python-headless", "numpy", "ministack")


@dataclass(frozen=True)
class BenchmarkPart:
    """One part of `make bench`: `measure(folder, quick)` returns its section in Markdown."""

    about: str
    measure: Callable[[Path, bool], str]


def _demo(folder: Path, _quick: bool) -> str:
    return demo_text(overhead.run_demo(folder))


def _start(_folder: Path, quick: bool) -> str:
    starts = deploy.measure_starts(1 if quick else deploy.ROUNDS)
    return provenance("ministack", "pulumi", "pulumi-aws") + "\n\n" + deploy.starts_text(starts)


def _overhead(folder: Path, quick: bool) -> str:
    lengths = overhead.SHORT if quick else overhead.LENGTHS
    return provenance(*OURS) + "\n\n" + rows_text(overhead.measure_overhead(folder, lengths))


def _memory(folder: Path, quick: bool) -> str:
    rows = overhead.measure_memory(folder, overhead.QUICK_MEMORY if quick else overhead.MEMORY)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    growth = ", ".join(f"{a.model} {b.peak_mib / a.peak_mib:.2f}" for a, b in pairs)
    return f"{provenance(*OURS)}\n\n{rows_text(rows)}\n\nGrowth: {growth}."


def _index(folder: Path, quick: bool) -> str:
    hours = 0.01 if quick else indexing.HOURS
    measured = indexing.measure_indexing(folder, hours)
    return f"{provenance('av')}\n\n{indexing.index_text(measured, hours)}"


def _engines(_folder: Path, quick: bool) -> str:
    size, rounds = ((64, 48), 2) if quick else ((640, 360), 5)
    packages = ", ".join(engines.PEER_PACKAGES)
    measured = engines.compare_engines(*size, rounds=rounds, peers=True)
    return f"{provenance(*OURS, also=packages)}\n\n{engines.engines_text(measured)}"


def _overlap(folder: Path, quick: bool) -> str:
    frames, rounds = (6, 1) if quick else (overlap.FRAMES, overlap.ROUNDS)
    measured = overlap.measure_overlap(folder, frames, rounds, quick=quick)
    size = "320x180" if quick else "640x360"
    return f"{provenance(*OURS)}\n\n{overlap.overlap_text(measured, frames, size)}"


def _confined(folder: Path, quick: bool) -> str:
    frames, rounds = (20, 2) if quick else (confined.FRAMES, confined.ROUNDS)
    measured = confined.measure_decoding(folder, frames, rounds, quick=quick)
    return f"{provenance(*OURS)}\n\n{confined.confined_text(measured)}"


def _peers(folder: Path, quick: bool) -> str:
    effort = peer.QUICK if quick else peer.FULL
    measured = peer.compare_peer(folder, effort, quick=quick)
    return f"{provenance(*OURS, also=', '.join(peer.PEER_PACKAGES))}\n\n{peer.peer_text(measured)}"


def _scaling(folder: Path, quick: bool) -> str:
    image = None if quick else scaling.IMAGE
    return f"{provenance(*OURS)}\n\n{scaling.measure_scaling(folder, quick=quick, image=image)}"


PARTS = {
    "demo": BenchmarkPart("how long make demo takes", _demo),
    "start": BenchmarkPart("how long the embedded AWS takes to start", _start),
    "overhead": BenchmarkPart("what a run costs besides its shards", _overhead),
    "memory": BenchmarkPart("a worker's memory by the film's length", _memory),
    "index": BenchmarkPart("probing and indexing a long film", _index),
    "engines": BenchmarkPart("the model alone, compared with other runtimes", _engines),
    "overlap": BenchmarkPart("decoder, model and encoder, alone and together", _overlap),
    "confined": BenchmarkPart(
        "decoding without rights, compared with decoding with them", _confined
    ),
    "peers": BenchmarkPart("end to end, compared with framelift", _peers),
    "scaling": BenchmarkPart("time by shards and workers, memory by length and size", _scaling),
}


def demo_text(timed: TimedRun) -> str:
    stages = ", ".join(f"{k} {v:.1f}" for k, v in timed.result["stage_seconds"].items() if v > 0.1)
    return (
        f"{provenance(*OURS)}\n\n`make demo`, set up and warm: {timed.seconds:.1f} s for "
        f"{timed.result['frames']} frames of 320x180 to 1280x720. Stages in seconds: {stages}."
    )


def rows_text(rows: list[overhead.RunCost]) -> str:
    cells = [
        (r.what, str(r.frames), f"{r.seconds:.1f}", f"{r.overhead:.1f}", str(r.peak_mib))
        for r in rows
    ]
    header = ("run", "frames", "wall, s", "besides the shards, s", "worker's peak, MiB")
    return table(header, cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="; ".join(f"{name}: {part.about}" for name, part in PARTS.items()),
    )
    parser.add_argument("part", nargs="*", help="one or more of the parts below; default: all")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="measure small sizes; print the text but write no document",
    )
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as name:
        for part in arguments.part or PARTS:
            began = time.perf_counter()
            text = PARTS[part].measure(Path(name), arguments.quick)
            print(f"{part}\n\n{text}\n", flush=True)
            if not arguments.quick:
                write_section(part, text, arguments.page)
            sys.stderr.write(f"{part}: {time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
