"""Upload -> execution: one per object version and settings, however often the event comes."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts import keys
from contracts.names import Metric
from contracts.stack.environ import TriggerEnvironment
from lambdas.common.observability import count, logger
from lambdas.common.services import Services
from lambdas.trigger import decide

services = Services(TriggerEnvironment.read)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """EventBridge "Object Created" of the source bucket. An error makes Lambda deliver it again."""
    upload = decide.Upload.from_event(event)
    name = {"key": upload.object.key, "version_id": upload.object.version_id}
    if upload.is_folder:
        logger.info("a folder, not a film", extra=name)
        return
    head = services.objects.head(upload.bucket.name, upload.object.key, upload.object.version_id)
    if head is None:
        logger.info("the upload is gone already", extra=name)
        return
    begin(decide.plan(upload, head))


def begin(start: decide.JobStart) -> None:
    """Record, then job.json, then the execution: each step takes effect once and may be repeated.

    The record exists before the execution can end and be settled, job.json before its first worker
    reads it. A death anywhere leaves the first of these steps done; redelivery does the rest.
    """
    now, environment = datetime.now(UTC), services.environment
    arn = environment.state_machine_arn
    new = services.registry.create_job(start.record(arn, now), now)
    if start.job is not None:
        key = keys.job_key(start.job_id)
        services.objects.create(environment.intermediate_bucket, key, start.job.to_json())
    accepted = services.workflow.start(arn, start.job_id, start.execution_json)
    if new:
        count(Metric.JOBS_STARTED if start.job is not None else Metric.JOBS_REJECTED)
    logger.info("upload taken", extra={"job_id": start.job_id, "new": new, "accepted": accepted})
