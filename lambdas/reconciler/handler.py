"""On a schedule: look at every running job, and make good what no event brought about."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from contracts.names import Metric, Stage, batch_job_name, execution_arn
from contracts.stack.environ import ReconcilerEnvironment
from lambdas.common.answers import Answers
from lambdas.common.aws import Batch, Store, Topic, Workflow, client
from lambdas.common.endings import END_REASON, end_work
from lambdas.common.observability import count, gauge, logger
from lambdas.common.registry import Registry
from lambdas.common.values import BatchJob, Execution
from lambdas.reconciler import decide

RESERVE_MILLISECONDS = 20_000
"""No further page of jobs is begun with less time left; a page takes a few seconds."""

RUNNING = Execution(status="RUNNING")


@dataclass(frozen=True, kw_only=True)
class Services:
    environment: ReconcilerEnvironment
    store: Store
    registry: Registry
    batch: Batch
    workflow: Workflow
    topic: Topic


@cache
def services() -> Services:
    environment = ReconcilerEnvironment.read(os.environ)
    batch = client("batch")
    return Services(
        environment=environment,
        store=Store(client("s3")),
        registry=Registry(client("dynamodb"), environment.registry_table),
        batch=Batch(reader=batch, submitter=batch),
        workflow=Workflow(client("stepfunctions")),
        topic=Topic(client("sns"), environment.notification_topic_arn),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Any) -> None:
    """One round. What it has no time for waits for the next; the oldest jobs come first."""
    to, now = services(), datetime.now(UTC)
    running = to.workflow.running(to.environment.state_machine_arn)
    jobs, repaired = 0, 0
    batch_jobs: dict[Stage, list[BatchJob]] = defaultdict(list)
    for job_ids in to.registry.open_jobs():
        jobs += len(job_ids)
        if context.get_remaining_time_in_millis() < RESERVE_MILLISECONDS:
            logger.warning("no time left for the younger jobs", extra={"listed": jobs})
            continue  # they are counted all the same
        page = look(job_ids, running)
        described = describe(page)
        for seen in page:
            with alone(seen.job_id):
                job = serving(seen, described)
                if seen.waiting is not None and job is not None:
                    batch_jobs[seen.waiting.stage].append(job)
                repaired += reconcile(seen, job, now)
    tell_gauges(jobs, batch_jobs, now)
    called_by = event.get("source", "hand")
    logger.info(
        "round done", extra={"open_jobs": jobs, "repaired": repaired, "called_by": called_by}
    )


@contextmanager
def alone(job_id: str) -> Iterator[None]:
    """One job's fault must not take the others along."""
    try:
        yield
    except Exception:  # noqa: BLE001
        logger.exception("job not reconciled", extra={"job_id": job_id})


def look(job_ids: Sequence[str], running: frozenset[str]) -> list[decide.Seen]:
    """The jobs as they are now, without those that have ended since they were listed."""
    to, page = services(), list[decide.Seen]()
    for job_id in job_ids:
        with alone(job_id):
            records = to.registry.everything(job_id)
            if records is not None and not records.job.status.final:
                arn = execution_arn(to.environment.state_machine_arn, job_id)
                execution = RUNNING if job_id in running else to.workflow.describe(arn)
                page.append(decide.Seen(records=records, execution=execution))
    return page


def describe(page: Sequence[decide.Seen]) -> dict[str, BatchJob]:
    """The Batch jobs that the page's stages are recorded to wait for."""
    waits = [seen.waiting for seen in page]
    ids = [w.batch_job_id for w in waits if w is not None and w.batch_job_id is not None]
    return services().batch.describe(ids) if ids else {}


def serving(seen: decide.Seen, described: Mapping[str, BatchJob]) -> BatchJob | None:
    """The Batch job that will answer the job's waiting stage."""
    to, waiting = services(), seen.waiting
    if waiting is None:
        return None
    if waiting.batch_job_id is not None:
        return described.get(waiting.batch_job_id)
    stage = waiting.stage
    named = to.batch.named(to.environment.queue(stage), batch_job_name(seen.job_id, stage))
    return decide.serving(waiting.record, named)


def reconcile(seen: decide.Seen, job: BatchJob | None, now: datetime) -> bool:
    """False where nothing was due, or somebody else was faster."""
    due = decide.due(seen, job, now)
    if due is None or not perform(seen, due):
        return False
    count(Metric.REPAIRED)
    logger.warning("made good", extra={"job_id": seen.job_id, "what": type(due).__name__})
    return True


def perform(seen: decide.Seen, due: decide.Repair) -> bool:
    to = services()
    if isinstance(due, decide.Tell):
        news = due.notification
        end_work(to.batch, to.environment, seen.job_id, END_REASON.format(news.status))
        to.topic.send(news.to_json())
        return True
    answers = Answers(
        store=to.store, bucket=to.environment.intermediate_bucket, workflow=to.workflow
    )
    stage, record = due.waiting.stage, due.waiting.record
    if isinstance(due.end, BatchJob):
        return answers.give(seen.job_id, stage, record, due.end)
    return answers.tell(stage, record, due.end)


def tell_gauges(jobs: int, batch_jobs: Mapping[Stage, Sequence[BatchJob]], now: datetime) -> None:
    gauge(Metric.RUNNING_JOBS, jobs)
    for stage in Stage:
        age = decide.oldest_wait(batch_jobs.get(stage, ()), now)
        gauge(Metric.RUNNABLE_AGE_SECONDS, age, stage)
