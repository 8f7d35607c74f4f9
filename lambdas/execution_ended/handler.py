"""An execution that failed, was stopped or timed out -> its Batch jobs end, and people are told.

The event is a hint; DescribeExecution decides.
"""

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from contracts.messages import ExecutionInput
from contracts.stack.environ import ExecutionEndedEnvironment
from lambdas.common.aws import Batch, Topic, Workflow, client
from lambdas.common.endings import END_REASON, end_work, notification
from lambdas.common.observability import logger
from lambdas.execution_ended import decide


@dataclass(frozen=True, kw_only=True)
class Services:
    environment: ExecutionEndedEnvironment
    batch: Batch
    workflow: Workflow
    topic: Topic


@cache
def services() -> Services:
    environment = ExecutionEndedEnvironment.read(os.environ)
    batch = client("batch")
    return Services(
        environment=environment,
        batch=Batch(reader=batch, submitter=batch),
        workflow=Workflow(client("stepfunctions")),
        topic=Topic(client("sns"), environment.notification_topic_arn),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: Any) -> None:
    """An error makes Lambda deliver the event again: every step may be repeated."""
    to, arn = services(), decide.execution_of(event)
    execution = to.workflow.describe(arn)
    if execution is None or not decide.left_its_work(execution):
        logger.info("this execution left nothing to do", extra={"execution_arn": arn})
        return
    job = ExecutionInput.model_validate_json(execution.input)
    reason = END_REASON.format(execution.status)
    ended = end_work(to.batch, to.environment, job.job_id, reason)
    if decide.told_nobody(execution):
        to.topic.send(notification(job.job_id, job.source, execution).to_json())
    logger.info(
        "execution ended",
        extra={"job_id": job.job_id, "status": execution.status, "batch_jobs_ended": ended},
    )
