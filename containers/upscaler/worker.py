"""The process stage: decodes, upscales, encodes and commits each shard of a run once."""

import contextlib
import itertools
import logging
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np

from containers.common.confined.parent import Confinement
from containers.common.film.coded_film import Film
from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.deinterlacing import Decode
from containers.common.film.lossless import LosslessShards
from containers.common.film.source_pictures import SourcePictures
from containers.common.runtime.worker import Task, WorkerError
from containers.upscaler.children import Share
from containers.upscaler.device.target import Target
from containers.upscaler.encode import EncodedFile, open_encoder, probe_encoder
from containers.upscaler.host.memory import peak_memory_mib
from containers.upscaler.host.processors import warn_of_crowding
from containers.upscaler.inference import DecodedBatch, UpscaledBatch, upscale_batches
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.models.upscaler import Upscaler
from containers.upscaler.stage_threads import StageThreads
from containers.upscaler.weights.cache import fetch_stored_weights
from contracts.base import one_line
from contracts.film.ledger import Progress, ShardResult
from contracts.film.manifest import (
    Manifest,
    Run,
    Shard,
)
from contracts.keys import manifest_key, progress_key, shard_key
from contracts.names import SHARD_RESULT_METADATA, ExitCode
from contracts.stack.environ import ProcessEnvironment

BATCHES_AHEAD = 2
SHARDS_AHEAD = 1

log = logging.getLogger(__name__)


@dataclass
class ShardCost:
    """What a shard has cost so far: busy seconds of each stage, and its frames after each stage."""

    decode: float = 0.0
    inference: float = 0.0
    device: float = 0.0
    encode: float = 0.0
    decoded: int = 0
    computed: int = 0
    repeated: int = 0

    def add(self, batch: UpscaledBatch) -> None:
        """Add what a batch cost before it was encoded."""
        self.decode += batch.batch.decode_seconds
        self.inference += batch.inference_seconds
        self.device += batch.device_seconds
        self.decoded += batch.batch.decoded
        self.computed += batch.computed
        self.repeated += batch.repeated

    def longest(self) -> Literal["decode", "inference", "encode"]:
        """The stage that was busy longest."""
        if self.inference >= max(self.decode, self.encode):
            return "inference"
        return "encode" if self.encode >= self.decode else "decode"


@dataclass(frozen=True)
class EncodedShard:
    """A shard ready to be committed."""

    shard: Shard
    file: EncodedFile
    result: ShardResult


class FrameCounter:
    """How many frames of the run are done. One thread writes at a time, another reads."""

    def __init__(self) -> None:
        self.frames = 0


WHOLE = Share()


def process(task: Task[ProcessEnvironment], share: Share = WHOLE) -> None:
    """Commit every shard of run `task.run` of the job, or of a share of it.

    Raises WorkerError: BAD_REQUEST, BAD_SOURCE, UNSUPPORTED, TRANSIENT and what the store raises.
    """
    bucket = task.environment.intermediate_bucket
    manifest = task.store.get_json(Manifest, bucket, manifest_key(task.environment.job_id))
    run = _find_run(manifest, task.run)
    shards = share.of(manifest.shards_of(run))
    limits = Confinement.of(task.environment)
    with (
        tempfile.TemporaryDirectory(prefix="superres-") as folder,
        FilmDecoder(limits, one_line(manifest.source.key)) as decoder,
    ):
        work = RunOfShards(task, manifest, shards, folder=Path(folder), decoder=decoder)
        with _report_progress(task, run, share, work.counter):
            work.do()


def _find_run(manifest: Manifest, index: int) -> Run:
    if index >= len(manifest.runs):
        raise WorkerError(
            ExitCode.BAD_REQUEST,
            f"run {index} does not exist: {manifest.job_id} has {len(manifest.runs)} runs",
        )
    return manifest.runs[index]


