"""What the rooms agree on survives every journey, and what breaks it is refused in one sentence."""

import re
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import keys, planning
from contracts.base import Contract, ContractError, ObjectRef
from contracts.environ import WORKERS, ExtractEnvironment, StageEnvironment, TriggerEnvironment
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
    make_job_id,
)
from contracts.limits import (
    BATCH_ARRAY_MAX,
    BATCH_JOB_NAME_CHARS,
    EXECUTION_NAME_CHARS,
    S3_USER_METADATA_BYTES,
    SHARD_SECONDS_MAX,
    SHARD_SECONDS_MIN,
)
from contracts.manifest import (
    Chapter,
    Colour,
    Encoder,
    Inference,
    Manifest,
    Output,
    Run,
    Shard,
    ShardResult,
    Sidecar,
    SidecarStream,
    Video,
)
from contracts.messages import (
    ErrorInfo,
    ExecutionInput,
    Failure,
    Notification,
    RegistryRecord,
    StageRequest,
)
from contracts.models import CATALOGUE, Engine, ModelName
from contracts.names import (
    SHARD_RESULT_METADATA,
    ExitCode,
    JobStatus,
    Stage,
    batch_job_name,
    parse_batch_job_name,
)

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
CONTRACTS = st.one_of(
    settings(),
    JOBS,
    manifests(),
    STAGE_REQUESTS,
    FAILURES,
    EXECUTION_INPUTS,
    NOTIFICATIONS,
    RECORDS,
)


@given(CONTRACTS)
def test_every_contract_survives_its_json(contract: Contract) -> None:
    assert type(contract).model_validate_json(contract.to_json()) == contract


@given(CONTRACTS)
def test_an_unknown_field_is_refused(contract: Contract) -> None:
    fields = {**contract.model_dump(mode="json"), "surprise": 1}
    with pytest.raises(ValidationError, match="surprise"):
        type(contract).model_validate(fields)


@given(RECORDS)
def test_a_record_survives_the_registry_which_keeps_no_empty_fields(record: RegistryRecord) -> None:
    item = record.model_dump(mode="json", exclude_none=True)
    assert RegistryRecord.from_item({**item, "pk": "x", "sk": "job", "expires_at": 1}) == record


# Settings


@given(settings())
def test_settings_survive_the_metadata_of_an_upload(chosen: Settings) -> None:
    assert Settings.from_metadata(chosen.to_metadata()) == chosen


@given(st.dictionaries(TEXT, TEXT))
def test_metadata_of_other_names_is_the_users_own(metadata: dict[str, str]) -> None:
    own = {k: v for k, v in metadata.items() if not k.startswith("superres-")}
    assert Settings.from_metadata(own) == Settings()


@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.model_fields)).map(lambda f: f.replace("_", "-")) | TEXT,
        TEXT | st.sampled_from(["nan", "inf", "-1", "1e999", "", "4", "h264", "\n"]),
    )
)
def test_any_metadata_gives_settings_or_one_sentence(fields: dict[str, str]) -> None:
    sentence = ""
    try:
        chosen = Settings.from_metadata({"superres-" + k: v for k, v in fields.items()})
    except ContractError as error:
        chosen, sentence = None, str(error)
    if chosen is None:
        assert sentence
        assert sentence.isprintable() or not all(name.isprintable() for name in fields)
    else:
        assert Settings.from_metadata(chosen.to_metadata()) == chosen


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scale": "5"}, "scale: got '5', allowed are 2, 3 and 4"),
        ({"fit": "big"}, "fit: got 'big', give the lines of the result, such as 2160p"),
        ({"fit": "721p"}, "fit: got '721', input should be a multiple of 2"),
        ({"strength": "0"}, "strength: got '0', input should be greater than 0"),
        (
            {"strength": "0.5", "model": "lanczos"},
            "strength has no meaning for lanczos; leave it out",
        ),
        ({"grain": "some"}, "grain: got 'some', allowed are keep, and levels over 0 up to 32"),
        ({"grain": "0"}, "grain: got '0', allowed are keep, and levels over 0 up to 32"),
        (
            {"grain": "keep", "model": "lanczos"},
            "grain needs a network, for lanczos keeps all grain; leave it out",
        ),
        ({"codec": "vp9"}, "codec: got 'vp9', allowed are h264, hevc, av1, prores, ffv1"),
        ({"quality": "52"}, "quality 52: h264 allows 0 to 51"),
        (
            {"codec": "ffv1", "quality": "1"},
            "quality has no meaning for ffv1; leave it out",
        ),
        (
            {"codec": "ffv1", "container": "mp4"},
            "container mp4 cannot hold ffv1; choose mkv",
        ),
        (
            {"codec": "prores", "container": "webm"},
            "container webm cannot hold prores; choose mov, mkv",
        ),
        (
            {"codec": "av1", "pixel_format": "yuv444p"},
            "pixel_format 'yuv444p': av1 allows yuv420p, yuv420p10le",
        ),
        (
            {"codec": "prores", "preset": "hq", "pixel_format": "yuv444p10le"},
            "preset 'hq': yuv444p10le allows 4444, 4444xq",
        ),
        ({"codec": "prores", "quality": "9"}, "quality has no meaning for prores; leave it out"),
        ({"sacle": "2"}, "sacle: is not a known field"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    fields: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ContractError) as refused:
        Settings.parse(fields)
    assert str(refused.value) == sentence


