"""What the end of a Batch job means to the workflow. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.base import explain
from contracts.keys import failure_key
from contracts.limits import STATE_PAYLOAD_BYTES, TASK_CAUSE_CHARS, TASK_ERROR_CHARS
from contracts.messages import ExtractResult, Failure, ProcessResult, RecomposeResult
from contracts.names import JOB_FAILED_ERROR, RETRY_EXIT_CODES, ExitCode, Stage
from lambdas.common.values import BatchJob, StageRecord, StoredObject

EARLY_END = "Ended early: "
"""Starts the reason that children of an array get when we end it, and so tells them from causes."""
FAILURES_READ = 100
"""Failure records looked at before the job's own reason must do."""


@dataclass(frozen=True, kw_only=True)
class Succeeded:
    output: str
    """JSON."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    error: str
    cause: str


def speaks_for(record: StageRecord, job: BatchJob) -> bool:
    """Is this the job that the stage waits for, and not an earlier one of the same name?"""
    return record.submitting or record.batch_job_id == job.job_id


def result_of(stage: Stage, job_id: str, job: BatchJob, stored: bytes | None) -> Succeeded | Failed:
    """The stage's output. `stored` is its result object, which `process` does not have."""
    if stage is Stage.PROCESS:
        return Succeeded(output=ProcessResult(job_id=job_id, runs=job.array_size or 1).to_json())
    contract = ExtractResult if stage is Stage.EXTRACT else RecomposeResult
    try:
        output = contract.model_validate_json(stored or b"").to_json()
    except ValidationError as error:
        problem = explain(error) if stored else "it cannot be found"
        return failed(JOB_FAILED_ERROR, f"The {stage.value} job left no usable result: {problem}.")
    if len(output.encode()) > STATE_PAYLOAD_BYTES:
        return failed(
            JOB_FAILED_ERROR,
            f"The {stage.value} job's result is larger than {STATE_PAYLOAD_BYTES} bytes.",
        )
    return Succeeded(output=output)


def failure_keys(
    stage: Stage, job_id: str, job: BatchJob, listed: Iterable[StoredObject]
) -> list[str]:
    """Failure records of this job in the order to read them.

    First that of the run which ended the array, then by age, for after the first failure the other
    children are only told to stop. Records older than the job are of an earlier attempt.
    """
    named = re.match(re.escape(EARLY_END) + r"run (\d+) ", job.status_reason)
    culprit = failure_key(job_id, stage, int(named[1])) if named else ""
    ours = [
        item
        for item in listed
        if item.modified.timestamp() + 1 > job.created_at / 1000  # listings know whole seconds
    ]
    ours.sort(key=lambda item: (item.key != culprit, item.modified, item.key))
    return [item.key for item in ours[:FAILURES_READ]]


def parse_failure(stored: bytes | None) -> Failure | None:
    """None where the record is gone or is not one; a failing worker is not to be relied on."""
    try:
        return Failure.model_validate_json(stored or b"")
    except ValidationError:
        return None


def failure_of(stage: Stage, job: BatchJob, records: Iterable[Failure | None]) -> Failed:
    """The sentence to tell. `records` come in reading order and are read no further than needed.

    The first record of a worker that gave up for good decides. Failing that, the first of one that
    ran out of attempts; failing that, Batch's own reason, for a worker that was only interrupted
    does not know why.
    """
    tired: Failure | None = None
    for record in records:
        if record is None:
            continue
        if record.exit_code not in RETRY_EXIT_CODES:
            return failed(record.error, record.message)
        if record.exit_code == ExitCode.TRANSIENT:
            tired = tired or record
    if tired is not None:
        return failed(tired.error, tired.message)
    return failed(JOB_FAILED_ERROR, f"The {stage.value} job failed: {job.why}.")


def failed(error: str, cause: str) -> Failed:
    return Failed(error=error[:TASK_ERROR_CHARS], cause=cause[:TASK_CAUSE_CHARS])
