"""An execution failed, was stopped or timed out -> its Batch jobs end, and people are notified.

The event is a hint; DescribeExecution decides.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts.messages import ExecutionInput
from contracts.stack.environ import ExecutionEndedEnvironment
from lambdas.common.endings import END_REASON, end_work, make_notification
from lambdas.common.observability import logger
from lambdas.common.services import Services
from lambdas.execution_ended import decide

services = Services(ExecutionEndedEnvironment.read)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """An error makes Lambda deliver the event again: every step may be repeated."""
    arn = decide.execution_of(event)
    execution = services.workflow.describe(arn)
    if execution is None or not decide.leaves_work(execution):
        logger.info("this execution left nothing to do", extra={"execution_arn": arn})
        return
    job = ExecutionInput.model_validate_json(execution.input)
    reason = END_REASON.format(execution.status)
    ended = end_work(services.batch, services.environment, job.job_id, reason)
    if decide.notified_nobody(execution):
        notification = make_notification(job.job_id, job.source, execution)
        services.notification_topic.publish_json(notification.to_json())
    logger.info(
        "execution ended",
        extra={"job_id": job.job_id, "status": execution.status, "batch_jobs_ended": ended},
    )
