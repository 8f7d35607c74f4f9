"""On a schedule: look at every running job, and do what a lost event should have done."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts.names import Metric, Stage, batch_job_name, execution_arn
from contracts.stack.environ import ReconcilerEnvironment
from lambdas.common.endings import END_REASON, end_work
from lambdas.common.observability import count, gauge, logger
from lambdas.common.services import Services
from lambdas.common.stage_jobs import unrecorded_job
from lambdas.common.values import BatchJob, WorkflowExecution
from lambdas.reconciler import decide

RESERVE_MILLISECONDS = 20_000
"""With less time left, no further page of jobs is begun; a page takes a few seconds."""

RUNNING = WorkflowExecution(status="RUNNING")
BatchJobs = dict[Stage, list[BatchJob]]

services = Services(ReconcilerEnvironment.read)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """One round. What it has no time for waits for the next; the oldest jobs come first."""
    now = datetime.now(UTC)
    running = services.workflow.running_names(services.environment.state_machine_arn)
    open_jobs, repaired = 0, 0
    batch_jobs: BatchJobs = defaultdict(list)
    for job_ids in services.registry.open_jobs():
        open_jobs += len(job_ids)
        if context.get_remaining_time_in_millis() < RESERVE_MILLISECONDS:
            logger.warning("no time left for the newer jobs", extra={"listed": open_jobs})
            continue  # they are counted all the same
        repaired += reconcile_page(read_jobs(job_ids, running), batch_jobs, now)
    write_gauges(open_jobs, batch_jobs, now)
    called_by = event.get("source", "hand")
    logger.info(
        "round done", extra={"open_jobs": open_jobs, "repaired": repaired, "called_by": called_by}
    )


def read_jobs(job_ids: Sequence[str], running: frozenset[str]) -> list[decide.RunningJob]:
    """The jobs as they are now, without those that have ended since they were listed."""
    jobs: list[decide.RunningJob] = []
    for job_id in job_ids:
        with log_failure(job_id):
            records = services.registry.read_job(job_id)
            if records is not None and not records.job.status.final:
                arn = execution_arn(services.environment.state_machine_arn, job_id)
                execution = RUNNING if job_id in running else services.workflow.describe(arn)
                jobs.append(decide.RunningJob(records=records, execution=execution))
    return jobs


def reconcile_page(jobs: Sequence[decide.RunningJob], batch_jobs: BatchJobs, now: datetime) -> int:
    """The number of jobs repaired. Adds the Batch jobs that stages wait for to `batch_jobs`."""
    described, repaired = describe_recorded(jobs), 0
    for job in jobs:
        with log_failure(job.job_id):
            batch_job = find_batch_job(job, described)
            if job.waiting is not None and batch_job is not None:
                batch_jobs[job.waiting.stage].append(batch_job)
            repaired += reconcile(job, batch_job, now)
    return repaired


@contextmanager
def log_failure(job_id: str) -> Iterator[None]:
    """Log an error and go on: one job's fault must not affect the others."""
    try:
        yield
    except Exception:  # noqa: BLE001
        logger.exception("job not reconciled", extra={"job_id": job_id})


def describe_recorded(jobs: Sequence[decide.RunningJob]) -> dict[str, BatchJob]:
    """The Batch jobs that the registry records for the jobs' waiting stages, by id."""
    waits = [job.waiting for job in jobs]
    ids = [w.batch_job_id for w in waits if w is not None and w.batch_job_id is not None]
    return services.batch.describe(ids) if ids else {}


def find_batch_job(job: decide.RunningJob, described: Mapping[str, BatchJob]) -> BatchJob | None:
    """The Batch job that will answer the job's waiting stage."""
    waiting = job.waiting
    if waiting is None:
        return None
    if waiting.batch_job_id is not None:
        return described.get(waiting.batch_job_id)
    queue, name = (
        services.environment.queue(waiting.stage),
        batch_job_name(job.job_id, waiting.stage),
    )
    return unrecorded_job(waiting.record, services.batch.list_named(queue, name))


def reconcile(job: decide.RunningJob, batch_job: BatchJob | None, now: datetime) -> bool:
    """False if nothing was due, or something else was faster."""
    repair = decide.choose_repair(job, batch_job, now)
    if repair is None or not perform(job, repair):
        return False
    count(Metric.REPAIRED)
    logger.warning("job repaired", extra={"job_id": job.job_id, "what": type(repair).__name__})
    return True


def perform(job: decide.RunningJob, repair: decide.Repair) -> bool:
    """False if the stage's tokens were answered meanwhile."""
    if isinstance(repair, decide.NotifyPeople):
        reason = END_REASON.format(repair.notification.status)
        end_work(services.batch, services.environment, job.job_id, reason)
        services.notification_topic.publish_json(repair.notification.to_json())
        return True
    stage, record = repair.waiting.stage, repair.waiting.record
    if isinstance(repair.end, BatchJob):
        return services.answerer.answer_with_job(job.job_id, stage, record, repair.end)
    return services.answerer.answer(stage, record, repair.end)


def write_gauges(open_jobs: int, batch_jobs: BatchJobs, now: datetime) -> None:
    gauge(Metric.RUNNING_JOBS, open_jobs)
    for stage in Stage:
        age = decide.oldest_wait(batch_jobs.get(stage, ()), now)
        gauge(Metric.RUNNABLE_AGE_SECONDS, age, stage)
