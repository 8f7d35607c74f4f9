"""Which Batch job answers a stage's task tokens. Pure."""

from collections.abc import Sequence

from lambdas.common.values import BatchJob, StageRecord


def is_awaited(record: StageRecord, job: BatchJob) -> bool:
    """Is this the job that the stage waits for, and not an earlier one of the same name?"""
    return record.submitting or record.batch_job_id == job.job_id


def unrecorded_job(record: StageRecord, jobs: Sequence[BatchJob]) -> BatchJob | None:
    """The job that will answer tokens for which the registry records none, or None: submit one.

    `jobs` are all of the stage's name; the newest counts. A job that has ended answers only those
    tokens that were there before: a token that comes later (Step Functions published again, or was
    redriven) would wait for ever. An ended job that the registry does not name was submitted by a
    delivery that died before it could record the job.
    """
    newest = max(jobs, key=lambda job: job.created_at, default=None)
    if newest is None or (newest.terminal and newest.job_id == record.batch_job_id):
        return None
    return newest
