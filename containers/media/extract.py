"""The extract worker: judge the film, index its frames, set aside what is not video, plan."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from containers.common.media import decode_frames, decode_pictures, open_source
from containers.common.pictures import Picture
from containers.common.storage import SCAN_AHEAD_BLOCKS, RangedReader
from containers.common.worker import Task, WorkerError
from containers.media import plan, timeline
from containers.media.encoding import plan_encoder
from containers.media.fields import Planned, plan_fields
from containers.media.picture import describe
from containers.media.probe import (
    Limits,
    bad_source,
    check_colour,
    check_header,
    check_size,
    choose_video,
    open_film,
)
from containers.media.scan import Head, Scan, decode_head, scan_packets
from containers.media.sidecar import SidecarWriter
from containers.media.streams import chapters, labels
from containers.media.timeline import Timeline
from contracts import keys, planning
from contracts.base import ObjectRef
from contracts.environ import ExtractEnvironment
from contracts.job import Container, Job
from contracts.manifest import Fields, Inference, Manifest, Sidecar, Video
from contracts.messages import ExtractResult
from contracts.models import CATALOGUE
from contracts.names import ExitCode, Stage

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


@dataclass(frozen=True)
class _Scanned:
    """What the pass over the packets gave."""

    format: str
    video: Video
    timeline: Timeline
    keyframes: np.ndarray
    """Their timestamps, int64, in the file's order."""
    container: Container
    sidecar: Sidecar
    """Not uploaded yet."""
    writer: SidecarWriter


