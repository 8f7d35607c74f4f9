"""What components set is what workloads read, or the difference is named."""

from typing import Any

import pytest

from contracts.base import ContractError
from contracts.names import Stage
from contracts.stack.environ import (
    WORKERS,
    ExtractEnvironment,
    StageEnvironment,
    TriggerEnvironment,
)

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
