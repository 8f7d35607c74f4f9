"""One job on a fake S3, from upload to result, with a stand-in for the upscaler."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from av.video.frame import VideoFrame

from containers.common.film.decoding import decode_frames
from containers.common.film.opening import MUXERS, FilmFile
from containers.common.runtime.worker import run_worker
from containers.media.extract import worker as extract_worker
from containers.media.recompose import worker as recompose_worker
from containers.upscaler.worker import process
from contracts import keys
from contracts.base import Contract
from contracts.film.ledger import Report, ShardResult
from contracts.film.manifest import Manifest, Shard
from contracts.job import Job, Settings, SourceObject, make_job_id
from contracts.messages import Failure
from contracts.models import ModelName
from contracts.names import ENVIRONMENT_PREFIX, SHARD_RESULT_METADATA, ExitCode, Stage
from contracts.stack.environ import (
    ExtractEnvironment,
    ProcessEnvironment,
    RecomposeEnvironment,
)
from tests.support.fake_s3 import FakeS3

C = TypeVar("C", bound=Contract)


SOURCE_BUCKET, INTERMEDIATE_BUCKET, FINAL_BUCKET = "the-source", "the-intermediate", "the-final"
EXTRACT_ENVIRONMENT = {
    "intermediate_bucket": INTERMEDIATE_BUCKET,
    "worker_gflops": "50", "worker_parallelism": "4", "inference_threads": "1",
    "inference_dtype": "float32", "inference_engine": "ncnn", "inference_memory_mib": "3800",
    "encoder_threads": "1", "inference_batch": "1", "video_encoders": "software",
    "max_source_bytes": "1000000000",
    "max_frame_pixels": "9000000", "max_output_pixels": "40000000", "max_frames": "1000000",
    "max_duration_seconds": "36000", "max_streams": "32",
    "max_attachments": "32", "max_attachment_bytes": "1000000", "max_chapters": "100",
    "max_extradata_bytes": "1000000", "max_job_dollars": "500", "worker_dollars_per_hour": "0.4",
    "dollars_per_hour": "0.1", "intermediate_days": "21",
}  # fmt: skip


class Bench:
    """One job on a fake S3: upload, extract, stand-in shards, recompose."""

    def __init__(self, film: Path, s3: FakeS3 | None = None, **settings: Any) -> None:
        self.s3 = s3 or FakeS3()
        self.film = film
        key = keys.upload_key(film.name)
        with film.open("rb") as body:
            stored = self.s3.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=body)
        source = SourceObject(
            bucket=SOURCE_BUCKET, key=key, version_id=stored["VersionId"],
            etag=stored["ETag"], size=film.stat().st_size,
        )  # fmt: skip
        chosen = Settings(**{"model": ModelName.LANCZOS, **settings})
        self.job_id = make_job_id(source, chosen.to_json())
        self.job = Job(job_id=self.job_id, source=source, settings=chosen)
        self.store(keys.job_key(self.job_id), self.job)

    def store(self, key: str, contract: Any) -> None:
        """Put a contract into the intermediate bucket."""
        body = contract.to_json().encode()
        self.s3.put_object(Bucket=INTERMEDIATE_BUCKET, Key=key, Body=body)

    def extract(self, **changes: Any) -> int:
        """Run the extract worker; its exit code. `changes` are fields of its environment."""
        fields = {**EXTRACT_ENVIRONMENT, "job_id": self.job_id, **changes}
        return run_worker(
            Stage.EXTRACT, ExtractEnvironment, extract_worker.run,
            environ=_variables(fields), client=self.s3,
        )  # fmt: skip

    def upscale(self) -> int:
        """Run the real process worker on every run; the first exit code that is not OK."""
        fields = {
            "job_id": self.job_id,
            "intermediate_bucket": INTERMEDIATE_BUCKET,
            "model_dir": "nowhere",
            "device": "cpu",
            "children": 1,
            "progress_seconds": 60,
        }
        codes = (
            run_worker(
                Stage.PROCESS, ProcessEnvironment, process, client=self.s3,
                environ={**_variables(fields), "AWS_BATCH_JOB_ARRAY_INDEX": str(run.index)},
            )
            for run in self.manifest.runs
        )  # fmt: skip
        return next((code for code in codes if code != ExitCode.OK), ExitCode.OK)

    def recompose(self, **changes: Any) -> int:
        """Run the recompose worker; its exit code. `changes` are fields of its environment."""
        fields = {
            "job_id": self.job_id,
            "intermediate_bucket": INTERMEDIATE_BUCKET,
            "final_bucket": FINAL_BUCKET,
            **changes,
        }
        return run_worker(
            Stage.RECOMPOSE, RecomposeEnvironment, recompose_worker.run,
            environ=_variables(fields), client=self.s3,
        )  # fmt: skip

    def read(self, model: type[C], key: str) -> C:
        stored = self.s3.get_object(Bucket=INTERMEDIATE_BUCKET, Key=key)
        return model.model_validate_json(stored["Body"].read())

    @property
    def manifest(self) -> Manifest:
        return self.read(Manifest, keys.manifest_key(self.job_id))

    @property
    def timestamps(self) -> list[int]:
        key = keys.timestamps_key(self.job_id)
        stored = self.s3.get_object(Bucket=INTERMEDIATE_BUCKET, Key=key)
        return np.load(stored["Body"]).tolist()

    def process(self) -> None:
        """Stand-in for the upscaler: decode, enlarge with swscale, encode as the manifest says."""
        manifest, stamps = self.manifest, self.timestamps
        for shard in manifest.shards:
            wanted = stamps[shard.first_frame : shard.first_frame + shard.frames]
            film = FilmFile(io.BytesIO(self.film.read_bytes()), manifest.video.stream_index)
            frames = decode_frames(film, wanted, first_frame=shard.first_frame)
            self.commit(shard, encode_shard(manifest, frames))

    def commit(self, shard: Shard, body: bytes, **changes: Any) -> None:
        """Put a shard where the upscaler would; `changes` are fields of its ShardResult."""
        extension = self.manifest.encoder.shard_container.value
        fields: dict[str, Any] = {
            "job_id": self.job_id, "index": shard.index,
            "decoded_frames": shard.frames, "upscaled_frames": shard.frames, "frames": shard.frames,
            "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(),
            "decode_seconds": 0, "inference_seconds": 0, "encode_seconds": 0, "wall_seconds": 0,
            "bound_by": "encode", "device_share": 0, "repeated_frames": 0, "tile": 0,
            "peak_memory_mib": 1, "device_memory_mib": 0, "device": "cpu", "engine": "opencv",
            "weights_sha256": None, "versions": {}, **changes,
        }  # fmt: skip
        self.s3.put_object(
            Bucket=INTERMEDIATE_BUCKET, Key=keys.shard_key(self.job_id, shard.index, extension),
            Body=body, Metadata={SHARD_RESULT_METADATA: ShardResult(**fields).to_json()},
        )  # fmt: skip

    def result(self, folder: Path) -> Path:
        """The finished film as a file."""
        manifest = self.manifest
        extension, label = manifest.output.container.value, manifest.output.label
        key = keys.result_key(self.job_id, manifest.source.key, label, extension)
        path = folder / f"result.{extension}"
        path.write_bytes(self.s3.objects[FINAL_BUCKET, key]["data"])
        return path

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.s3.text(FINAL_BUCKET, keys.report_key(self.job_id)))

    def failure(self, stage: Stage) -> Failure:
        return self.read(Failure, keys.failure_key(self.job_id, stage))


def encode_shard(manifest: Manifest, frames: Iterable[VideoFrame]) -> bytes:
    """Encode frames as the manifest says, timestamps counting from 0."""
    encoder, output, colour = manifest.encoder, manifest.output, manifest.result_colour
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=MUXERS[encoder.shard_container]) as out:
        stream: Any = out.add_stream(
            encoder.encoder, rate=manifest.video.frame_rate, options=dict(encoder.options)
        )
        stream.width, stream.height = output.width, output.height
        stream.pix_fmt = encoder.pixel_format
        context = stream.codec_context
        context.time_base = 1 / manifest.video.frame_rate
        context.thread_count = encoder.threads
        context.sample_aspect_ratio = manifest.video.sample_aspect_ratio
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        context.colorspace, context.color_range = colour.matrix, 1 + colour.full_range
        for number, source in enumerate(frames):
            frame = source.reformat(output.width, output.height, encoder.pixel_format)
            frame.pts, frame.time_base, frame.pict_type = number, context.time_base, 0
            frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
            frame.colorspace = colour.matrix
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def _variables(fields: Mapping[str, Any]) -> dict[str, str]:
    return {ENVIRONMENT_PREFIX + name.upper(): str(value) for name, value in fields.items()}
