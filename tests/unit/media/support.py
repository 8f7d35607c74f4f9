"""Films and whole jobs that tests of the media workers share."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from contracts.models import Architecture, Engine, ModelFacts
from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.films import Clip, decode_all, make

P_FRAMES = {"preset": "veryfast", "bf": "0", "g": "12", "sc_threshold": "0"}
CHAPTERS = [(0.0, 1.0, "Anfang"), (1.0, 1.6, "Ende")]
MIDDLE = (0.3, 0.7)
"""Part of a packet that `damage` overwrites."""
DIGEST = "5" * 64
FACTS = ModelFacts(
    name="SwinIR (mine.pth)",
    architecture=Architecture.SPANDREL,
    native_scale=2,
    grid=8,
    radius=None,
    flop_per_pixel=1e6,
    bytes_per_pixel={Engine.TORCH: 4_000_000},
    dtypes=("float32", "float16"),
    weights_sha256=DIGEST,
    licence=None,
)


def make_small(path: Path, clip: Clip | None = None, frames: int = 60) -> Path:
    return make(path, replace(clip or Clip(options=P_FRAMES), frames=frames, width=96, height=64))


def with_edits(path: Path, edits: Sequence[tuple[int, int]]) -> None:
    """Replace the film's edit list (ISO 14496-12, 8.6.6). The index must stand behind the data."""
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") - 4
    old = struct.unpack_from(">I", data, place)[0]
    entries = b"".join(struct.pack(">IiI", length, start, 1 << 16) for length, start in edits)
    body = b"elst" + bytes(4) + struct.pack(">I", len(edits)) + entries
    data[place : place + old] = struct.pack(">I", 4 + len(body)) + body
    for parent in (b"edts", b"trak", b"moov"):
        at = data.rindex(parent, 0, place) - 4
        size = struct.unpack_from(">I", data, at)[0]
        struct.pack_into(">I", data, at, size + 4 + len(body) - old)
    path.write_bytes(data)


def make_and_run(folder: Path, name: str, clip: Clip, **settings: Any) -> tuple[Bench, Path]:
    """A film of that kind through the whole job."""
    return run_job(folder, make(folder / name, clip), **settings)


def run_job(folder: Path, film: Path, **settings: Any) -> tuple[Bench, Path]:
    """The film through the whole job; its result."""
    bench = Bench(film, **settings)
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    bench.process()
    code = bench.recompose()
    assert code == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    return bench, bench.result(folder)


def times(path: Path) -> list[Fraction]:
    """Seconds at which the frames are shown."""
    with av.open(str(path)) as container:
        unit = container.streams.video[0].time_base or Fraction(1)
    return [frame.pts * unit for frame in decode_all(path)]


def sound(path: Path) -> tuple[bytes, float]:
    """All packets' bytes, and the second of the first decoded sample against the first frame."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        payload = b"".join(bytes(p) for p in container.demux(stream) if p.size)
    with av.open(str(path)) as container:
        first = next(container.decode(container.streams.audio[0]))
    return payload, float((first.time or 0) - float(times(path)[0]))


def subtitles(path: Path) -> list[tuple[float, float, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        unit = stream.time_base or Fraction(1)
        return [
            (float((p.pts or 0) * unit), float((p.duration or 0) * unit), bytes(p))
            for p in container.demux(stream)
            if p.size > 2
        ]


def run_real_job(bench: Bench, folder: Path) -> Path:
    """The result of the whole job, by the real workers."""
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert bench.upscale() == ExitCode.OK
    assert bench.recompose() == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    return bench.result(folder)