# Names and keys


@given(SOURCES, settings(), st.integers(1, 99))
def test_a_job_id_names_an_execution_and_a_batch_job(
    source: SourceObject, chosen: Settings, attempt: int
) -> None:
    job_id = make_job_id(source, chosen.to_json(), attempt)
    assert re.fullmatch(JOB_ID_PATTERN, job_id)
    assert len(job_id) <= EXECUTION_NAME_CHARS
    assert Job(job_id=job_id, source=source, settings=chosen, attempt=attempt).job_id == job_id
    for stage in Stage:
        name = batch_job_name(job_id, stage)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)
        assert len(name) <= BATCH_JOB_NAME_CHARS
        assert parse_batch_job_name(name) == (job_id, stage)


@given(SOURCES, settings(), settings())
def test_a_job_id_is_of_one_version_settings_and_attempt(
    source: SourceObject, one: Settings, other: Settings
) -> None:
    job_id = make_job_id(source, one.to_json())
    newer = source.model_copy(update={"version_id": source.version_id + "x"})
    assert (job_id == make_job_id(source, other.to_json())) == (one == other)
    assert job_id != make_job_id(newer, one.to_json())
    assert job_id != make_job_id(source, one.to_json(), 2)
    assert job_id == make_job_id(source.model_copy(update={"size": 1}), one.to_json())


@pytest.mark.parametrize("name", ["", "job", "job_", "job_paint", "JOB_extract", "a_b_extract"])
def test_a_batch_job_of_another_owner_has_no_stage(name: str) -> None:
    assert parse_batch_job_name(name) is None


@given(JOB_IDS, STAGES, st.integers(0, BATCH_ARRAY_MAX))
def test_every_key_lies_where_the_policies_say(job_id: str, stage: Stage, number: int) -> None:
    places = {
        keys.job_key(job_id): keys.JOB_FILES,
        keys.manifest_key(job_id): keys.EXTRACT_FILES,
        keys.timestamps_key(job_id): keys.EXTRACT_FILES,
        keys.sidecar_key(job_id): keys.EXTRACT_FILES,
        keys.sidecar_index_key(job_id): keys.EXTRACT_FILES,
        keys.captions_key(job_id): keys.EXTRACT_FILES,
        keys.shard_key(job_id, number, "mp4"): keys.SHARD_FILES,
        keys.progress_key(job_id, number): keys.PROGRESS_FILES,
        keys.stage_result_key(job_id, stage): keys.stage_result_files(stage),
        keys.failure_key(job_id, stage, number): keys.failure_files(stage),
        keys.result_key(job_id, "uploads/film.mov", "2x", "mp4"): keys.RESULT_FILES,
        keys.report_key(job_id): keys.RESULT_FILES,
    }
    assert all(fnmatchcase(key, pattern) for key, pattern in places.items())
    assert len(places) == 12


@given(st.text(min_size=1, max_size=100), st.sampled_from([2, 3, 4]))
def test_the_result_of_any_upload_stays_in_its_jobs_folder(name: str, scale: int) -> None:
    key = keys.result_key("job", keys.upload_key(name), f"{scale}x", "mkv")
    folder, _, last = key.rpartition("/")
    assert folder == "results/job"
    assert last.endswith(f".{scale}x.mkv")
    assert key != keys.report_key("job")


