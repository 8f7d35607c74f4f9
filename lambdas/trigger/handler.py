"""Upload -> execution: one per object version and settings, however often the event comes."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from contracts import keys
from contracts.names import Metric
from contracts.stack.environ import TriggerEnvironment
from lambdas.common.aws import Store, Workflow, client
from lambdas.common.observability import count, logger
from lambdas.common.registry import Registry
from lambdas.trigger import decide


@dataclass(frozen=True, kw_only=True)
class Services:
    environment: TriggerEnvironment
    store: Store
    registry: Registry
    workflow: Workflow


@cache
def services() -> Services:
    environment = TriggerEnvironment.read(os.environ)
    return Services(
        environment=environment,
        store=Store(client("s3")),
        registry=Registry(client("dynamodb"), environment.registry_table),
        workflow=Workflow(client("stepfunctions")),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: Any) -> None:
    """EventBridge "Object Created" of the source bucket. An error makes Lambda deliver it again."""
    upload = decide.Upload.from_event(event)
    name = {"key": upload.object.key, "version_id": upload.object.version_id}
    if upload.is_folder:
        logger.info("a folder, not a film", extra=name)
        return
    head = services().store.head(upload.bucket.name, upload.object.key, upload.object.version_id)
    if head is None:
        logger.info("the upload is gone already", extra=name)
        return
    begin(decide.plan(upload, head))


def begin(start: decide.Start) -> None:
    """Record, then job.json, then the execution: each step is done once and may be met again.

    The record stands before the execution can end and be settled, job.json before its first worker
    reads it. A death anywhere leaves a prefix of the steps, which redelivery completes.
    """
    to, now = services(), datetime.now(UTC)
    arn = to.environment.state_machine_arn
    new = to.registry.create_job(start.record(arn, now), now)
    if start.job is not None:
        bucket = to.environment.intermediate_bucket
        to.store.create(bucket, keys.job_key(start.job_id), start.job.to_json())
    accepted = to.workflow.start(arn, start.job_id, start.execution_json)
    if new:
        count(Metric.JOBS_STARTED if start.job is not None else Metric.JOBS_REJECTED)
    logger.info("upload taken", extra={"job_id": start.job_id, "new": new, "accepted": accepted})
