"""Names that more than one room uses: stages, statuses, exit codes, errors, metrics, Batch jobs."""

import re
from enum import IntEnum, StrEnum

from contracts.limits import BATCH_JOB_NAME_CHARS

PROJECT = "superres"
METRIC_NAMESPACE = "Superres"
ENVIRONMENT_PREFIX = "SUPERRES_"
METADATA_PREFIX = "superres-"
"""S3 user metadata of an upload that sets the job, such as `superres-scale: 4`."""
SHARD_RESULT_METADATA = "superres-result"
LOSSLESS_SHARD_METADATA = "superres-holds"
STATUS_ATTRIBUTE = "status"
"""Message attribute of the e-mail about a job: its JobStatus, by which subscriptions filter."""


class Stage(StrEnum):
    """The stages that run as AWS Batch jobs, in order."""

    EXTRACT = "extract"
    PROCESS = "process"
    RECOMPOSE = "recompose"


class JobStatus(StrEnum):
    """A job's status in the job table."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    """Somebody stopped the execution."""
    TIMED_OUT = "TIMED_OUT"
    """The whole job took longer than any job may; a stage's own time limit makes it FAILED."""

    @property
    def final(self) -> bool:
        return self is not JobStatus.RUNNING


class ExitCode(IntEnum):
    """Why a worker ended. From 60 to 69 the same input would fail again: Batch must not retry.

    The numbers follow sysexits(3) where it has one.
    """

    OK = 0
    CRASH = 1
    BAD_REQUEST = 64
    BAD_SOURCE = 65
    SOURCE_MISSING = 66
    LIMIT_EXCEEDED = 67
    LEDGER_MISMATCH = 68
    UNSUPPORTED = 69
    TRANSIENT = 75
    INTERRUPTED = 143

    @property
    def error(self) -> str:
        """Its name in Step Functions and in notifications, such as Superres.BadSource."""
        return error_name(self.name)


def error_name(name: str) -> str:
    """From BAD_SOURCE to Superres.BadSource."""
    return "Superres." + "".join(part.capitalize() for part in name.split("_"))


REJECTED_ERROR = error_name("REJECTED")
"""The trigger refused the job's settings; nothing was started."""
JOB_FAILED_ERROR = error_name("JOB_FAILED")
"""A Batch job failed and left no failure record (host lost, image missing, time limit)."""
JOB_LOST_ERROR = error_name("JOB_LOST")
"""Batch no longer knows the job that a stage waits for."""
NOT_SUBMITTED_ERROR = error_name("NOT_SUBMITTED")
"""A stage was asked for, but no function could submit its job."""
NOT_STARTED_ERROR = error_name("NOT_STARTED")
"""The upload was recorded, but its execution never started."""
CANCELLED_ERROR = error_name("CANCELLED")
JOB_TIMED_OUT_ERROR = error_name("JOB_TIMED_OUT")
"""The whole job, not one of its stages, took longer than any job may."""

RETRY_EXIT_CODES = (ExitCode.TRANSIENT, ExitCode.INTERRUPTED)


class Metric(StrEnum):
    """Metrics that our code emits in embedded metric format; `stack.metrics` has their facts.

    First the functions' counts, then the reconciler's gauges, then the workers' measurements.
    """

    JOBS_STARTED = "JobsStarted"
    JOBS_REJECTED = "JobsRejected"
    JOBS_SUCCEEDED = "JobsSucceeded"
    JOBS_FAILED = "JobsFailed"
    JOBS_CANCELLED = "JobsCancelled"
    STAGE_SUBMITTED = "StageSubmitted"
    STAGE_SUCCEEDED = "StageSucceeded"
    STAGE_FAILED = "StageFailed"
    REPAIRED = "Repaired"
    """The reconciler did what an event should have done."""
    RUNNING_JOBS = "RunningJobs"
    RUNNABLE_AGE_SECONDS = "RunnableAgeSeconds"
    """How long a stage's oldest Batch job has been waiting for capacity; 0 for none."""
    WORKER_ATTEMPTS = "WorkerAttempts"
    WORKER_RETRIES = "WorkerRetries"
    """Attempts after a job's first."""
    WORKER_FAILURES = "WorkerFailures"
    WORKER_INTERRUPTIONS = "WorkerInterruptions"
    """SIGTERM: Spot wants its instance back, or somebody ended the job or its time limit did."""
    WORKER_SECONDS = "WorkerSeconds"
    """From a worker's start to its end; without its image's download and idle instances."""
    GPU_SECONDS = "GpuSeconds"
    ESTIMATED_DOLLARS = "EstimatedDollars"
    """US dollars: a worker's seconds at the stack's price for such a worker."""
    SHARDS_COMMITTED = "ShardsCommitted"
    FRAMES = "Frames"
    FRAMES_PER_SECOND = "FramesPerSecond"
    """Of one worker, measured for each shard."""


def execution_arn(state_machine_arn: str, job_id: str) -> str:
    """The ARN of a job's execution, which is named after the job."""
    return state_machine_arn.replace(":stateMachine:", ":execution:", 1) + ":" + job_id


_BATCH_JOB_NAME = re.compile(r"([a-z0-9][a-z0-9-]*)_([a-z]+)")


def batch_job_name(job_id: str, stage: Stage) -> str:
    """The deterministic name of a Batch job, which makes our SubmitJob idempotent.

    Raises ValueError for a job id that is too long.
    """
    name = f"{job_id}_{stage.value}"
    if len(name) > BATCH_JOB_NAME_CHARS:
        raise ValueError(f"Batch job name {name!r} is longer than {BATCH_JOB_NAME_CHARS}")
    return name


def parse_batch_job_name(name: str) -> tuple[str, Stage] | None:
    """(job id, stage), or None for a name that is not ours."""
    match = _BATCH_JOB_NAME.fullmatch(name)
    if match is None or match[2] not in list(Stage):
        return None
    return match[1], Stage(match[2])
