"""Batch job state -> task token. The event is a hint; DescribeJobs decides."""

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from contracts.stack.environ import JobStateEnvironment
from lambdas.common import outcomes
from lambdas.common.answers import Answers
from lambdas.common.aws import Batch, Store, Workflow, client
from lambdas.common.observability import logger
from lambdas.common.registry import Registry
from lambdas.job_state import decide


@dataclass(frozen=True, kw_only=True)
class Services:
    environment: JobStateEnvironment
    store: Store
    registry: Registry
    batch: Batch
    workflow: Workflow


@cache
def services() -> Services:
    environment = JobStateEnvironment.read(os.environ)
    batch = client("batch")
    return Services(
        environment=environment,
        store=Store(client("s3")),
        registry=Registry(client("dynamodb"), environment.registry_table),
        batch=Batch(reader=batch, submitter=batch),
        workflow=Workflow(client("stepfunctions")),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: Any) -> None:
    """EventBridge "Batch Job State Change". An error makes Lambda deliver it again."""
    change = decide.JobChange.from_event(event)
    if change is None:
        logger.info("not a job of the pipeline")
    elif change.child is not None:
        end_array(change, change.child)
    else:
        answer(change)


def end_array(change: decide.JobChange, index: int) -> None:
    """A child that is lost for good ends the array, for its film can no longer be whole."""
    if change.status != "FAILED":
        return
    jobs = services().batch.describe([change.batch_job_id, change.parent_id])
    child, parent = jobs.get(change.batch_job_id), jobs.get(change.parent_id)
    reason = decide.reason_to_end_array(index, child, parent)
    if reason is not None:
        logger.warning(reason, extra={"job_id": change.job_id, "stage": change.stage.value})
        services().batch.terminate(change.parent_id, reason)


def answer(change: decide.JobChange) -> None:
    """Give the stage's result or failure to every token that asked for it."""
    to, name = services(), {"job_id": change.job_id, "batch_job_id": change.batch_job_id}
    job = to.batch.describe([change.batch_job_id]).get(change.batch_job_id)
    if job is None or not job.terminal:
        logger.info("the job has not ended; its last event is still to come", extra=name)
        return
    record = to.registry.stage(change.job_id, change.stage)
    if record is None or not outcomes.speaks_for(record, job):
        logger.info("no stage waits for this job", extra=name)
        return
    answers = Answers(
        store=to.store, bucket=to.environment.intermediate_bucket, workflow=to.workflow
    )
    taken = answers.give(change.job_id, change.stage, record, job)
    logger.info("stage answered", extra={**name, "status": job.status, "taken": taken})
