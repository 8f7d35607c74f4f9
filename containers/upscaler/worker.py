"""The process stage: one run of shards, each decoded, enlarged, encoded and committed once."""

import contextlib
import itertools
import logging
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
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
from containers.upscaler import infer
from containers.upscaler.children import Share
from containers.upscaler.device.target import Target
from containers.upscaler.encode import EncodedFile, open_encoder, probe_encoder
from containers.upscaler.host.memory import peak_memory_mib
from containers.upscaler.host.processors import warn_of_crowding
from containers.upscaler.infer import Batch, Enlarged
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.models.upscaler import Upscaler
from containers.upscaler.pipeline import Pipeline
from containers.upscaler.weights.catalogue import fetch_stored_weights
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
class Spent:
    """What a shard cost so far: busy seconds of each part, and its frames behind each part."""

    decode: float = 0.0
    inference: float = 0.0
    device: float = 0.0
    encode: float = 0.0
    decoded: int = 0
    computed: int = 0
    repeated: int = 0

    def longest(self) -> Literal["decode", "inference", "encode"]:
        if self.inference >= max(self.decode, self.encode):
            return "inference"
        return "encode" if self.encode >= self.decode else "decode"


@dataclass(frozen=True)
class EncodedShard:
    """A shard that waits to be committed."""

    shard: Shard
    file: EncodedFile
    result: ShardResult


class Counter:
    """Frames of the run that are done; written by one thread at a time, read by another."""

    def __init__(self) -> None:
        self.frames = 0


WHOLE = Share()


def process(task: Task[ProcessEnvironment], share: Share = WHOLE) -> None:
    """Do run `task.run` of the job, or a share of it: leave every one of its shards committed.

    Raises WorkerError: BAD_SOURCE, UNSUPPORTED, TRANSIENT and what the store raises.
    """
    bucket = task.environment.intermediate_bucket
    manifest = task.store.get_json(Manifest, bucket, manifest_key(task.environment.job_id))
    run = _run(manifest, task.run)
    with tempfile.TemporaryDirectory(prefix="superres-") as folder:
        limits = Confinement.of(task.environment)
        with FilmDecoder(limits, one_line(manifest.source.key)) as film:
            work = RunOfShards(task, manifest, run, Path(folder), film, share)
            with _progress(task, run, share, work.counter):
                work.do()


def _run(manifest: Manifest, index: int) -> Run:
    if index >= len(manifest.runs):
        raise WorkerError(
            ExitCode.BAD_REQUEST,
            f"run {index} does not exist: {manifest.job_id} has {len(manifest.runs)} runs",
        )
    return manifest.runs[index]


