"""The messages that topics, queues, task tokens and events carry."""

from typing import Any, Self

from pydantic import Field, ValidationError

from contracts.base import Contract, ContractError, ObjectRef, Versioned, explain
from contracts.job import JOB_ID_PATTERN, SourceObject
from contracts.names import JobStatus, Stage

JobId = Field(pattern=f"^{JOB_ID_PATTERN}$")


class ErrorInfo(Contract):
    """An error as Step Functions passes it to a Catch, hence the capital letters."""

    Error: str
    Cause: str


class ExecutionInput(Versioned):
    """Input of the state machine. With `error`, the job was refused: notify, then fail."""

    job_id: str = JobId
    source: SourceObject
    error: ErrorInfo | None = None


class StageRequest(Versioned):
    """From the workflow to the stage function, through topic and queue."""

    job_id: str = JobId
    stage: Stage
    task_token: str
    array_size: int = Field(default=1, ge=1)
    """Children to start; 1 is a plain job."""

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read a message's body. Raises ContractError."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise ContractError("stage request: " + explain(error)) from error


class ExtractResult(Versioned):
    """Output of the extract stage; stored as the stage's result, then in the workflow's state."""

    job_id: str = JobId
    frames: int
    shards: int
    runs: int
    process_timeout_seconds: int
    recompose_timeout_seconds: int


class ProcessResult(Versioned):
    """Output of the process stage."""

    job_id: str = JobId
    runs: int


class RecomposeResult(Versioned):
    """Output of the recompose stage."""

    job_id: str = JobId
    result: ObjectRef
    report: ObjectRef
    frames: int
    bytes: int
    remarks: tuple[str, ...] = ()


class Failure(Versioned):
    """Why a worker gave up; it writes this before it exits with `exit_code`."""

    job_id: str = JobId
    stage: Stage
    run: int = 0
    exit_code: int
    error: str
    message: str
    """One sentence for the person who sent the film."""


class Notification(Versioned):
    """From the workflow to the completion function: a job has ended."""

    job_id: str = JobId
    status: JobStatus
    source: SourceObject
    error: str | None = None
    message: str | None = None
    result: ObjectRef | None = None
    report: ObjectRef | None = None
    remarks: tuple[str, ...] = ()
    """What is worth knowing about the result, one sentence each (contracts/film/remarks.py)."""

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read a message's body. Raises ContractError."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise ContractError("notification: " + explain(error)) from error


class RegistryRecord(Versioned):
    """A job's record in the job table. Key: (pk, sk) = (job_id, "job")."""

    job_id: str = JobId
    status: JobStatus
    stage: Stage | None = None
    source: SourceObject
    execution_arn: str = ""
    created_at: str
    """ISO 8601, UTC."""
    updated_at: str
    error: str | None = None
    message: str | None = None
    result: ObjectRef | None = None
    report: ObjectRef | None = None

    @classmethod
    def from_item(cls, item: dict[str, Any]) -> Self:
        """Read a DynamoDB item in resource form; its keys and TTL are not part of the record."""
        fields = {k: v for k, v in item.items() if k not in REGISTRY_KEYS}
        return cls.model_validate(fields)


REGISTRY_PARTITION_KEY = "pk"
REGISTRY_SORT_KEY = "sk"
REGISTRY_TTL = "expires_at"
REGISTRY_OPEN = "open_jobs"
"""Only running jobs have this attribute, so that its index, by age, holds only them."""
REGISTRY_OPEN_SINCE = "created_at"
REGISTRY_OPEN_INDEX = "open-jobs"
REGISTRY_KEYS = frozenset({REGISTRY_PARTITION_KEY, REGISTRY_SORT_KEY, REGISTRY_TTL, REGISTRY_OPEN})
REGISTRY_JOB_SORT = "job"


def registry_stage_sort(stage: Stage) -> str:
    """Sort key of a stage's record.

    The record holds batch_job_name, batch_job_id, task_tokens (all that asked for the stage),
    served_tokens (those that batch_job_id answers), claimed_at (when a function last took it up)
    and, while a function works on it, lease_until.
    """
    return f"stage#{stage.value}"
