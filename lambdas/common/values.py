"""What adapters, decisions and handlers pass to each other; no AWS client is known here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.messages import RegistryRecord
from contracts.names import Stage

TERMINAL = frozenset({"SUCCEEDED", "FAILED"})


class BusyError(RuntimeError):
    """Another delivery of the same message is at work; deliver this one again later."""


@dataclass(frozen=True, kw_only=True)
class ObjectHead:
    """One version of an S3 object: size in bytes, etag without quotes, user metadata."""

    size: int
    etag: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An S3 object in a listing; `modified` has whole seconds only."""

    key: str
    modified: datetime


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """A Batch job (plain, array parent or array child) as Batch describes it."""

    job_id: str
    name: str
    status: str
    created_at: int = 0
    """Milliseconds since the epoch."""
    status_reason: str = ""
    exit_code: int | None = None
    container_reason: str = ""
    array_size: int | None = None
    """Children of an array's parent, else None."""
    ending: bool = False
    """It was terminated or cancelled already."""
    waiting_since: int | None = None
    """Milliseconds since the epoch, while the whole job waits for capacity."""

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def why(self) -> str:
        """All that Batch says about how the job ended, in one phrase."""
        code = "" if self.exit_code is None else f"exit code {self.exit_code}"
        parts = (self.status_reason, self.container_reason, code)
        return "; ".join(part for part in parts if part) or "no reason given"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What the registry holds of one stage of one job."""

    task_tokens: frozenset[str] = frozenset()
    """Every token that asked for this stage. There is more than one if Step Functions published
    again after an error, or was redriven; all are answered, and only the live one takes it."""
    served_tokens: frozenset[str] = frozenset()
    """Tokens for which `batch_job_id` was recorded."""
    batch_job_id: str | None = None
    submitting: bool = False
    """A stage function holds the lease for submitting the job, or died holding it."""
    claimed_at: int = 0
    """When a stage function last took up the request, in milliseconds since the epoch."""


@dataclass(frozen=True, kw_only=True)
class JobRecords:
    """All that the registry holds of one job."""

    job: RegistryRecord
    stages: Mapping[Stage, StageRecord]


ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})


@dataclass(frozen=True, kw_only=True)
class WorkflowExecution:
    """An execution of the workflow as Step Functions describes it."""

    status: str
    input: str = ""
    """JSON, as the two below."""
    output: str = ""
    error: str = ""
    cause: str = ""
    stopped_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED
