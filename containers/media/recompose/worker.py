"""The recompose worker: join the shards, add what is not video, prove the result, upload it."""

import hashlib
import logging
import tempfile
from pathlib import Path

from containers.common.runtime.worker import Task
from containers.media.recompose.composer import ComposedFilm, Composer
from contracts import keys
from contracts.base import ObjectRef
from contracts.film.ledger import Report
from contracts.film.manifest import Manifest
from contracts.film.remarks import remarks
from contracts.job import Container
from contracts.messages import RecomposeResult
from contracts.names import Stage
from contracts.stack.environ import RecomposeEnvironment

CONTENT_TYPES = {
    Container.MP4: "video/mp4",
    Container.MOV: "video/quicktime",
    Container.MKV: "video/x-matroska",
    Container.WEBM: "video/webm",
}

log = logging.getLogger(__name__)


def run(task: Task[RecomposeEnvironment]) -> None:
    """Write the result, its report and, last, the stage's result. Harmless to repeat."""
    environment, store = task.environment, task.store
    bucket, job_id = environment.intermediate_bucket, environment.job_id
    with tempfile.TemporaryDirectory(prefix="recompose-") as folder:
        with Composer(environment, Path(folder)) as composer:
            manifest = store.get_json(Manifest, bucket, keys.manifest_key(job_id))
            composed = composer.compose(store, bucket, manifest)
        report = _report(manifest, composed, environment.final_bucket)
        content_type = CONTENT_TYPES[manifest.output.container]
        store.upload(
            composed.path, report.result.bucket, report.result.key, content_type=content_type
        )
    report_key = keys.report_key(job_id)
    store.put_json(environment.final_bucket, report_key, report)
    result = RecomposeResult(
        job_id=job_id,
        result=report.result,
        report=ObjectRef(bucket=environment.final_bucket, key=report_key),
        frames=report.ledger.frames_in_result,
        bytes=report.result_bytes,
        remarks=remarks(report),
    )
    store.put_json(bucket, keys.stage_result_key(job_id, Stage.RECOMPOSE), result)
    log.info("composed", extra={"frames": result.frames, "bytes": result.bytes})


def _report(manifest: Manifest, composed: ComposedFilm, bucket: str) -> Report:
    video = manifest.video
    extension = manifest.output.container.value
    key = keys.result_key(manifest.job_id, manifest.source.key, manifest.output.label, extension)
    with composed.path.open("rb") as body:
        digest = hashlib.file_digest(body, "sha256").hexdigest()
    return Report(
        job_id=manifest.job_id,
        source=manifest.source,
        result=ObjectRef(bucket=bucket, key=key),
        result_bytes=composed.path.stat().st_size,
        result_sha256=digest,
        duration_seconds=float((video.end_pts - video.start_pts) * video.time_base),
        video=video,
        output=manifest.output,
        inference=manifest.inference,
        encoder=manifest.encoder,
        fields=manifest.fields,
        extraction=manifest.extraction,
        shards=tuple(composed.shards),
        ledger=composed.ledger,
    )