class RunOfShards:
    """The three stages of a run, and the commit of what they make."""

    def __init__(
        self,
        task: Task[ProcessEnvironment],
        manifest: Manifest,
        run: Run,
        folder: Path,
        film: FilmDecoder,
        share: Share = WHOLE,
    ) -> None:
        self.counter = Counter()
        self._store = task.store
        self._meter = task.meter
        self._environment = task.environment
        self._manifest = manifest
        self._shards = share.of(manifest.shards_of(run))
        self._folder = folder
        self._film = film
        self._concealed = np.zeros(0, np.bool_)
        """By frame; known before the first shard is encoded."""

    def do(self) -> None:
        """Decode, infer and encode side by side; commit shard by shard as they come."""
        with Pipeline() as pipeline:
            decoded = pipeline.stage("decode", self.decoded(), BATCHES_AHEAD)
            enlarged = pipeline.stage("infer", self.enlarged(decoded), BATCHES_AHEAD)
            # a network's threads wait for each other at every layer: what takes one core from them
            # takes both. So encoding has the cores between pictures, and while these are waited for
            encoded = self.encoded(enlarged)
            for shard in pipeline.stage("encode", encoded, SHARDS_AHEAD, gives_way=True):
                self._commit(shard)

    def decoded(self) -> Iterator[Batch]:
        """The pictures of all shards that are not committed yet."""
        missing = [s for s in self._shards if not self._is_committed(s)]
        if not missing:
            return
        film, decode = self._source()
        for shards in _consecutive(missing):
            first, last = shards[0], shards[-1]
            frames = last.first_frame + last.frames - first.first_frame
            pictures = film.pictures(decode, first.first_frame, frames)
            for shard, count in self._batches(shards):
                started, before = time.perf_counter(), self._film.busy_seconds
                batch = list(itertools.islice(pictures, count))
                seconds = self._film.busy_seconds - before
                yield Batch(shard, batch, started, seconds, decoded=len(batch))

    def _source(self) -> tuple[Film, Decode]:
        """The film, and what gives the pictures that it is made of."""
        manifest, source = self._manifest, self._manifest.source
        film = Film.of(self._store, manifest)
        self._concealed = film.concealed(manifest.damage)
        if manifest.extraction.mode == "shards":
            bucket = self._environment.intermediate_bucket
            return film.stored, LosslessShards(self._store, bucket, manifest, self._film).decode
        pictures = SourcePictures(
            decoder=self._film,
            file=self._store.reader(source),
            size=source.size,
            video=manifest.video,
            timestamps=film.coded_pts,
            damage=manifest.damage,
        )
        return film, pictures.decode

    def _batches(self, shards: list[Shard]) -> Iterator[tuple[Shard, int]]:
        size = self._manifest.inference.batch
        for shard in shards:
            for done in range(0, shard.frames, size):
                yield shard, min(size, shard.frames - done)

    def enlarged(self, batches: Iterable[Batch]) -> Iterator[Enlarged]:
        """Pictures of the output's size. Loads the model while the first frames are decoded."""
        warn_of_crowding(self._manifest.inference.threads)
        upscaler = load_upscaler(
            self._manifest.inference,
            Target.of(self._manifest),
            model_dir=self._model_dir(),
            device=self._environment.device,
        )
        log.info("model loaded", extra={"device": upscaler.device, **upscaler.versions})
        yield from infer.enlarged(batches, upscaler)

    def _model_dir(self) -> Path:
        weights = self._manifest.inference.weights
        if weights is None:
            return Path(self._environment.model_dir)
        fetch_stored_weights(self._store, weights, self._folder)
        return self._folder

    def encoded(self, batches: Iterable[Enlarged]) -> Iterator[EncodedShard]:
        """Finished files, in order."""
        probe_encoder(self._manifest)
        for shard, parts in itertools.groupby(batches, key=lambda item: item.batch.shard):
            yield self._encode(shard, parts)

    def _encode(self, shard: Shard, parts: Iterable[Enlarged]) -> EncodedShard:
        path = self._folder / f"{shard.index}.{self._manifest.encoder.shard_container.value}"
        spent, started = Spent(), 0.0
        upscaler: Upscaler | None = None
        with open_encoder(self._manifest, path) as encoder:
            for part in parts:
                begun = time.perf_counter()
                for picture in part.pictures:
                    encoder.add(picture)
                self.counter.frames += len(part.pictures)
                spent.encode += time.perf_counter() - begun
                spent.decode += part.batch.decode_seconds
                spent.inference += part.inference_seconds
                spent.device += part.device_seconds
                spent.decoded += part.batch.decoded
                spent.computed += part.computed
                spent.repeated += part.repeated
                started, upscaler = started or part.batch.started, part.upscaler
            begun = time.perf_counter()
            file = encoder.finish()
            spent.encode += time.perf_counter() - begun
        if upscaler is None:
            raise ValueError(f"shard {shard.index} has no pictures")
        wall = time.perf_counter() - started
        return EncodedShard(shard, file, self._result(shard, file, spent, wall, upscaler))

    def _result(
        self, shard: Shard, file: EncodedFile, spent: Spent, wall: float, upscaler: Upscaler
    ) -> ShardResult:
        return ShardResult(
            job_id=self._manifest.job_id,
            index=shard.index,
            decoded_frames=spent.decoded,
            upscaled_frames=spent.computed + spent.repeated,
            frames=file.frames,
            bytes=file.bytes,
            sha256=file.sha256,
            decode_seconds=round(spent.decode, 3),
            inference_seconds=round(spent.inference, 3),
            encode_seconds=round(spent.encode, 3),
            wall_seconds=round(wall, 3),
            bound_by=spent.longest(),
            device_share=round(min(spent.device / wall, 1.0), 3),
            repeated_frames=spent.repeated,
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
        done = self._store.info(self._environment.intermediate_bucket, self._key(shard)) is not None
        if done:
            self.counter.frames += shard.frames
        return done

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
            told = self._meter.shard(done.result.frames, done.result.wall_seconds)
            log.info("shard committed", extra={**facts, **told})
        else:
            log.info("shard was committed by another worker", extra=facts)


def _consecutive(shards: list[Shard]) -> Iterator[list[Shard]]:
    """Groups without gaps, so that each group is decoded in one go."""
    for _, group in itertools.groupby(enumerate(shards), key=lambda item: item[1].index - item[0]):
        yield [shard for _, shard in group]


@contextlib.contextmanager
def _progress(
    task: Task[ProcessEnvironment], run: Run, share: Share, counter: Counter
) -> Iterator[None]:
    """Say every `progress_seconds` how far the run is, and once more at its end."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_report, args=(task, run, share, counter, ended), name="progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
    thread.join()


def _report(
    task: Task[ProcessEnvironment],
    run: Run,
    share: Share,
    counter: Counter,
    ended: threading.Event,
) -> None:
    bucket = task.environment.intermediate_bucket
    key = progress_key(task.environment.job_id, run.index, share.number)
    said, last = -1, False
    while not last:
        last = ended.wait(task.environment.progress_seconds)
        frames = counter.frames
        if frames == said:
            continue
        said = frames
        try:
            task.store.put_json(bucket, key, Progress(run=run.index, frames=frames))
        except WorkerError as error:
            log.warning("progress not written: %s", error)