# Planning


@given(FRAMES, RATES, st.floats(SHARD_SECONDS_MIN, SHARD_SECONDS_MAX))
def test_shards_hold_every_frame_once_in_order_and_are_all_but_equal(
    frames: int, rate: Fraction, seconds: float
) -> None:
    shards = planning.plan_shards(frames, rate, seconds)
    assert [s.index for s in shards] == list(range(len(shards)))
    position = 0
    for shard in shards:
        assert shard.first_frame == position
        position += shard.frames
    assert position == frames
    lengths = {shard.frames for shard in shards}
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= max(1, round(seconds * float(rate)))


@given(st.integers(1, 12_000), st.floats(1e-6, 1e4), st.integers(1, 20_000))
def test_runs_hold_every_shard_once_and_keep_all_workers_busy(
    count: int, seconds_per_frame: float, parallelism: int
) -> None:
    shards = tuple(Shard(index=i, first_frame=i, frames=1) for i in range(count))
    runs = planning.plan_runs(shards, seconds_per_frame, parallelism)
    assert [run.index for run in runs] == list(range(len(runs)))
    position = 0
    for run in runs:
        assert run.first_shard == position
        position += run.shards
    assert position == count
    assert min(parallelism, count, BATCH_ARRAY_MAX) <= len(runs) <= BATCH_ARRAY_MAX


@given(st.integers(1, 8192), st.integers(1, 8192), st.sampled_from([2, 3, 4]))
def test_the_result_has_even_sides_and_loses_no_pixel(width: int, height: int, scale: int) -> None:
    for got, side in zip(planning.output_size(width, height, scale), (width, height), strict=True):
        assert got % 2 == 0
        assert 0 <= got - side * scale <= 1


@given(st.floats(0.04, 1e5), st.integers(1, 10_000))
def test_a_shards_length_is_as_asked_or_within_the_limits(film: float, parallelism: int) -> None:
    assert planning.shard_seconds(film, 7.5, parallelism) == 7.5
    chosen = planning.shard_seconds(film, None, parallelism)
    assert SHARD_SECONDS_MIN <= chosen <= SHARD_SECONDS_MAX


@given(FRAMES, st.sampled_from(ModelName), st.integers(1, 100))
def test_time_limits_are_longer_than_the_work(
    frames: int, model: ModelName, parallelism: int
) -> None:
    seconds = planning.frame_seconds(1280, 720, 4, CATALOGUE[model], 100)
    assert planning.process_timeout_seconds(frames, seconds, parallelism) > (
        frames * seconds / parallelism
    )
    assert planning.recompose_timeout_seconds(frames * 1280 * 720 * 16.0) > 0


@given(manifests())
def test_a_manifest_that_does_not_cover_its_film_is_refused(manifest: Manifest) -> None:
    fields = manifest.model_dump()
    for wrong in (
        {"shards": fields["shards"][:-1]},
        {"runs": fields["runs"][:-1]},
        {"shards": [*fields["shards"], fields["shards"][-1]]},
        {"runs": [*fields["runs"], Run(index=len(fields["runs"]), first_shard=0, shards=1)]},
    ):
        with pytest.raises(ValidationError):
            Manifest.model_validate({**fields, **wrong})


@given(manifests())
def test_the_runs_of_a_manifest_name_its_shards_in_order(manifest: Manifest) -> None:
    named = [shard for run in manifest.runs for shard in manifest.shards_of(run)]
    assert tuple(named) == manifest.shards


@given(
    st.builds(
        ShardResult,
        job_id=JOB_IDS,
        index=st.integers(0, 10**6),
        decoded_frames=st.integers(0, 10**6),
        upscaled_frames=st.integers(0, 10**6),
        frames=st.integers(1, 10**6),
        bytes=SIZES,
        sha256=st.just("f" * 64),
        decode_seconds=st.floats(0, 1e6),
        inference_seconds=st.floats(0, 1e6),
        encode_seconds=st.floats(0, 1e6),
        wall_seconds=st.floats(0, 1e6),
        bound_by=st.sampled_from(["decode", "inference", "encode"]),
        device_share=st.floats(0, 1),
        repeated_frames=st.integers(0, 10**6),
        concealed_frames=st.integers(0, 10**6),
        tile=st.integers(0, 10**4),
        peak_memory_mib=st.integers(0, 10**7),
        device_memory_mib=st.integers(0, 10**7),
        device=ASCII,
        engine=st.sampled_from(Engine),
        weights_sha256=st.just("0" * 64),
        versions=st.dictionaries(ASCII.filter(bool), ASCII, max_size=8),
    )
)
def test_a_shards_result_fits_into_the_metadata_of_its_object(result: ShardResult) -> None:
    text = result.to_json()
    assert len(SHARD_RESULT_METADATA) + len(text.encode()) <= S3_USER_METADATA_BYTES
    assert text.isascii()
    assert ShardResult.model_validate_json(text) == result


