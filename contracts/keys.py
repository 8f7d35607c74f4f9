"""The S3 layout: functions that build and parse every key.

IAM policies and lifecycle rules use the patterns, workers and Lambdas the builders, so that no
grant can name a place where nothing is written.

    source        uploads/...                                   what users drop
                  models/<sha256>.{json,safetensors}            users' models, facts and weights
    intermediate  jobs/<job>/job.json                           the accepted job
                  jobs/<job>/extract/{manifest.json,timestamps.npy,fields.npz}
                  jobs/<job>/extract/{sidecar.mkv,sidecar.npz,captions.npz}
                  jobs/<job>/extract/lossless/<index>.mkv       only where the mode is shards
                  jobs/<job>/extract/frames/<index>_<time>s.png only where the mode is frames
                  jobs/<job>/shards/<index>.<mp4|mkv>           committed once, If-None-Match
                  jobs/<job>/progress/<run>.json                frames done, overwritten
                  jobs/<job>/results/<stage>.json               a stage's result
                  jobs/<job>/failures/<stage>-<run>.json        why a worker gave up
    final         results/<job>/<stem>.<label>.<mp4|mkv>, results/<job>/report.json
"""

import re
from pathlib import PurePosixPath

from contracts.names import Stage

UPLOADS = "uploads/"
MODELS = "models/"
JOBS = "jobs/"
RESULTS = "results/"

MODEL_FACTS = MODELS + "*.json"
MODEL_WEIGHTS = MODELS + "*.safetensors"
STORED_MODEL_PATTERN = rf"{MODELS}[0-9a-f]{{64}}"
LONGEST_EXTENSION = "webm"
"""Of a result; extract decides which it gets."""

JOB_FILES = JOBS + "*/job.json"
EXTRACT_FILES = JOBS + "*/extract/*"
LOSSLESS_FILES = JOBS + "*/extract/lossless/*"
FRAME_FILES = JOBS + "*/extract/frames/*"
SHARD_FILES = JOBS + "*/shards/*"
PROGRESS_FILES = JOBS + "*/progress/*"
RESULT_FILES = RESULTS + "*"


def stage_result_files(stage: Stage) -> str:
    """IAM pattern of a stage's result."""
    return f"{JOBS}*/results/{stage.value}.json"


def failure_files(stage: Stage) -> str:
    """IAM pattern of a stage's failure records.

    There is no folder named after the stage: IAM's * matches slashes too, so that
    `jobs/*/extract/*` would reach into it.
    """
    return f"{JOBS}*/failures/{stage.value}-*"


def upload_key(name: str) -> str:
    """Key of an upload, from its file name, which may hold anything that S3 takes."""
    return UPLOADS + name


def stored_model(sha256: str) -> str:
    """The name of a user's model in settings, by the SHA-256 of its weights."""
    return MODELS + sha256


def parse_stored_model(name: str) -> str | None:
    """The SHA-256 in a model's name or in either of its keys; None for anything else."""
    stem = name.removesuffix(".json").removesuffix(".safetensors")
    return stem.removeprefix(MODELS) if re.fullmatch(STORED_MODEL_PATTERN, stem) else None


def model_facts_key(sha256: str) -> str:
    return f"{stored_model(sha256)}.json"


def model_weights_key(sha256: str) -> str:
    return f"{stored_model(sha256)}.safetensors"


def job_key(job_id: str) -> str:
    return f"{JOBS}{job_id}/job.json"


def manifest_key(job_id: str) -> str:
    return f"{JOBS}{job_id}/extract/manifest.json"


def timestamps_key(job_id: str) -> str:
    """The sorted presentation timestamps of all frames: .npy, int64, shape (frames,)."""
    return f"{JOBS}{job_id}/extract/timestamps.npy"


def fields_key(job_id: str) -> str:
    """Which coded frames make up which frames of a telecined film: .npz."""
    return f"{JOBS}{job_id}/extract/fields.npz"


def lossless_shard_key(job_id: str, index: int) -> str:
    """A shard's pictures before the model, where ranged reads of the source cost too much."""
    return f"{JOBS}{job_id}/extract/lossless/{index:06d}.mkv"


def frames_prefix(job_id: str) -> str:
    """Prefix of the exported pictures, one for each frame."""
    return f"{JOBS}{job_id}/extract/frames/"


def frame_key(job_id: str, frame: int, seconds: float) -> str:
    """An exported picture by its number in the film and the time at which it is shown."""
    return f"{frames_prefix(job_id)}{frame:08d}_{seconds:.6f}s.png"


def sidecar_key(job_id: str) -> str:
    """The payload of everything but the video, as Matroska."""
    return f"{JOBS}{job_id}/extract/sidecar.mkv"


def sidecar_index_key(job_id: str) -> str:
    """Exact packet timestamps of the sidecar's streams: .npz."""
    return f"{JOBS}{job_id}/extract/sidecar.npz"


def captions_key(job_id: str) -> str:
    """Captions within the source's pictures: .npz."""
    return f"{JOBS}{job_id}/extract/captions.npz"


def shards_prefix(job_id: str) -> str:
    return f"{JOBS}{job_id}/shards/"


def shard_key(job_id: str, index: int, extension: str) -> str:
    return f"{shards_prefix(job_id)}{index:06d}.{extension}"


def progress_prefix(job_id: str) -> str:
    return f"{JOBS}{job_id}/progress/"


def progress_key(job_id: str, run: int, child: int = 0) -> str:
    """Key of a run's progress; each child of a worker with several devices has its own."""
    return f"{progress_prefix(job_id)}{run:05d}{f'-{child}' if child else ''}.json"


def stage_result_key(job_id: str, stage: Stage) -> str:
    return f"{JOBS}{job_id}/results/{stage.value}.json"


def failures_prefix(job_id: str, stage: Stage) -> str:
    return f"{JOBS}{job_id}/failures/{stage.value}-"


def failure_key(job_id: str, stage: Stage, run: int = 0) -> str:
    return f"{failures_prefix(job_id, stage)}{run:05d}.json"


def result_key(job_id: str, source_key: str, label: str, extension: str) -> str:
    """Key of the result; it keeps the upload's stem: `film.4x.mp4`, `film.2160p.mp4`."""
    stem = PurePosixPath(source_key).stem or "video"
    return f"{RESULTS}{job_id}/{stem}.{label}.{extension}"


def report_key(job_id: str) -> str:
    return f"{RESULTS}{job_id}/report.json"
