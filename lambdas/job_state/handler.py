"""Batch job state -> task token. The event is a hint; DescribeJobs decides."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from contracts import keys
from contracts.environ import JobStateEnvironment
from contracts.limits import STATE_PAYLOAD_BYTES
from contracts.messages import Failure
from contracts.names import Metric, Stage
from lambdas.common.aws import Batch, Store, Workflow, client
from lambdas.common.observability import count, logger
from lambdas.common.registry import Registry
from lambdas.common.values import BatchJob
from lambdas.job_state import decide

READ_LIMIT = STATE_PAYLOAD_BYTES + 1


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
    if record is None or not decide.speaks_for(record, job):
        logger.info("no stage waits for this job", extra=name)
        return
    outcome = outcome_of(change.job_id, change.stage, job)
    taken = [tell(token, outcome) for token in sorted(record.task_tokens)]
    if any(taken):
        succeeded = isinstance(outcome, decide.Succeeded)
        count(Metric.STAGE_SUCCEEDED if succeeded else Metric.STAGE_FAILED, change.stage)
    logger.info("stage answered", extra={**name, "status": job.status, "taken": any(taken)})


def outcome_of(job_id: str, stage: Stage, job: BatchJob) -> decide.Succeeded | decide.Failed:
    store, bucket = services().store, services().environment.intermediate_bucket
    if job.status == "SUCCEEDED":
        has_result = stage is not Stage.PROCESS
        key = keys.stage_result_key(job_id, stage)
        return decide.result_of(
            stage, job_id, job, store.read(bucket, key, READ_LIMIT) if has_result else None
        )
    listed = store.list(bucket, keys.failures_prefix(job_id, stage))
    order = decide.failure_keys(stage, job_id, job, listed)
    return decide.failure_of(stage, job, _failures(bucket, order))


def _failures(bucket: str, order: list[str]) -> Iterator[Failure | None]:
    for key in order:
        yield decide.parse_failure(services().store.read(bucket, key, READ_LIMIT))


def tell(token: str, outcome: decide.Succeeded | decide.Failed) -> bool:
    """False where the workflow no longer waits for this token."""
    workflow = services().workflow
    if isinstance(outcome, decide.Succeeded):
        return workflow.succeed(token, outcome.output)
    return workflow.fail(token, outcome.error, outcome.cause)
