"""Batch job state -> task token. The event is a hint; DescribeJobs decides."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts.stack.environ import JobStateEnvironment
from lambdas.common.observability import logger
from lambdas.common.services import Services
from lambdas.common.stage_jobs import is_awaited
from lambdas.job_state import decide

services = Services(JobStateEnvironment.read)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """EventBridge "Batch Job State Change". An error makes Lambda deliver it again."""
    change = decide.JobChange.from_event(event)
    if change is None:
        logger.info("not a job of the pipeline")
    elif change.child is not None:
        end_array(change, change.child)
    else:
        answer(change)


def end_array(change: decide.JobChange, index: int) -> None:
    """A child that is lost for good ends the array: its film can no longer be whole."""
    if change.status != "FAILED":
        return
    jobs = services.batch.describe([change.batch_job_id, change.parent_id])
    child, parent = jobs.get(change.batch_job_id), jobs.get(change.parent_id)
    reason = decide.reason_to_end_array(index, child, parent)
    if reason is not None:
        logger.warning(reason, extra={"job_id": change.job_id, "stage": change.stage.value})
        services.batch.terminate(change.parent_id, reason)


def answer(change: decide.JobChange) -> None:
    """Send the stage's result or failure to every token that asked for it."""
    name = {"job_id": change.job_id, "batch_job_id": change.batch_job_id}
    job = services.batch.describe([change.batch_job_id]).get(change.batch_job_id)
    if job is None or not job.terminal:
        logger.info("the job has not ended; its last event is still to come", extra=name)
        return
    record = services.registry.read_stage(change.job_id, change.stage)
    if record is None or not is_awaited(record, job):
        logger.info("no stage waits for this job", extra=name)
        return
    taken = services.answerer.answer_with_job(change.job_id, change.stage, record, job)
    logger.info("stage answered", extra={**name, "status": job.status, "taken": taken})
