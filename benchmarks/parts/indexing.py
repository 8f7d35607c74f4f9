"""Measures how fast a long film is probed and indexed: each packet is read once, audio is copied.

The film repeats the packets of a few encoded seconds, since the cost depends on the number of
packets and on the speed of the store, which is not measured here.
"""

import itertools
import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

from benchmarks.superres import table
from contracts.names import ExitCode
from tests.support.bench import Bench
from tests.support.films import X264, make

RATE = Fraction(24)
HOURS = 2.0
GOAL_SECONDS = 60
KINDS = (".mp4", ".mkv", ".ts")
_GROUP = 48
"""Frames of the part that is repeated: whole groups of pictures."""


@dataclass(frozen=True)
class IndexedFilm:
    """One film, indexed."""

    kind: str
    packets: int
    megabytes: float
    seconds: float
    cpu_seconds: float
    """Of the worker and its decoding child process."""


def measure_indexing(folder: Path, hours: float = HOURS) -> list[IndexedFilm]:
    """Extract as the worker does, from a store in memory."""
    rows = []
    for kind in KINDS:
        path = folder / f"long{kind}"
        packets = write_long_film(path, hours)
        bench = Bench(path, shard_seconds=10)
        began, spent = time.perf_counter(), _cpu_seconds()
        code = bench.extract()
        seconds, spent = time.perf_counter() - began, _cpu_seconds() - spent
        if code != ExitCode.OK:
            raise RuntimeError(f"{path} was refused with {code}")
        rows.append(IndexedFilm(kind[1:], packets, path.stat().st_size / 1e6, seconds, spent))
        path.unlink()
    return rows


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def write_long_film(path: Path, hours: float) -> int:
    """Write a film of 24 pictures and 47 packets of AAC a second; return its number of packets."""
    group_file = path.with_name("group.mp4")
    make(group_file, frames=_GROUP, rate=RATE, audio="aac", options={**X264, "g": str(_GROUP)})
    with av.open(str(group_file)) as source:
        pictures = [p for p in source.demux(video=0) if p.size]
    with av.open(str(group_file)) as source:
        sounds = [p for p in source.demux(audio=0) if p.size][1:]
        name = {".mkv": "matroska", ".ts": "mpegts"}.get(path.suffix)
        with av.open(str(path), "w", format=name) as out:
            film = out.add_stream_from_template(source.streams.video[0], opaque=True)
            sound = out.add_stream_from_template(source.streams.audio[0], opaque=True)
            step = pictures[0].duration or 0
            written, heard = 0, itertools.cycle(sounds)
            for group in range(int(hours * 3600 * RATE / _GROUP)):
                offset = group * _GROUP * step
                for packet in pictures:
                    copy = Packet(bytes(packet))
                    copy.stream, copy.time_base = film, packet.time_base
                    copy.pts, copy.dts = (packet.pts or 0) + offset, (packet.dts or 0) + offset
                    copy.duration, copy.is_keyframe = step, packet.is_keyframe
                    out.mux(copy)
                until = (group + 1) * 2 * 48000 // 1024
                for number in range(group * 2 * 48000 // 1024, until):
                    copy = Packet(bytes(next(heard)))
                    copy.stream, copy.time_base = sound, Fraction(1, 48000)
                    copy.pts = copy.dts = number * 1024
                    copy.duration = 1024
                    out.mux(copy)
                    written += 1
                written += len(pictures)
    return written


def index_text(rows: list[IndexedFilm], hours: float) -> str:
    cells = [
        (r.kind, f"{r.packets:,}", f"{r.megabytes:.0f}", f"{r.seconds:.1f}", f"{r.cpu_seconds:.1f}",
         f"{r.packets / r.seconds:,.0f}")
        for r in rows
    ]  # fmt: skip
    header = ("container", "packets", "MB", "probe and index, s", "CPU, s", "packets a second")
    return (
        f"A film of {hours:g} hours at 24 frames a second, 64x48, with AAC; goal: within "
        f"{GOAL_SECONDS} s.\n\n{table(header, cells)}"
    )