class RunOfShards:
    """The three stages of a run of shards, and the commit of each shard.

    `folder` takes the shards' files and a user's model.
    """

    def __init__(
        self,
        task: Task[ProcessEnvironment],
        manifest: Manifest,
        shards: Sequence[Shard],
        *,
        folder: Path,
        decoder: FilmDecoder,
    ) -> None:
        self.counter = FrameCounter()
        self._store = task.store
        self._meter = task.meter
        self._environment = task.environment
        self._manifest = manifest
        self._shards = shards
        self._folder = folder
        self._decoder = decoder
        self._concealed = np.zeros(0, np.bool_)
        """Whether each frame of the film is concealed; decoding sets it before its first batch."""

    def do(self) -> None:
        """Decode, infer and encode at the same time; commit each shard when it is encoded."""
        with StageThreads() as threads:
            decoded = threads.start("decode", self.decode_batches(), BATCHES_AHEAD)
            upscaled = threads.start("infer", self.upscale_batches(decoded), BATCHES_AHEAD)
            # A network's threads wait for each other at every layer, so whatever takes one core
            # from them stops them all. With low priority, encoding runs while they are idle.
            encoded = self.encode_shards(upscaled)
            for shard in threads.start("encode", encoded, SHARDS_AHEAD, low_priority=True):
                self._commit(shard)

    def decode_batches(self) -> Iterator[DecodedBatch]:
        """Decode the pictures of all shards that are not committed yet."""
        missing: list[Shard] = []
        for shard in self._shards:
            if self._is_committed(shard):
                self.counter.frames += shard.frames
            else:
                missing.append(shard)
        if not missing:
            return
        film, decode = self._open_film()
        for shards in _group_consecutive(missing):
            first, last = shards[0], shards[-1]
            frames = last.first_frame + last.frames - first.first_frame
            pictures = film.pictures(decode, first.first_frame, frames)
            for shard, count in self._batches(shards):
                started, before = time.perf_counter(), self._decoder.busy_seconds
                batch = list(itertools.islice(pictures, count))
                seconds = self._decoder.busy_seconds - before
                yield DecodedBatch(shard, batch, started, seconds, decoded=len(batch))

    def _open_film(self) -> tuple[Film, Decode]:
        """Return the film and the function that decodes its pictures; note concealed frames."""
        manifest, source = self._manifest, self._manifest.source
        film = Film.of(self._store, manifest)
        self._concealed = film.concealed(manifest.damage)
        if manifest.extraction.mode == "shards":
            bucket = self._environment.intermediate_bucket
            return film.stored, LosslessShards(self._store, bucket, manifest, self._decoder).decode
        pictures = SourcePictures(
            decoder=self._decoder,
            file=self._store.reader(source),
            size=source.size,
            video=manifest.video,
            timestamps=film.coded_pts,
            damage=manifest.damage,
        )
        return film, pictures.decode

    def _batches(self, shards: list[Shard]) -> Iterator[tuple[Shard, int]]:
        """Cut shards into batches: yield (shard, number of frames) for each."""
        size = self._manifest.inference.batch
        for shard in shards:
            for done in range(0, shard.frames, size):
                yield shard, min(size, shard.frames - done)

    def upscale_batches(self, batches: Iterable[DecodedBatch]) -> Iterator[UpscaledBatch]:
        """Load the model while the first frames are decoded, then upscale all batches."""
        warn_of_crowding(self._manifest.inference.threads)
        model_dir = self._prepare_model_dir()
        upscaler = load_upscaler(
            self._manifest.inference,
            Target.of(self._manifest),
            model_dir=model_dir,
            device=self._environment.device,
        )
        log.info("model loaded", extra={"device": upscaler.device, **upscaler.versions})
        yield from upscale_batches(batches, upscaler)

    def _prepare_model_dir(self) -> Path:
        """Return the folder with the weights; download a user's model first."""
        weights = self._manifest.inference.weights
        if weights is None:
            return Path(self._environment.model_dir)
        fetch_stored_weights(self._store, weights, self._folder)
        return self._folder

    def encode_shards(self, batches: Iterable[UpscaledBatch]) -> Iterator[EncodedShard]:
        """Encode each shard to a file, in order."""
        probe_encoder(self._manifest)
        for shard, group in itertools.groupby(batches, key=lambda item: item.batch.shard):
            yield self._encode(shard, group)

    def _encode(self, shard: Shard, batches: Iterable[UpscaledBatch]) -> EncodedShard:
        path = self._folder / f"{shard.index}.{self._manifest.encoder.shard_container.value}"
        cost, started = ShardCost(), 0.0
        upscaler: Upscaler | None = None
        with open_encoder(self._manifest, path) as encoder:
            for batch in batches:
                begun = time.perf_counter()
                for picture in batch.pictures:
                    encoder.add(picture)
                self.counter.frames += len(batch.pictures)
                cost.encode += time.perf_counter() - begun
                cost.add(batch)
                started, upscaler = started or batch.batch.started, batch.upscaler
            begun = time.perf_counter()
            file = encoder.finish()
            cost.encode += time.perf_counter() - begun
        if upscaler is None:
            raise ValueError(f"shard {shard.index} has no pictures")
        wall = time.perf_counter() - started
        result = self._result(shard, file, cost, wall=wall, upscaler=upscaler)
        return EncodedShard(shard, file, result)

    def _result(
        self, shard: Shard, file: EncodedFile, cost: ShardCost, *, wall: float, upscaler: Upscaler
    ) -> ShardResult:
        return ShardResult(
            job_id=self._manifest.job_id,
            index=shard.index,
            decoded_frames=cost.decoded,
            upscaled_frames=cost.computed + cost.repeated,
            frames=file.frames,
            bytes=file.bytes,
            sha256=file.sha256,
            decode_seconds=round(cost.decode, 3),
            inference_seconds=round(cost.inference, 3),
            encode_seconds=round(cost.encode, 3),
            wall_seconds=round(wall, 3),
            bound_by=cost.longest(),
            device_share=round(min(cost.device / wall, 1.0), 3),
            repeated_frames=cost.repeated,
            concealed_frames=self._concealed_in(shard),
            tile=upscaler.tile,
            peak_memory_mib=peak_memory_mib(),
            device_memory_mib=upscaler.device_memory_mib(),
            device=upscaler.device,
            engine=self._manifest.inference.engine,
            weights_sha256=self._manifest.inference.facts.weights_sha256,
            versions={"av": av.__version__, **upscaler.versions},
        )

    def _concealed_in(self, shard: Shard) -> int:
        return int(self._concealed[shard.first_frame : shard.first_frame + shard.frames].sum())

    def _key(self, shard: Shard) -> str:
        extension = self._manifest.encoder.shard_container.value
        return shard_key(self._manifest.job_id, shard.index, extension)

    def _is_committed(self, shard: Shard) -> bool:
        bucket = self._environment.intermediate_bucket
        return self._store.info(bucket, self._key(shard)) is not None

    def _commit(self, done: EncodedShard) -> None:
        metadata = {SHARD_RESULT_METADATA: done.result.to_json()}
        bucket, key = self._environment.intermediate_bucket, self._key(done.shard)
        first = self._store.put_file_once(bucket, key, done.file.path, metadata)
        done.file.path.unlink()
        facts = done.result.model_dump(
            mode="json", exclude={"schema_version", "job_id", "versions"}
        )
        facts["fps"] = done.result.frames_per_second()
        if first:
            metrics = self._meter.shard(done.result.frames, done.result.wall_seconds)
            log.info("shard committed", extra={**facts, **metrics})
        else:
            log.info("shard was committed by another worker", extra=facts)


def _group_consecutive(shards: list[Shard]) -> Iterator[list[Shard]]:
    """Group shards without gaps, so that each group is decoded in one go."""
    for _, group in itertools.groupby(enumerate(shards), key=lambda item: item[1].index - item[0]):
        yield [shard for _, shard in group]


@contextlib.contextmanager
def _report_progress(
    task: Task[ProcessEnvironment], run: Run, share: Share, counter: FrameCounter
) -> Iterator[None]:
    """Store the run's progress every `progress_seconds`, and once more at the end."""
    key = progress_key(task.environment.job_id, run.index, share.number)
    ended = threading.Event()

    def report() -> None:
        stored, last = -1, False
        while not last:
            last = ended.wait(task.environment.progress_seconds)
            frames = counter.frames
            if frames != stored:
                stored = frames
                _store_progress(task, key, Progress(run=run.index, frames=frames))

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
    thread.join()


def _store_progress(task: Task[ProcessEnvironment], key: str, progress: Progress) -> None:
    try:
        task.store.put_json(task.environment.intermediate_bucket, key, progress)
    except WorkerError as error:
        log.warning("progress not written: %s", error)
