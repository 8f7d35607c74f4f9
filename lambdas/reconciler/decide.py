"""What a running job needs that no event brought about. Pure.

Every decision looks only at how things stand, so that it may be taken again after any death.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.messages import Notification, RegistryRecord
from contracts.names import (
    JOB_LOST_ERROR,
    NOT_STARTED_ERROR,
    NOT_SUBMITTED_ERROR,
    JobStatus,
    Stage,
)
from lambdas.common.endings import notification
from lambdas.common.outcomes import Failed
from lambdas.common.values import BatchJob, Execution, JobRecords, StageRecord

TOLD_GRACE = timedelta(minutes=2)
"""How long the news of an execution's end may be on its way."""
SUBMIT_GRACE = timedelta(minutes=30)
"""Without a new delivery for so long, a request is in the dead letters: five queue visibility
timeouts. Then nothing but this rule answers its token before the stage's time limit."""
START_GRACE = timedelta(hours=7)
"""Longer than Lambda keeps an upload's event for another try (six hours)."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The stage whose token may wait for an answer: the last that was asked for, since each is
    asked for only when the one before it was answered."""

    stage: Stage
    record: StageRecord

    @property
    def batch_job_id(self) -> str | None:
        """Of the job that serves every token; None where one must be looked for by its name."""
        served = self.record.task_tokens <= self.record.served_tokens
        return self.record.batch_job_id if served else None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Tell the stage's tokens how this job ended, or why there is none."""

    waiting: Waiting
    end: BatchJob | Failed


@dataclass(frozen=True, kw_only=True)
class Tell:
    """Tell people how the job ended, and end what it left."""

    notification: Notification


Repair = Answer | Tell


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A running job as registry and workflow have it; `execution` is None where there is none."""

    records: JobRecords
    execution: Execution | None

    @property
    def job_id(self) -> str:
        return self.records.job.job_id

    @property
    def waiting(self) -> Waiting | None:
        """None where no stage can be waiting."""
        if self.execution is None or self.execution.ended:
            return None
        asked = [stage for stage in Stage if stage in self.records.stages]
        return Waiting(stage=asked[-1], record=self.records.stages[asked[-1]]) if asked else None


def serving(record: StageRecord, named: Sequence[BatchJob]) -> BatchJob | None:
    """The job that will answer tokens which no job was recorded for: the newest of the name,
    unless it is one that had ended before they came. `lambdas.stage` will come to the same."""
    newest = max(named, key=lambda job: job.created_at, default=None)
    if newest is None or (newest.terminal and newest.job_id == record.batch_job_id):
        return None
    return newest


def due(seen: Seen, job: BatchJob | None, now: datetime) -> Repair | None:
    """`job` is the Batch job that serves the waiting stage."""
    if seen.execution is None:
        return _never_started(seen.records.job, now)
    if seen.execution.ended:
        return _ended(seen.records.job, seen.execution, now)
    return None if seen.waiting is None else _running(seen.waiting, job, now)


def _never_started(job: RegistryRecord, now: datetime) -> Tell | None:
    if now - datetime.fromisoformat(job.created_at) < START_GRACE:
        return None
    news = Notification(
        job_id=job.job_id,
        status=JobStatus.FAILED,
        source=job.source,
        error=NOT_STARTED_ERROR,
        message="The film was received, but its job could not be started.",
    )
    return Tell(notification=news)


def _ended(job: RegistryRecord, execution: Execution, now: datetime) -> Tell | None:
    if now - (execution.stopped_at or now) < TOLD_GRACE:
        return None
    return Tell(notification=notification(job.job_id, job.source, execution))


def _running(waiting: Waiting, job: BatchJob | None, now: datetime) -> Answer | None:
    if job is not None:
        return Answer(waiting=waiting, end=job) if job.terminal else None
    if now.timestamp() - waiting.record.claimed_at / 1000 < SUBMIT_GRACE.total_seconds():
        return None
    return Answer(waiting=waiting, end=_lost(waiting))


def _lost(waiting: Waiting) -> Failed:
    name = waiting.stage.value
    if waiting.batch_job_id is None:
        return Failed(error=NOT_SUBMITTED_ERROR, cause=f"The {name} job could not be submitted.")
    return Failed(error=JOB_LOST_ERROR, cause=f"AWS Batch has lost the {name} job.")


def oldest_wait(jobs: Sequence[BatchJob], now: datetime) -> float:
    """Seconds that the job which waits longest has been waiting for capacity; 0 for none."""
    moments = [job.waiting_since for job in jobs if job.waiting_since is not None]
    return max(0.0, now.timestamp() - min(moments) / 1000) if moments else 0.0
