"""What the emulated Batch knows of a job. Times are milliseconds since the epoch, as in the API."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """https://docs.aws.amazon.com/batch/latest/userguide/job_states.html"""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def final(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED)

    @property
    def waiting(self) -> bool:
        """Not yet handed to a host: CancelJob still reaches it."""
        return self in (Status.SUBMITTED, Status.PENDING, Status.RUNNABLE)


class BatchError(Exception):
    """A request that AWS answers with ClientException; the text is one sentence."""


@dataclass(frozen=True)
class ExitRule:
    """One evaluateOnExit entry; None for a condition that was not given."""

    retry: bool
    on_status_reason: str | None = None
    on_reason: str | None = None
    on_exit_code: str | None = None


@dataclass(frozen=True)
class AttemptOutcome:
    """How one attempt ended."""

    exit_code: int | None
    status_reason: str
    reason: str | None = None
    retryable: bool = True
    """False where AWS never retries: timed out, terminated."""


@dataclass
class Attempt:
    started_at: int
    log_stream: str
    stopped_at: int | None = None
    outcome: AttemptOutcome | None = None


@dataclass(frozen=True)
class SubmittedJob:
    """What was requested: job definition and overrides merged. An array's children share it."""

    name: str
    queue: str
    """ARN."""
    definition: str
    """ARN with revision."""
    container: dict[str, Any]
    """Container properties in the form of DescribeJobs."""
    vcpus: float
    attempts: int
    exit_rules: tuple[ExitRule, ...]
    timeout_seconds: int | None
    size: int | None
    """Children; None for a plain job."""
    described: dict[str, Any]
    """Further fields that DescribeJobs repeats: retryStrategy, timeout, tags, ..."""

    @property
    def command(self) -> list[str]:
        return self.container["command"]

    @property
    def environment(self) -> dict[str, str]:
        return {pair["name"]: pair["value"] for pair in self.container.get("environment", [])}


@dataclass
class EmulatedJob:
    """A plain job, an array's parent (`children`) or one of its children (`parent`)."""

    id: str
    arn: str
    spec: SubmittedJob
    created_at: int
    sequence: int
    """Order of submission, for listings."""
    parent: "EmulatedJob | None" = None
    index: int | None = None
    children: "list[EmulatedJob]" = field(default_factory=list)
    waits_for: set[str] = field(default_factory=set)
    """Ids of the jobs that must succeed first."""
    status: Status = Status.SUBMITTED
    status_reason: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    cancelled: bool = False
    terminated: bool = False
    summary: Counter[Status] = field(default_factory=Counter)
    """Children by status."""

    @property
    def is_array(self) -> bool:
        return self.spec.size is not None and self.parent is None
