"""The recompose worker: join the shards, bring back what is not video, prove it, hand it over."""

import contextlib
import hashlib
import io
import logging
import tempfile
from pathlib import Path

import numpy as np

from containers.common.storage import Store
from containers.common.worker import Task
from containers.media.join import JoinedShards, mismatch
from containers.media.ledger import check_result
from containers.media.mux import write_result
from containers.media.tracks import SidecarFiles
from contracts import keys
from contracts.base import ObjectRef
from contracts.environ import RecomposeEnvironment
from contracts.job import Container
from contracts.manifest import Ledger, Manifest, Report, ShardResult
from contracts.messages import RecomposeResult
from contracts.names import Stage

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
    manifest = store.get_json(Manifest, bucket, keys.manifest_key(job_id))
    with tempfile.TemporaryDirectory(prefix="recompose-") as folder:
        path = Path(folder) / f"result.{manifest.output.container.value}"
        shards, ledger = _compose(store, bucket, manifest, path)
        report = _report(manifest, path, shards, ledger, environment.final_bucket)
        content_type = CONTENT_TYPES[manifest.output.container]
        store.upload(path, report.result.bucket, report.result.key, content_type)
    report_key = keys.report_key(job_id)
    store.put_json(environment.final_bucket, report_key, report)
    result = RecomposeResult(
        job_id=job_id,
        result=report.result,
        report=ObjectRef(bucket=environment.final_bucket, key=report_key),
        frames=ledger.frames_in_result,
        bytes=report.result_bytes,
    )
    store.put_json(bucket, keys.stage_result_key(job_id, Stage.RECOMPOSE), result)
    log.info("composed", extra={"frames": result.frames, "bytes": result.bytes})


def _compose(
    store: Store, bucket: str, manifest: Manifest, path: Path
) -> tuple[list[ShardResult], Ledger]:
    """Write the result file and account for every packet of it."""
    timestamps = _timestamps(store, manifest)
    sidecar = _sidecar(store, manifest, path.parent)
    joined = JoinedShards(store, bucket, manifest, timestamps, path.parent)
    with contextlib.closing(joined):
        packets = joined.packets()
        write_result(path, manifest, timestamps, joined.template, packets, sidecar)
    ledger = check_result(path, manifest, timestamps, joined.results, sidecar)
    return joined.results, ledger


def _timestamps(store: Store, manifest: Manifest) -> np.ndarray:
    stored = store.get_bytes(manifest.timestamps.bucket, manifest.timestamps.key)
    timestamps = np.load(io.BytesIO(stored), allow_pickle=False)
    if len(timestamps) != manifest.video.frames:
        raise mismatch(f"{len(timestamps)} timestamps for {manifest.video.frames} frames")
    return timestamps


def _sidecar(store: Store, manifest: Manifest, folder: Path) -> SidecarFiles | None:
    payload, index = manifest.sidecar.payload, manifest.sidecar.index
    if payload is None or index is None:
        return None
    path = folder / "sidecar.mkv"
    store.download(payload.bucket, payload.key, path)
    times = np.load(io.BytesIO(store.get_bytes(index.bucket, index.key)), allow_pickle=False)
    return SidecarFiles(path, times)


def _report(
    manifest: Manifest,
    path: Path,
    shards: list[ShardResult],
    ledger: Ledger,
    bucket: str,
) -> Report:
    video = manifest.video
    extension = manifest.output.container.value
    key = keys.result_key(manifest.job_id, manifest.source.key, manifest.output.label, extension)
    with path.open("rb") as body:
        digest = hashlib.file_digest(body, "sha256").hexdigest()
    return Report(
        job_id=manifest.job_id,
        source=manifest.source,
        result=ObjectRef(bucket=bucket, key=key),
        result_bytes=path.stat().st_size,
        result_sha256=digest,
        duration_seconds=float((video.end_pts - video.start_pts) * video.time_base),
        video=video,
        output=manifest.output,
        inference=manifest.inference,
        encoder=manifest.encoder,
        fields=manifest.fields,
        extraction=manifest.extraction,
        shards=tuple(shards),
        ledger=ledger,
    )
