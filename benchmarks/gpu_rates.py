"""Measures rates on a device in interleaved rounds: the model alone, or with an encoder."""

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
from containers.upscaler.device.target import Target
from containers.upscaler.encode import NULL_ENCODER, open_encoder, probe_encoder
from containers.upscaler.inference import DecodedBatch, upscale_batches
from containers.upscaler.models.engines.execution import ExecutionMode
from containers.upscaler.models.network_upscaler import NetworkUpscaler, load_network
from containers.upscaler.stage_threads import StageThreads
from contracts.film.manifest import Manifest
from contracts.job import Codec
from contracts.models import ModelName
from tests.unit.upscaler.support import manifest

SCALE = 4
DISTINCT = 16
"""How many pictures to show in turn, so that none repeats its predecessor."""
ENQUEUED = 0.95
"""If launching the work takes the host this share of the time, the host is the bound."""
MOSTLY = 0.9
"""If the device is busy for this share of the host's time, it is the bound: on processors its time
is part of the host's."""
X264 = {"preset": "veryfast", "crf": "18"}


@dataclass(frozen=True)
class RateEffort:
    """How long to measure."""

    rounds: int
    seconds: float
    """Approximately, of one measurement."""


@dataclass(frozen=True)
class RateSetup:
    """What to measure: a model on pictures of a size, in a number format, on a device."""

    model: ModelName
    width: int
    height: int
    dtype: str
    batch: int
    device: Literal["cpu", "cuda"]

    def manifest(self, **changes: Any) -> Manifest:
        """Make a job for the setup, on all threads."""
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

    def load(self, mode: ExecutionMode) -> NetworkUpscaler:
        """Load the model; download its weights first if they are missing."""
        job = self.manifest()
        ensure_weights(self.model)
        return load_network(
            job.inference, Target.of(job), model_dir=weights_dir(), device=self.device,
            mode=mode,
        )  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Frames a second of one way to run a setup."""

    what: str
    setup: RateSetup
    execution: ExecutionMode
    device: str
    rounds: tuple[float, ...]
    bound_by: str
    device_share: float | None = None
    """The device's busy share of the wall time, by its own clock."""
    of_slowest: float | None = None
    """The slowest stage's busy time over the wall time: the rate as a share of what it allows."""

    @property
    def fps(self) -> float:
        return statistics.median(self.rounds)


MODEL, SINK = "model alone", "into the null sink"


def measure_model(setup: RateSetup, modes: list[ExecutionMode], effort: RateEffort) -> list[Rate]:
    """Measure the network on pictures that lie on the device, with each mode once a round.

    A mode whose batch does not fit the device's memory is left out.
    """
    x = torch.rand(setup.batch, 3, setup.height, setup.width, device=setup.device)
    loaded = {name: setup.load(name) for name in modes}
    counts: dict[ExecutionMode, int] = {}
    for name, upscaler in loaded.items():
        with suppress(MemoryError):
            _time_batches(upscaler, x, 1)  # records, compiles, warms up
            counts[name] = _count(effort, lambda u=upscaler: _time_batches(u, x, 1)[0])
    rounds: dict[ExecutionMode, list[float]] = {name: [] for name in counts}
    launching: dict[ExecutionMode, list[float]] = {name: [] for name in counts}
    for _ in range(effort.rounds):
        for name, count in counts.items():
            seconds, launched = _time_batches(loaded[name], x, count)
            rounds[name].append(count * setup.batch / seconds)
            launching[name].append(launched / seconds)
    return [
        Rate(
            MODEL, setup, name, loaded[name].device, tuple(rounds[name]),
            "host" if _host_bound(setup, launching[name]) else "device",
        )
        for name in counts
    ]  # fmt: skip


def _host_bound(setup: RateSetup, launching: list[float]) -> bool:
    return setup.device == "cuda" and statistics.median(launching) > ENQUEUED


@torch.inference_mode()
def _time_batches(upscaler: NetworkUpscaler, x: torch.Tensor, count: int) -> tuple[float, float]:
    """Return the seconds of `count` batches, and of launching them. Raises MemoryError."""
    _finish(x)
    began = time.perf_counter()
    for _ in range(count):
        if upscaler.engine.run(x) is None:
            raise MemoryError
    launched = time.perf_counter() - began
    _finish(x)
    return time.perf_counter() - began, launched


def _finish(x: torch.Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def _count(effort: RateEffort, once: Callable[[], float]) -> int:
    return max(1, round(effort.seconds / max(once(), 1e-6)))


def plan_encoders(setup: RateSetup) -> dict[str, Manifest]:
    """Plan jobs without an encoder and with one: NVENC's H.264 or HEVC if that works, else x264."""
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


def measure_stages(
    setup: RateSetup, mode: ExecutionMode, *, frames: int, effort: RateEffort
) -> list[Rate]:
    """Measure pictures from memory through the worker's stages, with each encoder once a round."""
    upscaler, jobs = setup.load(mode), plan_encoders(setup)
    runs: dict[str, list[_Run]] = {what: [] for what in jobs}
    _run_stages(upscaler, jobs[SINK], setup, frames=min(frames, 4 * setup.batch))
    for _ in range(effort.rounds):
        for what, job in jobs.items():
            runs[what].append(_run_stages(upscaler, job, setup, frames=frames))
    return [
        Rate(
            what, setup, mode, upscaler.device, tuple(r.fps for r in found),
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


def _run_stages(upscaler: NetworkUpscaler, job: Manifest, setup: RateSetup, *, frames: int) -> _Run:
    began, device, host, encode = time.perf_counter(), 0.0, 0.0, 0.0
    with TemporaryDirectory() as folder, StageThreads() as threads:
        upscaled = upscale_batches(_make_batches(job, setup, frames), upscaler)
        with open_encoder(job, Path(folder) / "shard.mp4") as sink:
            for batch in threads.start("infer", upscaled, 2):
                begun = time.perf_counter()
                for picture in batch.pictures:
                    sink.add(picture)
                encode += time.perf_counter() - begun
                device += batch.device_seconds
                host += batch.inference_seconds
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


def _make_batches(job: Manifest, setup: RateSetup, frames: int) -> Iterator[DecodedBatch]:
    pictures = itertools.cycle(_draw_pictures(setup))
    for done in range(0, frames, setup.batch):
        count = min(setup.batch, frames - done)
        taken = [replace(p, pts=done + n) for n, p in enumerate(itertools.islice(pictures, count))]
        yield DecodedBatch(job.shards[0], taken, 0.0, 0.0, decoded=len(taken))


def _draw_pictures(setup: RateSetup) -> list[Picture]:
    random = np.random.default_rng(0)
    shapes = plane_shapes("yuv420p", setup.width, setup.height)
    return [
        Picture(0, "yuv420p", tuple(random.integers(16, 236, s, dtype=np.uint8) for s in shapes))
        for _ in range(DISTINCT)
    ]
