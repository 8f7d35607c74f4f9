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
from lambdas.common.values import BatchJob, StoredObject

EARLY_END = "Ended early: "
"""Begins the reason given to an array's children when we end it: they are not its cause."""
FAILURES_READ = 100
"""How many failure records are read before Batch's own reason must do."""


@dataclass(frozen=True, kw_only=True)
class StageSucceeded:
    output: str
    """JSON."""


@dataclass(frozen=True, kw_only=True)
class StageFailed:
    error: str
    cause: str


def result_of(
    stage: Stage, job_id: str, job: BatchJob, stored: bytes | None
) -> StageSucceeded | StageFailed:
    """The stage's output. `stored` is its result object; `process` has none."""
    if stage is Stage.PROCESS:
        return StageSucceeded(
            output=ProcessResult(job_id=job_id, runs=job.array_size or 1).to_json()
        )
    contract = ExtractResult if stage is Stage.EXTRACT else RecomposeResult
    try:
        output = contract.model_validate_json(stored or b"").to_json()
    except ValidationError as error:
        problem = explain(error) if stored else "it cannot be found"
        return make_failure(
            JOB_FAILED_ERROR, f"The {stage.value} job left no usable result: {problem}."
        )
    if len(output.encode()) > STATE_PAYLOAD_BYTES:
        return make_failure(
            JOB_FAILED_ERROR,
            f"The {stage.value} job's result is larger than {STATE_PAYLOAD_BYTES} bytes.",
        )
    return StageSucceeded(output=output)


def failure_keys(
    stage: Stage, job_id: str, job: BatchJob, listed: Iterable[StoredObject]
) -> list[str]:
    """Keys of this job's failure records, in the order to read them.

    First comes the run that ended the array, then the others by age: after the first failure the
    other children were only stopped. Records older than the job are from an earlier attempt.
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
    """None if the record is gone or is not valid; a failing worker cannot be relied on."""
    try:
        return Failure.model_validate_json(stored or b"")
    except ValidationError:
        return None


def failure_of(stage: Stage, job: BatchJob, records: Iterable[Failure | None]) -> StageFailed:
    """The error to report. `records` come in reading order, and are read no further than needed.

    The first record of a worker that gave up for good decides. Failing that, the first of one that
    ran out of attempts; failing that, Batch's own reason, since a worker that was only interrupted
    does not know why.
    """
    exhausted: Failure | None = None
    for record in records:
        if record is None:
            continue
        if record.exit_code not in RETRY_EXIT_CODES:
            return make_failure(record.error, record.message)
        if record.exit_code == ExitCode.TRANSIENT:
            exhausted = exhausted or record
    if exhausted is not None:
        return make_failure(exhausted.error, exhausted.message)
    return make_failure(JOB_FAILED_ERROR, f"The {stage.value} job failed: {job.why}.")


def make_failure(error: str, cause: str) -> StageFailed:
    return StageFailed(error=error[:TASK_ERROR_CHARS], cause=cause[:TASK_CAUSE_CHARS])
