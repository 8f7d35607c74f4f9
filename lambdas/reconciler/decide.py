"""What a running job needs because an event was lost. Pure.

Every decision depends only on the present state, so that it may be repeated after any death.
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
from lambdas.common.endings import make_notification
from lambdas.common.outcomes import StageFailed
from lambdas.common.values import BatchJob, JobRecords, StageRecord, WorkflowExecution

NOTIFY_GRACE = timedelta(minutes=2)
"""How long the notification of an execution's end may take."""
SUBMIT_GRACE = timedelta(minutes=30)
"""A request without a new delivery for so long (five visibility timeouts of its queue) is in the
dead letters. Only this rule then answers its token before the stage's time limit."""
START_GRACE = timedelta(hours=7)
"""Longer than Lambda keeps an upload's event for another try (six hours)."""


@dataclass(frozen=True, kw_only=True)
class WaitingStage:
    """The stage whose token may wait for an answer: the last one requested, since each is requested
    only after the one before it was answered."""

    stage: Stage
    record: StageRecord

    @property
    def batch_job_id(self) -> str | None:
        """Of the job that serves every token; None if the job must be looked for by its name."""
        served = self.record.task_tokens <= self.record.served_tokens
        return self.record.batch_job_id if served else None


@dataclass(frozen=True, kw_only=True)
class AnswerStage:
    """Answer the stage's tokens with how this job ended, or why there is none."""

    waiting: WaitingStage
    end: BatchJob | StageFailed


@dataclass(frozen=True, kw_only=True)
class NotifyPeople:
    """Notify people of how the job ended, and end the work that it left."""

    notification: Notification


Repair = AnswerStage | NotifyPeople


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A running job as registry and workflow have it; `execution` is None if there is none."""

    records: JobRecords
    execution: WorkflowExecution | None

    @property
    def job_id(self) -> str:
        return self.records.job.job_id

    @property
    def waiting(self) -> WaitingStage | None:
        """None if no stage can be waiting."""
        if self.execution is None or self.execution.ended:
            return None
        asked = [stage for stage in Stage if stage in self.records.stages]
        return (
            WaitingStage(stage=asked[-1], record=self.records.stages[asked[-1]]) if asked else None
        )


def choose_repair(job: RunningJob, batch_job: BatchJob | None, now: datetime) -> Repair | None:
    """None if nothing is due. `batch_job` is the one that serves the waiting stage."""
    if job.execution is None:
        return _repair_unstarted(job.records.job, now)
    if job.execution.ended:
        return _repair_ended(job.records.job, job.execution, now)
    return None if job.waiting is None else _repair_running(job.waiting, batch_job, now)


def _repair_unstarted(job: RegistryRecord, now: datetime) -> NotifyPeople | None:
    if now - datetime.fromisoformat(job.created_at) < START_GRACE:
        return None
    notification = Notification(
        job_id=job.job_id,
        status=JobStatus.FAILED,
        source=job.source,
        error=NOT_STARTED_ERROR,
        message="The film was received, but its job could not be started.",
    )
    return NotifyPeople(notification=notification)


def _repair_ended(
    job: RegistryRecord, execution: WorkflowExecution, now: datetime
) -> NotifyPeople | None:
    if now - (execution.stopped_at or now) < NOTIFY_GRACE:
        return None
    return NotifyPeople(notification=make_notification(job.job_id, job.source, execution))


def _repair_running(
    waiting: WaitingStage, job: BatchJob | None, now: datetime
) -> AnswerStage | None:
    if job is not None:
        return AnswerStage(waiting=waiting, end=job) if job.terminal else None
    if now.timestamp() - waiting.record.claimed_at / 1000 < SUBMIT_GRACE.total_seconds():
        return None
    return AnswerStage(waiting=waiting, end=_describe_loss(waiting))


def _describe_loss(waiting: WaitingStage) -> StageFailed:
    name = waiting.stage.value
    if waiting.batch_job_id is None:
        return StageFailed(
            error=NOT_SUBMITTED_ERROR, cause=f"The {name} job could not be submitted."
        )
    return StageFailed(error=JOB_LOST_ERROR, cause=f"AWS Batch has lost the {name} job.")


def oldest_wait(jobs: Sequence[BatchJob], now: datetime) -> float:
    """How long the job that waits longest has waited for capacity, in seconds; 0 for none."""
    moments = [job.waiting_since for job in jobs if job.waiting_since is not None]
    return max(0.0, now.timestamp() - min(moments) / 1000) if moments else 0.0
