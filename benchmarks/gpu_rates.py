"""Rates on a device, in interleaved rounds: the model alone, and with null sink or encoder."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from cli.models.weights import ensure_weights, weights_dir
from containers.common.film.pictures import Picture, plane_shapes
from containers.common.runtime.worker import WorkerError
from containers.media.extract.plan import nvenc
from containers.upscaler import infer
from containers.upscaler.device.target import Target
from containers.upscaler.encode import NULL_ENCODER, open_encoder, probe_encoder
from containers.upscaler.infer import Batch
from containers.upscaler.models.engines.execution import Execution
from containers.upscaler.models.network_upscaler import NetworkUpscaler, load_network
from containers.upscaler.pipeline import Pipeline
from contracts.film.manifest import Manifest
from contracts.job import Codec
from contracts.models import ModelName
from tests.unit.upscaler.support import manifest

SCALE = 4
DISTINCT = 16
"""Pictures that are shown in turn, so that none repeats its predecessor."""
ENQUEUED = 0.95
"""Where the host takes this part of the time only to ask for the work, it is what bounds it."""
MOSTLY = 0.9
"""On processors the device's time is part of the host's."""
X264 = {"preset": "veryfast", "crf": "18"}


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: float
    """Of one measurement, about."""


@dataclass(frozen=True)
class Setup:
    """What computes: a model on pictures of a size, in a number format."""

    model: ModelName
    width: int
    height: int
    dtype: str
    batch: int
    device: Literal["cpu", "cuda"]

    def manifest(self, **changes: Any) -> Manifest:
        job = manifest(
            model=self.model, scale=SCALE, width=self.width, height=self.height,
            dtype=self.dtype, batch=self.batch, **changes,
        )  # fmt: skip
        threads = {"threads": torch.get_num_threads()}
        return job.model_copy(
            update={
                "inference": job.inference.model_copy(update=threads),
                "encoder": job.encoder.model_copy(update=threads),
            }
        )

    def load(self, execution: Execution) -> NetworkUpscaler:
        job = self.manifest()
        ensure_weights(self.model)
        return load_network(
            job.inference, Target.of(job), model_dir=weights_dir(), device=self.device,
            execution=execution,
        )  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Frames a second, the median of the rounds, and what they were."""

    what: str
    setup: Setup
    execution: Execution
    device: str
    rounds: tuple[float, ...]
    bound_by: str
    device_share: float | None = None
    """Of the wall time, by the device's own clock."""
    of_slowest: float | None = None
    """Of what the slowest stage alone would allow: that stage's busy time over the wall time."""

    @property
    def fps(self) -> float:
        return statistics.median(self.rounds)


MODEL, SINK = "model alone", "into the null sink"


def model_rates(setup: Setup, executions: list[Execution], effort: Effort) -> list[Rate]:
    """The network on pictures that lie on the device; each execution once a round, in turn.

    One whose batch does not fit the device's memory is left out.
    """
    x = torch.rand(setup.batch, 3, setup.height, setup.width, device=setup.device)
    loaded = {name: setup.load(name) for name in executions}
    counts: dict[Execution, int] = {}
    for name, upscaler in loaded.items():
        with suppress(MemoryError):
            _computed(upscaler, x, 1)  # records, compiles, warms
            counts[name] = _count(effort, lambda u=upscaler: _computed(u, x, 1)[0])
    rounds: dict[Execution, list[float]] = {name: [] for name in counts}
    asking: dict[Execution, list[float]] = {name: [] for name in counts}
    for _ in range(effort.rounds):
        for name, count in counts.items():
            seconds, asked = _computed(loaded[name], x, count)
            rounds[name].append(count * setup.batch / seconds)
            asking[name].append(asked / seconds)
    return [
        Rate(
            MODEL, setup, name, loaded[name].device, tuple(rounds[name]),
            "host" if _host_bound(setup, asking[name]) else "device",
        )
        for name in counts
    ]  # fmt: skip


def _host_bound(setup: Setup, asking: list[float]) -> bool:
    return setup.device == "cuda" and statistics.median(asking) > ENQUEUED


