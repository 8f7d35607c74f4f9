"""The extract worker: judge the film, index its frames, set aside what is not video, plan."""

import logging
import tempfile
from pathlib import Path

import numpy as np

from containers.common.runtime.worker import Task
from containers.media.extract.examiner import ExaminedFilm, examined
from containers.media.extract.fields.treatment import TreatedFilm
from containers.media.extract.judge.probe import Limits
from containers.media.extract.plan.encoder import plan_encoder
from containers.media.extract.plan.model import find_model
from containers.media.extract.plan.output import Model, plan_inference, plan_output
from containers.media.extract.source_film import SourceFilm
from contracts import keys, planning
from contracts.base import ObjectRef
from contracts.film.facts import (
    Fields,
    Sidecar,
    Video,
)
from contracts.film.manifest import Inference, Manifest
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
        manifest = _Extraction(task, job, Path(folder)).manifest()
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


class _Extraction:
    """One film on its way to its manifest."""

    def __init__(self, task: Task[ExtractEnvironment], job: Job, folder: Path) -> None:
        self.environment, self.store = task.environment, task.store
        self.job, self.folder = job, folder
        self.limits = Limits(job.source, task.environment)
        self.name = self.limits.name

    def manifest(self) -> Manifest:
        """Have the film examined, plan, upload; the manifest is not written yet."""
        self.limits.check("max_source_bytes", self.job.source.size, "has {got} bytes")
        model = find_model(self.job.settings, self.store, self.job.source.bucket)
        film = examined(self.job, self.environment, model.facts, self.store, self.folder)
        if film.decoded:
            log.info("packets do not tell all timestamps: decoded the whole film for them")
        if film.skipped:
            log.warning("left out %d broken frames at the ends", film.skipped)
        if film.damage.concealed:
            log.warning("damaged frames", extra={"concealed": len(film.damage.concealed)})
        with SourceFilm(
            self.environment, self.store, self.job, film.video, film.timestamps, film.keyframes,
            film.damage,
        ) as pictures:  # fmt: skip
            return self._plan(film, pictures, model)

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
        places = {
            "payload": self._upload(film.payload, keys.sidecar_key(job_id), "video/x-matroska"),
            "index": self._upload(index, keys.sidecar_index_key(job_id)),
        }
        return sidecar.model_copy(update=places)

    def _upload(
        self, path: Path, key: str, content_type: str = "application/octet-stream"
    ) -> ObjectRef:
        bucket = self.environment.intermediate_bucket
        self.store.upload(path, bucket, key, content_type)
        return ObjectRef(bucket=bucket, key=key)

    def _plan(self, film: ExaminedFilm, pictures: SourceFilm, model: Model) -> Manifest:
        planned = pictures.fields()
        settings, video, environment = self.job.settings, planned.video, self.environment
        output = plan_output(settings, video, film.container)
        film_seconds = float((video.end_pts - video.start_pts) * video.time_base)
        length = planning.shard_seconds(
            film_seconds, settings.shard_seconds, environment.worker_parallelism
        )
        shards = planning.plan_shards(video.frames, video.frame_rate, length)
        inference = plan_inference(settings, model, video, environment)
        a_frame = _frame_seconds(inference, video, environment)
        runs = planning.plan_runs(shards, a_frame, environment.worker_parallelism)
        return Manifest(
            job_id=self.job.job_id,
            source=self.job.source,
            format=film.format,
            video=video,
            timestamps=self._upload_timestamps(planned.timestamps),
            fields=self._upload_plan(planned, film.timestamps),
            extraction=pictures.extraction(planned, shards, runs, self.folder),
            damage=pictures.damage(planned),
            inference=inference,
            encoder=plan_encoder(
                settings,
                video,
                output,
                environment.encoder_threads,
                hardware=environment.video_encoders == "nvenc",
            ),
            output=output,
            shards=shards,
            runs=runs,
            sidecar=self._upload_sidecar(film),
        )

    def _upload_timestamps(self, timestamps: np.ndarray) -> ObjectRef:
        path = self.folder / "timestamps.npy"
        np.save(path, timestamps)
        return self._upload(path, keys.timestamps_key(self.job.job_id))

    def _upload_plan(self, planned: TreatedFilm, coded: np.ndarray) -> Fields:
        if planned.plan is None:
            return planned.fields
        path = self.folder / "fields.npz"
        planned.plan.save(path, coded)
        place = self._upload(path, keys.fields_key(self.job.job_id))
        return planned.fields.model_copy(update={"plan": place})


def _frame_seconds(inference: Inference, video: Video, environment: ExtractEnvironment) -> float:
    return planning.frame_seconds(
        video.width, video.height, inference.scale, inference.facts, environment.worker_gflops
    )
