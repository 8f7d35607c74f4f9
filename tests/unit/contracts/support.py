"""Contracts for tests, drawn by hypothesis."""

from fractions import Fraction

from hypothesis import strategies as st

from contracts import keys, planning
from contracts.base import ObjectRef
from contracts.film.facts import (
    Chapter,
    Colour,
    Sidecar,
    SidecarStream,
    Video,
)
from contracts.film.manifest import (
    Encoder,
    Inference,
    Manifest,
    Output,
)
from contracts.job import (
    HOLDS,
    JOB_ID_PATTERN,
    MAX_QUALITY,
    PIXEL_FORMATS,
    PRESETS,
    PRORES_PROFILES,
    Codec,
    Container,
    Job,
    Settings,
    SourceObject,
)
from contracts.limits import SHARD_SECONDS_MAX, SHARD_SECONDS_MIN
from contracts.messages import (
    ErrorInfo,
    ExecutionInput,
    Failure,
    Notification,
    RegistryRecord,
    StageRequest,
)
from contracts.models import CATALOGUE, Engine, ModelName
from contracts.names import ExitCode, JobStatus, Stage

TEXT = st.text(max_size=60)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
JOB_IDS = st.from_regex(JOB_ID_PATTERN, fullmatch=True)
STAGES = st.sampled_from(Stage)
SIZES = st.integers(0, 2**53)
REFS = st.builds(ObjectRef, bucket=TEXT, key=TEXT, version_id=st.none() | TEXT)
SOURCES = st.builds(
    SourceObject,
    bucket=TEXT,
    key=TEXT.map(keys.upload_key),
    version_id=TEXT,
    etag=TEXT,
    size=SIZES,
)
RATES = st.builds(Fraction, st.integers(1, 240_000), st.sampled_from([1, 1000, 1001]))
FRAMES = st.integers(1, 20_000)


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    codec = draw(st.sampled_from(Codec))
    limit = MAX_QUALITY[codec]
    preset = draw(st.none() | st.sampled_from(PRESETS[codec])) if PRESETS[codec] else None
    formats = [
        f
        for f in PIXEL_FORMATS[codec]
        if codec is not Codec.PRORES or preset in (None, *PRORES_PROFILES[f])
    ]
    containers = [c for c in Container if codec in HOLDS[c]]
    return Settings(
        model=draw(st.sampled_from(ModelName)),
        scale=draw(st.sampled_from([2, 3, 4])),
        codec=codec,
        quality=None if limit is None else draw(st.none() | st.integers(0, limit)),
        preset=preset,
        pixel_format=draw(st.none() | st.sampled_from(formats)),
        container=draw(st.none() | st.sampled_from(containers)),
        shard_seconds=draw(st.none() | st.floats(SHARD_SECONDS_MIN, SHARD_SECONDS_MAX)),
        max_cost=draw(st.none() | st.floats(1e-6, 1e6)),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    frames = draw(st.integers(1, 2_000))
    rate = draw(RATES)
    shards = planning.plan_shards(frames, rate, draw(st.floats(0.04, 60)))
    ref = ObjectRef(bucket="b", key=draw(TEXT))
    colour = Colour(primaries=1, transfer=1, matrix=1, full_range=draw(st.booleans()))
    stream = SidecarStream(
        source_index=1,
        sidecar_index=0,
        kind=draw(st.sampled_from(["audio", "subtitle"])),
        codec="aac",
        time_base=Fraction(1, 48_000),
        packets=draw(SIZES),
        sha256="0" * 64,
        labels=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
    )
    return Manifest(
        job_id=draw(JOB_IDS),
        source=draw(SOURCES),
        format="mov,mp4",
        video=Video(
            stream_index=0,
            codec="h264",
            width=draw(st.integers(1, 8192)),
            height=draw(st.integers(1, 8192)),
            pixel_format="yuv420p",
            bit_depth=8,
            time_base=1 / rate,
            frame_rate=rate,
            sample_aspect_ratio=Fraction(1, 1),
            rotation=0,
            colour=colour,
            working_colour=colour,
            frames=frames,
            start_pts=draw(st.integers(-(2**40), 2**40)),
            end_pts=2**41,
        ),
        timestamps=ref,
        inference=Inference(
            model=ModelName.LANCZOS,
            facts=CATALOGUE[ModelName.LANCZOS],
            scale=2,
            engine=Engine.OPENCV,
            dtype="uint8",
            threads=1,
        ),
        encoder=Encoder(
            codec=Codec.H264,
            encoder="libx264",
            pixel_format="yuv420p",
            options=draw(st.dictionaries(TEXT, TEXT, max_size=3)),
            threads=1,
            shard_container=Container.MP4,
        ),
        output=Output(width=2, height=2, label="2x", container=Container.MP4),
        shards=shards,
        runs=planning.plan_runs(shards, 0.1, draw(st.integers(1, 8))),
        sidecar=Sidecar(
            payload=ref,
            streams=(stream,),
            chapters=(Chapter(start=0, end=5, time_base=Fraction(1, 1000)),),
            metadata=draw(st.dictionaries(TEXT, TEXT, max_size=3)),
        ),
    )


JOBS = st.builds(Job, job_id=JOB_IDS, source=SOURCES, settings=settings(), attempt=st.just(1))
STAGE_REQUESTS = st.builds(StageRequest, job_id=JOB_IDS, stage=STAGES, task_token=TEXT)
FAILURES = st.builds(
    Failure, job_id=JOB_IDS, stage=STAGES, exit_code=st.sampled_from(ExitCode), message=TEXT
)
EXECUTION_INPUTS = st.builds(
    ExecutionInput,
    job_id=JOB_IDS,
    source=SOURCES,
    error=st.none() | st.builds(ErrorInfo, Error=TEXT, Cause=TEXT),
)
NOTIFICATIONS = st.builds(
    Notification,
    job_id=JOB_IDS,
    status=st.sampled_from(JobStatus),
    source=SOURCES,
    error=st.none() | TEXT,
    message=st.none() | TEXT,
    result=st.none() | REFS,
    report=st.none() | REFS,
)
RECORDS = st.builds(
    RegistryRecord,
    job_id=JOB_IDS,
    status=st.sampled_from(JobStatus),
    stage=st.none() | STAGES,
    source=SOURCES,
    result=st.none() | REFS,
    report=st.none() | REFS,
)
