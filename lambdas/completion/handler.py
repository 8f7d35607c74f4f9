"""Notification -> the registry's final status, and one e-mail."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts.messages import Notification
from contracts.names import STATUS_ATTRIBUTE, JobStatus, Metric
from contracts.stack.environ import CompletionEnvironment
from lambdas.common.observability import count, logger
from lambdas.common.queue_messages import process_bodies
from lambdas.common.services import Services
from lambdas.completion import decide

COUNTED = {
    JobStatus.SUCCEEDED: Metric.JOBS_SUCCEEDED,
    JobStatus.CANCELLED: Metric.JOBS_CANCELLED,
}
"""All other ends are failures."""

services = Services(CompletionEnvironment.read)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> PartialItemFailureResponse:
    """SQS records whose bodies are Notification JSON; returns the records that failed."""
    services.check_environment()
    return process_bodies(event, process_notification)


def process_notification(body: str) -> None:
    """Settle the job, then send the e-mail: the status must not depend on a topic that fails.

    The e-mail has a lease of its own: a death between the two steps still leads to an e-mail.
    """
    now, registry = datetime.now(UTC), services.registry
    notification = Notification.parse(body)
    if registry.settle(notification, now):
        count(COUNTED.get(notification.status, Metric.JOBS_FAILED))
    with registry.notice_lease(notification.job_id, now) as sent_before:
        if not sent_before:
            email, attributes = (
                decide.write_email(notification),
                {STATUS_ATTRIBUTE: notification.status},
            )
            services.email_topic.publish_email(email.subject, email.text, attributes)
        registry.finish_notice(notification.job_id)
    logger.info("job ended", extra={"job_id": notification.job_id, "told_before": sent_before})
