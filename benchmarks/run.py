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
from benchmarks.superres import Timed, table

OURS = ("torch", "ncnn", "av", "opencv-python-headless", "numpy", "ministack")


@dataclass(frozen=True)
class Part:
    """Measures in a folder, quickly or in earnest, and says it in Markdown."""

    about: str
    measure: Callable[[Path, bool], str]


def _demo(folder: Path, _quick: bool) -> str:
    return demo_text(overhead.demo(folder))


def _start(_folder: Path, quick: bool) -> str:
    starts = deploy.measure(1 if quick else deploy.ROUNDS)
    return provenance("ministack", "pulumi", "pulumi-aws") + "\n\n" + deploy.starts_text(starts)


def _overhead(folder: Path, quick: bool) -> str:
    lengths = overhead.SHORT if quick else overhead.LENGTHS
    return provenance(*OURS) + "\n\n" + rows_text(overhead.overheads(folder, lengths))


def _memory(folder: Path, quick: bool) -> str:
    rows = overhead.memories(folder, overhead.QUICK_MEMORY if quick else overhead.MEMORY)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    growth = ", ".join(f"{a.model} {b.peak_mib / a.peak_mib:.2f}" for a, b in pairs)
    return f"{provenance(*OURS)}\n\n{rows_text(rows)}\n\nGrowth: {growth}."


def _index(folder: Path, quick: bool) -> str:
    hours = 0.01 if quick else indexing.HOURS
    return f"{provenance('av')}\n\n{indexing.index_text(indexing.measure(folder, hours), hours)}"


def _engines(_folder: Path, quick: bool) -> str:
    size, rounds = ((64, 48), 2) if quick else ((640, 360), 5)
    packages = ", ".join(engines.PEER_PACKAGES)
    measured = engines.compare(*size, rounds, peers=True)
    return f"{provenance(*OURS, also=packages)}\n\n{engines.engines_text(measured)}"


def _overlap(folder: Path, quick: bool) -> str:
    frames, rounds = (6, 1) if quick else (overlap.FRAMES, overlap.ROUNDS)
    measured = overlap.measure(folder, frames, rounds, quick=quick)
    size = "320x180" if quick else "640x360"
    return f"{provenance(*OURS)}\n\n{overlap.overlap_text(measured, frames, size)}"


def _confined(folder: Path, quick: bool) -> str:
    frames, rounds = (20, 2) if quick else (confined.FRAMES, confined.ROUNDS)
    measured = confined.measure(folder, frames, rounds, quick=quick)
    return f"{provenance(*OURS)}\n\n{confined.confined_text(measured)}"


def _peers(folder: Path, quick: bool) -> str:
    effort = peer.QUICK if quick else peer.IN_EARNEST
    measured = peer.compare(folder, effort, quick=quick)
    return f"{provenance(*OURS, also=', '.join(peer.PEER_PACKAGES))}\n\n{peer.peer_text(measured)}"


def _scaling(folder: Path, quick: bool) -> str:
    image = None if quick else scaling.IMAGE
    return f"{provenance(*OURS)}\n\n{scaling.report(folder, quick=quick, image=image)}"


PARTS = {
    "demo": Part("what make demo takes", _demo),
    "start": Part("the embedded AWS, until it stands", _start),
    "overhead": Part("what a run costs beside its shards", _overhead),
    "memory": Part("a worker's memory against the film's length", _memory),
    "index": Part("a long film, judged and indexed", _index),
    "engines": Part("the model alone, beside other runtimes", _engines),
    "overlap": Part("decoder, model and encoder apart and side by side", _overlap),
    "confined": Part("decoding without rights, beside decoding with them", _confined),
    "peers": Part("end to end, beside framelift", _peers),
    "scaling": Part("time by shards and workers, memory by length and size", _scaling),
}


def demo_text(timed: Timed) -> str:
    stages = ", ".join(f"{k} {v:.1f}" for k, v in timed.result["stage_seconds"].items() if v > 0.1)
    return (
        f"{provenance(*OURS)}\n\n`make demo`, set up and warm: {timed.seconds:.1f} s for "
        f"{timed.result['frames']} frames of 320x180 to 1280x720. Stages in seconds: {stages}."
    )


def rows_text(rows: list[overhead.Row]) -> str:
    cells = [
        (r.what, str(r.frames), f"{r.seconds:.1f}", f"{r.overhead:.1f}", str(r.peak_mib))
        for r in rows
    ]
    header = ("run", "frames", "wall, s", "beside the shards, s", "worker's peak, MiB")
    return table(header, cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="; ".join(f"{name}: {part.about}" for name, part in PARTS.items()),
    )
    parser.add_argument("part", nargs="*", help="one or more of the parts below; none: all")
    parser.add_argument("--quick", action="store_true", help="small sizes; prints, no document")
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
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
