"""The extract worker: judge the film, index its frames, set aside what is not video, plan."""

import logging
import tempfile
from pathlib import Path

import numpy as np

from containers.common.runtime.worker import Task
from containers.media.extract.examiner import ExaminedFilm, examine_in_child
from containers.media.extract.fields.treatment import TreatedFilm
from containers.media.extract.judge.probe import Limits
from containers.media.extract.plan.encoder import plan_encoder
from containers.media.extract.plan.inference import plan_inference
from containers.media.extract.plan.model import Model, find_model
from containers.media.extract.plan.output import plan_output
from containers.media.extract.source_film import SourceFilm
from contracts import keys, planning
from contracts.base import ObjectRef
from contracts.film.facts import (
    Fields,
    Sidecar,
    Video,
)
from contracts.film.manifest import Inference, Manifest, Run, Shard
from contracts.job import Job
from contracts.messages import ExtractResult
from contracts.names import Stage
from contracts.stack.environ import ExtractEnvironment

log = logging.getLogger(__name__)


def run(task: Task[ExtractEnvironment]) -> None:
    """Write timestamps, sidecar, manifest and, last, the stage's result. Harmless to repeat."""
    environment, store = task.environment, task.store
    bucket, job_id = environment.intermediate_bucket, environment.job_id
    result_key = keys.stage_result_key(job_id, Stage.EXTRACT)
    if store.info(bucket, result_key) is not None:
        log.info("already extracted")
        return
    job = store.get_json(Job, bucket, keys.job_key(job_id))
    with tempfile.TemporaryDirectory(prefix="extract-") as folder:
        manifest = _Planner(task, job, Path(folder)).plan()
    store.put_json(bucket, keys.manifest_key(job_id), manifest)
    result = _stage_result(manifest, environment)
    store.put_json(bucket, result_key, result)
    log.info(
        "planned",
        extra={"frames": result.frames, "shards": result.shards, "runs": result.runs},
    )


def _stage_result(manifest: Manifest, environment: ExtractEnvironment) -> ExtractResult:
    video, output = manifest.video, manifest.output
    return ExtractResult(
        job_id=manifest.job_id,
        frames=video.frames,
        shards=len(manifest.shards),
        runs=len(manifest.runs),
        process_timeout_seconds=planning.process_timeout_seconds(
            video.frames,
            _frame_seconds(manifest.inference, video, environment),
            environment.worker_parallelism,
        ),
        recompose_timeout_seconds=planning.recompose_timeout_seconds(
            output.width * output.height * video.frames
        ),
    )


class _Planner:
    """One film on its way to its manifest."""

    def __init__(self, task: Task[ExtractEnvironment], job: Job, folder: Path) -> None:
        self.environment, self.store = task.environment, task.store
        self.job, self.folder = job, folder
        self.limits = Limits(job.source, task.environment)

    def plan(self) -> Manifest:
        """Have the film examined, plan, upload all but the manifest."""
        self.limits.check("max_source_bytes", self.job.source.size, "has {got} bytes")
        model = find_model(self.job.settings, self.store, self.job.source.bucket)
        film = examine_in_child(
            self.job, self.environment, model.facts, store=self.store, folder=self.folder
        )
        if film.decoded:
            log.info("packets do not have all timestamps: decoded the whole film for them")
        if film.skipped:
            log.warning("left out %d broken frames at the ends", film.skipped)
        if film.damage.concealed:
            log.warning("damaged frames", extra={"concealed": len(film.damage.concealed)})
        with SourceFilm(film, self.job, environment=self.environment, store=self.store) as pictures:
            return self._plan(film, pictures, model)

    def _plan(self, film: ExaminedFilm, pictures: SourceFilm, model: Model) -> Manifest:
        """Decide, then upload, then write down both."""
        treated = pictures.plan_treatment()
        settings, video, environment = self.job.settings, treated.video, self.environment
        output = plan_output(settings, video, film.container)
        inference = plan_inference(settings, model, video, environment)
        shards, runs = self._cut(video, inference)
        extraction = pictures.choose_extraction(treated, shards, runs)
        encoder = plan_encoder(
            settings,
            video,
            output,
            threads=environment.encoder_threads,
            hardware=environment.video_encoders == "nvenc",
        )
        timestamps = self._upload_timestamps(treated.timestamps)
        fields = self._upload_fields(treated, film.timestamps)
        extraction = pictures.upload_pictures(extraction, treated, shards, self.folder)
        sidecar = self._upload_sidecar(film)
        return Manifest(
            job_id=self.job.job_id,
            source=self.job.source,
            format=film.format,
            video=video,
            timestamps=timestamps,
            fields=fields,
            extraction=extraction,
            damage=pictures.damage(treated),
            inference=inference,
            encoder=encoder,
            output=output,
            shards=shards,
            runs=runs,
            sidecar=sidecar,
        )

    def _cut(self, video: Video, inference: Inference) -> tuple[tuple[Shard, ...], tuple[Run, ...]]:
        """The film into shards, these into runs."""
        workers = self.environment.worker_parallelism
        seconds = float((video.end_pts - video.start_pts) * video.time_base)
        length = planning.shard_seconds(seconds, self.job.settings.shard_seconds, workers)
        shards = planning.plan_shards(video.frames, video.frame_rate, length)
        a_frame = _frame_seconds(inference, video, self.environment)
        return shards, planning.plan_runs(shards, a_frame, workers)

    def _upload_captions(self, film: ExaminedFilm) -> Sidecar:
        track = film.sidecar.captions
        if track is None or not track.pictures:
            return film.sidecar
        path = self.folder / "captions.npz"
        np.savez_compressed(path, allow_pickle=False, **film.captions.arrays())
        place = self._upload(path, keys.captions_key(self.job.job_id))
        track = track.model_copy(update={"payload": place})
        return film.sidecar.model_copy(update={"captions": track})

    def _upload_sidecar(self, film: ExaminedFilm) -> Sidecar:
        sidecar, job_id = self._upload_captions(film), self.job.job_id
        if not (sidecar.streams or sidecar.attachments):
            return sidecar
        index = self.folder / "sidecar.npz"
        with index.open("wb") as out:
            np.savez_compressed(out, allow_pickle=False, **film.index)
        payload = self._upload(film.payload, keys.sidecar_key(job_id), "video/x-matroska")
        place = self._upload(index, keys.sidecar_index_key(job_id))
        return sidecar.model_copy(update={"payload": payload, "index": place})

    def _upload(
        self, path: Path, key: str, content_type: str = "application/octet-stream"
    ) -> ObjectRef:
        bucket = self.environment.intermediate_bucket
        self.store.upload(path, bucket, key, content_type=content_type)
        return ObjectRef(bucket=bucket, key=key)

    def _upload_timestamps(self, timestamps: np.ndarray) -> ObjectRef:
        path = self.folder / "timestamps.npy"
        np.save(path, timestamps)
        return self._upload(path, keys.timestamps_key(self.job.job_id))

    def _upload_fields(self, treated: TreatedFilm, coded: np.ndarray) -> Fields:
        if treated.plan is None:
            return treated.fields
        path = self.folder / "fields.npz"
        treated.plan.save(path, coded)
        place = self._upload(path, keys.fields_key(self.job.job_id))
        return treated.fields.model_copy(update={"plan": place})


def _frame_seconds(inference: Inference, video: Video, environment: ExtractEnvironment) -> float:
    return planning.frame_seconds(
        video.width,
        video.height,
        inference.scale,
        model=inference.facts,
        worker_gflops=environment.worker_gflops,
    )
