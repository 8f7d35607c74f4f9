"""Compares a worker's three stages running together with the sum of their times alone.

First the stages run one after the other, each with all cores, then together as in a job; in rounds,
both loading the model anew. Both times each runs in its own thread: OpenMP keeps threads for every
thread that calls it, and spins less where there are many.
"""

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.clips import make_sample_clip
from benchmarks.parts.peer import (
    CRF,
    PRESET,
    make_bunny_clip,
)
from benchmarks.superres import table
from cli.models.weights import ensure_weights, weights_dir
from cli.stacks.machine import cores
from containers.common.confined.parent import Confinement
from containers.common.film.decoder.client import FilmDecoder
from containers.common.runtime.worker import Task, run_worker
from containers.upscaler.stage_threads import StageThreads
from containers.upscaler.worker import RunOfShards
from contracts.film.manifest import Manifest
from contracts.keys import manifest_key, shard_key
from contracts.models import Engine, ModelName
from contracts.names import ExitCode, Stage
from contracts.stack.environ import ProcessEnvironment
from tests.unit.upscaler.support import (
    BUCKET,
    JOB_ID,
    SOURCES,
    FolderS3,
    environment,
    prepare,
)

T = TypeVar("T")

FRAMES, ROUNDS = 40, 3
"""More frames than x264 looks ahead (30, preset `fast`), or it would encode at the end only."""
GOAL = 1.05


@dataclass(frozen=True)
class OverlapRound:
    """Seconds of each stage alone, and of all three together."""

    decode: float
    model: float
    encode: float
    together: float

    @property
    def apart(self) -> float:
        return self.decode + self.model + self.encode


def measure_overlap(
    folder: Path, frames: int = FRAMES, rounds: int = ROUNDS, *, quick: bool = False
) -> list[OverlapRound]:
    """Measure animevideov3 x4 with ncnn, 640x360 (quick: 320x180), one shard."""
    ensure_weights(ModelName.ANIMEVIDEOV3)
    clip = (
        make_sample_clip(folder / "clip.mp4", frames) if quick else make_bunny_clip(folder, frames)
    )
    size = (320, 180) if quick else (640, 360)
    store = _store_job(folder, clip, size=size, frames=frames)
    found: list[OverlapRound] = []

    def body(task: Task[ProcessEnvironment]) -> None:
        for number in range(rounds + 1):
            measured = _measure_round(task)
            if number:  # the first round imports torch and fills caches
                found.append(measured)
            store.path(BUCKET, shard_key(JOB_ID, 0, "mp4")).unlink()

    code = run_worker(
        Stage.PROCESS, ProcessEnvironment, body,
        environ=environment(weights_dir()), client=store,
    )  # fmt: skip
    if code != ExitCode.OK:
        raise SystemExit(f"the worker ended with {ExitCode(code).name}: see its log above")
    return found


def _store_job(folder: Path, clip: Path, *, size: tuple[int, int], frames: int) -> FolderS3:
    """Store a job on the clip in a folder that stands in for S3."""
    place = folder / SOURCES / "clip.mkv"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(clip.read_bytes())
    job = prepare(
        folder, frames, model=ModelName.ANIMEVIDEOV3, engine=Engine.NCNN, scale=4,
        width=size[0], height=size[1], shard_frames=frames,
        options={"preset": PRESET, "crf": CRF},
    )  # fmt: skip
    threads = {"threads": cores()}
    job = job.model_copy(
        update={
            "inference": job.inference.model_copy(update=threads),
            "encoder": job.encoder.model_copy(update=threads),
        }
    )
    store = FolderS3(folder)
    store.put_object(Bucket=BUCKET, Key=manifest_key(JOB_ID), Body=job.to_json().encode())
    return store


def _measure_round(task: Task[ProcessEnvironment]) -> OverlapRound:
    manifest = task.store.get_json(Manifest, BUCKET, manifest_key(JOB_ID))
    with (
        tempfile.TemporaryDirectory() as folder,
        FilmDecoder(Confinement.of(task.environment), manifest.source.key) as decoder,
    ):
        shards = manifest.shards_of(manifest.runs[0])
        work = RunOfShards(task, manifest, shards, folder=Path(folder), decoder=decoder)
        marks = [time.perf_counter()]
        batches = list(_run_alone(work.decode_batches()))
        marks.append(time.perf_counter())
        upscaled = list(_run_alone(work.upscale_batches(batches)))
        marks.append(time.perf_counter())
        for shard in _run_alone(work.encode_shards(upscaled)):
            shard.file.path.unlink()
        marks.append(time.perf_counter())
        work.do()
        marks.append(time.perf_counter())
    return OverlapRound(*(b - a for a, b in itertools.pairwise(marks)))


def _run_alone(items: Iterable[T]) -> Iterator[T]:
    with StageThreads() as threads:
        yield from threads.start("alone", items, sys.maxsize)


def overlap_text(rounds: list[OverlapRound], frames: int, size: str) -> str:
    """Format a table of rounds and the goal in Markdown."""
    rows = [
        (
            str(n + 1), f"{r.decode:.1f}", f"{r.model:.1f}", f"{r.encode:.1f}", f"{r.apart:.1f}",
            f"{r.together:.1f}", f"{r.together / r.apart:.2f}",
        )
        for n, r in enumerate(rounds)
    ]  # fmt: skip
    ratio = statistics.median(r.together / r.apart for r in rounds)
    header = ("round", "decode, s", "model, s", "encode, s", "sum, s", "together, s", "ratio")
    return (
        f"{frames} frames of {size}, animevideov3 x4 with ncnn, libx264 {PRESET} CRF {CRF}, "
        f"{cores()} threads; the worker's own stages, the model loaded anew each time.\n\n"
        f"{table(header, rows)}\n\n"
        f"Median ratio {ratio:.2f} (goal {GOAL}: {'' if ratio <= GOAL else 'not '}reached)."
    )