@torch.inference_mode()
def _computed(upscaler: NetworkUpscaler, x: torch.Tensor, count: int) -> tuple[float, float]:
    """Seconds of `count` batches, and of asking for them. Raises MemoryError."""
    _finish(x)
    began = time.perf_counter()
    for _ in range(count):
        if upscaler.engine.run(x) is None:
            raise MemoryError
    asked = time.perf_counter() - began
    _finish(x)
    return time.perf_counter() - began, asked


def _finish(x: torch.Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def _count(effort: Effort, once: Callable[[], float]) -> int:
    return max(1, round(effort.seconds / max(once(), 1e-6)))


def encoders(setup: Setup) -> dict[str, Manifest]:
    """The null sink, then what works here: NVENC's H.264 or HEVC where there is one, else x264."""
    jobs = {SINK: setup.manifest(encoder=NULL_ENCODER)}
    for codec in (Codec.H264, Codec.HEVC):
        options = nvenc.options(codec, 48, 20, "veryfast", lossless=False)
        job = setup.manifest(codec=codec, encoder=nvenc.name(codec), options=options)
        if not nvenc.suits(codec, "yuv420p", job.output, lossless=False):
            continue
        with suppress(WorkerError):
            probe_encoder(job)
            return {**jobs, f"with {job.encoder.encoder}": job}
    return {**jobs, "with libx264 veryfast": setup.manifest(options=X264)}


def pipeline_rates(setup: Setup, execution: Execution, frames: int, effort: Effort) -> list[Rate]:
    """Pictures from memory through the worker's own stages, by encoder, in turn."""
    upscaler, jobs = setup.load(execution), encoders(setup)
    runs: dict[str, list[_Run]] = {what: [] for what in jobs}
    _through(upscaler, jobs[SINK], setup, min(frames, 4 * setup.batch))
    for _ in range(effort.rounds):
        for what, job in jobs.items():
            runs[what].append(_through(upscaler, job, setup, frames))
    return [
        Rate(
            what, setup, execution, upscaler.device, tuple(r.fps for r in found),
            statistics.median_low(r.bound_by for r in found),
            statistics.median(r.device_share for r in found),
            statistics.median(r.of_slowest for r in found),
        )
        for what, found in runs.items()
    ]  # fmt: skip


@dataclass(frozen=True)
class _Run:
    fps: float
    device_share: float
    of_slowest: float
    bound_by: str


def _through(upscaler: NetworkUpscaler, job: Manifest, setup: Setup, frames: int) -> _Run:
    began, device, host, encode = time.perf_counter(), 0.0, 0.0, 0.0
    with TemporaryDirectory() as folder, Pipeline() as pipeline:
        enlarged = infer.enlarged(_batches(job, setup, frames), upscaler)
        with open_encoder(job, Path(folder) / "shard.mp4") as sink:
            for part in pipeline.stage("infer", enlarged, 2):
                begun = time.perf_counter()
                for picture in part.pictures:
                    sink.add(picture)
                encode += time.perf_counter() - begun
                device += part.device_seconds
                host += part.inference_seconds
            begun = time.perf_counter()
            sink.finish()
            encode += time.perf_counter() - begun
    wall = time.perf_counter() - began
    part = "device" if device > MOSTLY * host else "host's part of inference"
    busy = {part: max(host, device), "encoder": encode}
    slowest = max(busy, key=lambda name: busy[name])
    return _Run(
        frames / wall, min(device / wall, 1.0), min(busy[slowest] / wall, 1.0), slowest
    )  # fmt: skip


def _batches(job: Manifest, setup: Setup, frames: int) -> Iterator[Batch]:
    pictures = itertools.cycle(_pictures(setup))
    for done in range(0, frames, setup.batch):
        count = min(setup.batch, frames - done)
        taken = [replace(p, pts=done + n) for n, p in enumerate(itertools.islice(pictures, count))]
        yield Batch(job.shards[0], taken, 0.0, 0.0, decoded=len(taken))


def _pictures(setup: Setup) -> list[Picture]:
    random = np.random.default_rng(0)
    shapes = plane_shapes("yuv420p", setup.width, setup.height)
    return [
        Picture(0, "yuv420p", tuple(random.integers(16, 236, s, dtype=np.uint8) for s in shapes))
        for _ in range(DISTINCT)
    ]