class _Extraction:
    """One film on its way to its manifest."""

    def __init__(self, task: Task[ExtractEnvironment], job: Job, folder: Path) -> None:
        self.environment, self.store = task.environment, task.store
        self.job, self.folder = job, folder
        self.limits = Limits(job.source, task.environment)
        self.name = self.limits.name

    def manifest(self) -> Manifest:
        """Judge, scan, test the end, upload; the manifest is not written yet."""
        self.limits.check("max_source_bytes", self.job.source.size, "has {got} bytes")
        reader = self.store.reader(self.job.source, SCAN_AHEAD_BLOCKS)
        try:
            head = self._judge(reader)
            scanned = self._scan(reader, head)
            self._check_limits(scanned)
            self._test_end(reader, scanned, head)
            planned = self._plan_fields(reader, scanned)
        except (WorkerError, av.error.FFmpegError) as error:
            if reader.failure is not None:  # which a demuxer may have taken for the film's end
                raise reader.failure from None
            if isinstance(error, (WorkerError, OSError, MemoryError)):
                raise
            raise bad_source(f"{self.name} cannot be read ({error.strerror})") from error
        return self._plan(scanned, planned)

    def _judge(self, reader: RangedReader) -> Head:
        with contextlib.closing(open_film(self.limits, reader)) as container:
            stream = choose_video(self.name, container)
            check_header(self.limits, self.job.settings, container, stream)
            head = decode_head(container, stream, self.name)
        check_size(self.limits, self.job.settings, head.first.width, head.first.height)
        return head

    def _scan(self, reader: RangedReader, head: Head) -> _Scanned:
        with contextlib.closing(open_source(reader)) as container:
            stream = choose_video(self.name, container)
            result = plan.choose_container(self.job.settings, container, stream)
            writer = SidecarWriter(container, stream, result, self.folder / "sidecar.mkv")
            scan = scan_packets(container, stream, writer, self.limits)
            demuxer = container.format.name.split(",")[0]
            line = timeline.from_packets(scan, head, self.name, demuxer)
            if line is None:
                line = self._decode_all(scan, head)
            return _Scanned(
                format=container.format.name,
                video=describe(stream, head.first, line.timestamps, line.end_pts),
                timeline=line,
                keyframes=np.array(scan.keys, np.int64),
                container=result,
                sidecar=Sidecar(
                    streams=writer.close(),
                    attachments=tuple(writer.attachments),
                    chapters=tuple(chapters(container)),
                    metadata=_file_labels(container),
                    film_labels=_film_labels(container, stream),
                    film_disposition=int(stream.disposition),
                    dropped=tuple(writer.dropped),
                ),
                writer=writer,
            )

    def _decode_all(self, scan: Scan, head: Head) -> Timeline:
        log.info("packets do not tell all timestamps: decoding the whole film for them")
        reader = self.store.reader(self.job.source, SCAN_AHEAD_BLOCKS)
        with contextlib.closing(open_source(reader)) as container:
            stream = choose_video(self.name, container)
            return timeline.from_decoding(container, stream, scan, head, self.name)

    def _upload_sidecar(self, scanned: _Scanned) -> Sidecar:
        sidecar, job_id = scanned.sidecar, self.job.job_id
        if not (sidecar.streams or sidecar.attachments):
            return sidecar
        index = self.folder / "sidecar.npz"
        scanned.writer.save_index(index)
        places = {
            "payload": self._upload(
                self.folder / "sidecar.mkv", keys.sidecar_key(job_id), "video/x-matroska"
            ),
            "index": self._upload(index, keys.sidecar_index_key(job_id)),
        }
        return sidecar.model_copy(update=places)

    def _upload(
        self, path: Path, key: str, content_type: str = "application/octet-stream"
    ) -> ObjectRef:
        bucket = self.environment.intermediate_bucket
        self.store.upload(path, bucket, key, content_type)
        return ObjectRef(bucket=bucket, key=key)

    def _check_limits(self, scanned: _Scanned) -> None:
        video = scanned.video
        check_colour(self.name, video.working_colour)
        seconds = float((video.end_pts - video.start_pts) * video.time_base)
        self.limits.check("max_frames", video.frames, "has {got} frames")
        self.limits.check("max_duration_seconds", seconds, "lasts {got} seconds")
        if scanned.timeline.skipped:
            log.warning("left out %d broken frames at the ends", scanned.timeline.skipped)

    def _test_end(self, reader: RangedReader, scanned: _Scanned, head: Head) -> None:
        """Decode the last frames, so that a film cut short is refused now, not hours later."""
        first = scanned.timeline.tail(scanned.keyframes)
        frames = decode_frames(
            lambda: open_source(reader),
            scanned.timeline.timestamps[first:].tolist(),
            stream_index=scanned.video.stream_index,
            first_frame=first,
            name=self.name,
        )
        for frame in frames:
            if (frame.width, frame.height) != (head.first.width, head.first.height):
                raise WorkerError(
                    ExitCode.UNSUPPORTED,
                    f"{self.name} changes its picture size from "
                    f"{head.first.width}x{head.first.height} to {frame.width}x{frame.height}; "
                    "cut it into parts of one size",
                )

    def _plan_fields(self, reader: RangedReader, scanned: _Scanned) -> Planned:
        stamps = scanned.timeline.timestamps

        def decode(first: int, count: int) -> Iterator[Picture]:
            return decode_pictures(
                lambda: open_source(reader),
                stamps[first : first + count].tolist(),
                stream_index=scanned.video.stream_index,
                first_frame=first,
                name=self.name,
            )

        setting = self.job.settings.deinterlace
        return plan_fields(setting, scanned.video, stamps, scanned.keyframes, decode)

    def _plan(self, scanned: _Scanned, planned: Planned) -> Manifest:
        settings, video, environment = self.job.settings, planned.video, self.environment
        output = plan.plan_output(settings, video, scanned.container)
        film_seconds = float((video.end_pts - video.start_pts) * video.time_base)
        length = planning.shard_seconds(
            film_seconds, settings.shard_seconds, environment.worker_parallelism
        )
        shards = planning.plan_shards(video.frames, video.frame_rate, length)
        inference = plan.plan_inference(settings, video, environment)
        a_frame = _frame_seconds(inference, video, environment)
        return Manifest(
            job_id=self.job.job_id,
            source=self.job.source,
            format=scanned.format,
            video=video,
            timestamps=self._upload_timestamps(planned.timestamps),
            fields=self._upload_plan(planned, scanned.timeline),
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
            runs=planning.plan_runs(shards, a_frame, environment.worker_parallelism),
            sidecar=self._upload_sidecar(scanned),
        )

    def _upload_timestamps(self, timestamps: np.ndarray) -> ObjectRef:
        path = self.folder / "timestamps.npy"
        np.save(path, timestamps)
        return self._upload(path, keys.timestamps_key(self.job.job_id))

    def _upload_plan(self, planned: Planned, coded: Timeline) -> Fields:
        if planned.plan is None:
            return planned.fields
        path = self.folder / "fields.npz"
        planned.plan.save(path, coded.timestamps)
        place = self._upload(path, keys.fields_key(self.job.job_id))
        return planned.fields.model_copy(update={"plan": place})


def _frame_seconds(inference: Inference, video: Video, environment: ExtractEnvironment) -> float:
    model = CATALOGUE[inference.model]
    return planning.frame_seconds(
        video.width, video.height, inference.scale, model, environment.worker_gflops
    )


def _file_labels(container: InputContainer) -> dict[str, str]:
    return {k: v for k, v in labels(container.metadata).items() if k.lower() != "timecode"}


def _film_labels(container: InputContainer, stream: VideoStream) -> dict[str, str]:
    """Some formats note the time code of the first frame for the file, not for the stream."""
    said = {k.lower(): v for k, v in container.metadata.items()}
    timecode = {"timecode": said["timecode"]} if "timecode" in said else {}
    return {**timecode, **labels(stream.metadata)}
