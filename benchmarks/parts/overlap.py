"""Do decoder, model and encoder hinder each other? A worker's wall time beside their sum, apart.

The worker's own three stages, first one after the other, each with all cores, then as they run in
earnest, side by side; in rounds, both loading the model anew. Each runs in a thread of its own both
times: OpenMP keeps threads for every thread that calls it, and spins less where these are many.
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

from benchmarks.clips import make_clip
from benchmarks.parts.peer import (
    CRF,
    PRESET,
    clip_of,
    cores,
)
from benchmarks.superres import table
from cli.embedded import ensure_weights, weights_dir
from containers.common.confined.parent import Confinement
from containers.common.film.decoder.client import FilmDecoder
from containers.common.runtime.worker import Task, run_worker
from containers.upscaler.pipeline import Pipeline
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
class Round:
    """Seconds of each stage alone, and of all three side by side."""

    decode: float
    model: float
    encode: float
    together: float

    @property
    def apart(self) -> float:
        return self.decode + self.model + self.encode


def measure(
    folder: Path, frames: int = FRAMES, rounds: int = ROUNDS, *, quick: bool = False
) -> list[Round]:
    """animevideov3 x4 with ncnn, 640x360 (quick: 320x180), one shard."""
    ensure_weights(ModelName.ANIMEVIDEOV3)
    clip = make_clip(folder / "clip.mp4", frames) if quick else clip_of(folder, frames)
    size = (320, 180) if quick else (640, 360)
    store = _job(folder, clip, size, frames)
    found: list[Round] = []

    def body(task: Task[ProcessEnvironment]) -> None:
        for number in range(rounds + 1):
            measured = _round(task)
            if number:  # the first one imports torch and fills caches
                found.append(measured)
            store.path(BUCKET, shard_key(JOB_ID, 0, "mp4")).unlink()

    code = run_worker(
        Stage.PROCESS, ProcessEnvironment, body,
        environ=environment(weights_dir()), client=store,
    )  # fmt: skip
    if code != ExitCode.OK:
        raise SystemExit(f"the worker ended with {ExitCode(code).name}: see its log above")
    return found


def _job(folder: Path, clip: Path, size: tuple[int, int], frames: int) -> FolderS3:
    """A job on the clip, in a folder that stands in for S3."""
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


def _round(task: Task[ProcessEnvironment]) -> Round:
    manifest = task.store.get_json(Manifest, BUCKET, manifest_key(JOB_ID))
    with (
        tempfile.TemporaryDirectory() as folder,
        FilmDecoder(Confinement.of(task.environment), manifest.source.key) as film,
    ):
        work = RunOfShards(task, manifest, manifest.runs[0], Path(folder), film)
        marks = [time.perf_counter()]
        batches = list(_alone(work.decoded()))
        marks.append(time.perf_counter())
        enlarged = list(_alone(work.enlarged(batches)))
        marks.append(time.perf_counter())
        for shard in _alone(work.encoded(enlarged)):
            shard.file.path.unlink()
        marks.append(time.perf_counter())
        work.do()
        marks.append(time.perf_counter())
    return Round(*(b - a for a, b in itertools.pairwise(marks)))


def _alone(items: Iterable[T]) -> Iterator[T]:
    with Pipeline() as pipeline:
        yield from pipeline.stage("alone", items, sys.maxsize)


def overlap_text(rounds: list[Round], frames: int, size: str) -> str:
    """Markdown: a table of rounds, and the goal."""
    rows = [
        (
            str(n + 1), f"{r.decode:.1f}", f"{r.model:.1f}", f"{r.encode:.1f}", f"{r.apart:.1f}",
            f"{r.together:.1f}", f"{r.together / r.apart:.2f}",
        )
        for n, r in enumerate(rounds)
    ]  # fmt: skip
    ratio = statistics.median(r.together / r.apart for r in rounds)
    header = ("round", "decode, s", "model, s", "encode, s", "sum, s", "side by side, s", "ratio")
    return (
        f"{frames} frames of {size}, animevideov3 x4 with ncnn, libx264 {PRESET} CRF {CRF}, "
        f"{cores()} threads; the worker's own stages, the model loaded anew each time.\n\n"
        f"{table(header, rows)}\n\n"
        f"Median ratio {ratio:.2f} (goal {GOAL}: {'' if ratio <= GOAL else 'not '}reached)."
    )