# Environments

EXTRACT: dict[str, Any] = {
    "stack": "dev",
    "gpus": 0,
    "dollars_per_hour": 0.1,
    "intermediate_bucket": "bucket",
    "worker_gflops": 80.5,
    "worker_parallelism": 4,
    "inference_threads": 2,
    "inference_dtype": "float32",
    "inference_engine": "ncnn",
    "inference_batch": 4,
    "inference_memory_mib": 1024,
    "video_encoders": "software",
    "encoder_threads": 2,
    "decode_memory_mib": 64,
    "decode_cpu_seconds": 60,
    "decode_stall_seconds": 5.5,
    "decode_filter": "required",
    "max_source_bytes": 1,
    "max_frame_pixels": 1,
    "max_output_pixels": 1,
    "max_frames": 1,
    "max_duration_seconds": 1.5,
    "max_streams": 1,
    "max_attachments": 1,
    "max_attachment_bytes": 1,
    "max_chapters": 1,
    "max_extradata_bytes": 1,
    "max_job_dollars": 1.5,
    "worker_dollars_per_hour": 0.4,
    "intermediate_days": 21,
}


def test_what_definition_and_submission_set_is_what_the_worker_reads() -> None:
    variables = {
        **ExtractEnvironment.static_variables(EXTRACT),
        **ExtractEnvironment.submitted_variables({"job_id": "job"}),
    }
    process = {**{k: str(v) for k, v in variables.items()}, "PATH": "/bin", "AWS_REGION": "x"}
    assert ExtractEnvironment.read(process) == ExtractEnvironment(job_id="job", **EXTRACT)


@pytest.mark.parametrize("stage", list(Stage))
def test_a_stage_function_can_set_all_that_its_worker_expects_of_it(stage: Stage) -> None:
    assert WORKERS[stage].submitted_variables({"job_id": "j"}) == {"SUPERRES_JOB_ID": "j"}


def test_a_definition_with_a_missing_or_an_extra_setting_is_refused() -> None:
    values = {k: v for k, v in EXTRACT.items() if k != "max_frames"} | {"job_id": "j"}
    with pytest.raises(ContractError) as refused:
        ExtractEnvironment.static_variables(values)
    assert str(refused.value) == (
        "ExtractEnvironment: missing ['max_frames'], not expected ['job_id']"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"SUPERRES_REGISTRY_TABLE": None},
            "environment: SUPERRES_REGISTRY_TABLE: is missing",
        ),
        (
            {"SUPERRES_TABLE": "t"},
            "environment: SUPERRES_TABLE: is not a known field",
        ),
    ],
)
def test_a_process_with_a_missing_or_unknown_variable_says_which(
    change: dict[str, str | None], sentence: str
) -> None:
    good = {
        "SUPERRES_STATE_MACHINE_ARN": "arn",
        "SUPERRES_INTERMEDIATE_BUCKET": "bucket",
        "SUPERRES_REGISTRY_TABLE": "table",
    }
    process = {k: v for k, v in (good | change).items() if v is not None}
    with pytest.raises(ContractError) as refused:
        TriggerEnvironment.read(process)
    assert str(refused.value) == sentence


def test_a_variable_of_the_wrong_kind_is_named_with_its_value() -> None:
    with pytest.raises(ContractError, match=r"SUPERRES_STAGE: got 'paint'"):
        StageEnvironment.read(
            {
                "SUPERRES_STAGE": "paint",
                "SUPERRES_JOB_QUEUE": "q",
                "SUPERRES_JOB_DEFINITION": "d",
                "SUPERRES_REGISTRY_TABLE": "t",
            }
        )
