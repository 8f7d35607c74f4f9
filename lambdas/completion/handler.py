"""Notification -> the registry's final status, and one e-mail."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from contracts.messages import Notification
from contracts.names import STATUS_ATTRIBUTE, JobStatus, Metric
from contracts.stack.environ import CompletionEnvironment
from lambdas.common.aws import Topic, client
from lambdas.common.observability import count, logger
from lambdas.common.records import for_each_body
from lambdas.common.registry import Registry
from lambdas.completion import decide

COUNTED = {
    JobStatus.SUCCEEDED: Metric.JOBS_SUCCEEDED,
    JobStatus.CANCELLED: Metric.JOBS_CANCELLED,
}
"""All other ends are failures."""


@dataclass(frozen=True, kw_only=True)
class Services:
    registry: Registry
    topic: Topic


@cache
def services() -> Services:
    environment = CompletionEnvironment.read(os.environ)
    return Services(
        registry=Registry(client("dynamodb"), environment.registry_table),
        topic=Topic(client("sns"), environment.email_topic_arn),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """SQS records whose bodies are Notification JSON; answers with the records that failed."""
    services()  # a broken environment fails the whole function, not message after message
    return for_each_body(event, take)


def take(body: str) -> None:
    """Settle the job, then tell: the status must not hang on a topic that fails.

    The lease is apart from the status, so that a death between the two still tells somebody.
    """
    to, now = services(), datetime.now(UTC)
    notification = Notification.parse(body)
    if to.registry.settle(notification, now):
        count(COUNTED.get(notification.status, Metric.JOBS_FAILED))
    with to.registry.notice_lease(notification.job_id, now) as told:
        if not told:
            email = decide.email(notification)
            to.topic.publish(email.subject, email.text, {STATUS_ATTRIBUTE: notification.status})
        to.registry.finish_notice(notification.job_id)
    logger.info("job ended", extra={"job_id": notification.job_id, "told_before": told})
