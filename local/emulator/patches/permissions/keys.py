"""Only callers who may use a customer's KMS key may open what it encrypts.

ministack records the key of a bucket, topic, queue or table and checks nobody. Here every caller
needs the key as well, and a service that delivers by itself needs the key's policy: SNS to a queue,
an alarm to a topic. An alarm needs the topic's policy too. Bucket policies also see which key an
upload names, which ministack hides from them.
"""

import logging
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, sns

from local.emulator import iam, key_usage
from local.emulator.patching import wrap

NEEDS = {
    "ministack.core.iam_actions": ("_s3_object_context",),
    "ministack.core.iam_evaluator": ("enforce",),
    "ministack.services.cloudwatch": ("_dispatch_alarm_actions",),
    "ministack.services.sns": ("_deliver_to_sqs", "topic_policy_for_arn"),
}
ALARMS = "cloudwatch.amazonaws.com"
_OF_PARTS = "local:of-parts"
"""A condition key of our own: the write belongs to an upload in parts."""
_KEY_HEADERS = (
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
)
_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")

log = logging.getLogger(__name__)


def apply() -> None:
    wrap(iam_evaluator, "enforce", _with_key)
    wrap(iam_actions, "_s3_object_context", _with_key_headers)
    wrap(sns, "_deliver_to_sqs", _checked_delivery)
    wrap(cloudwatch, "_dispatch_alarm_actions", _checked_alarm)


def _with_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        denied = original(access_key_id, iam_action, service, region, resource_arn, service_context)
        if denied is not None:
            return denied
        of_parts = _OF_PARTS in (service_context or {})
        for action, use in key_usage.needed_by(iam_action, str(resource_arn), of_parts=of_parts):
            denied = original(access_key_id, action, "kms", region, use.key_arn, use.context)
            if denied is not None:
                return denied
        return None

    return enforce


def _with_key_headers(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def s3_object_context(
        iam_action: str, query_params: dict[str, Any], path: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        context = original(iam_action, query_params, path, headers)
        if iam_action == "s3:PutObject":
            named = {f"s3:{name}": headers[name] for name in _KEY_HEADERS if headers.get(name)}
            parts = {_OF_PARTS: "true"} if "uploadId" in query_params else {}
            return {**context, **named, **parts}
        return context

    return s3_object_context


def _checked_delivery(original: Callable[..., None]) -> Callable[..., None]:
    def deliver_to_sqs(endpoint: str, *message: Any, topic_arn: str = "", **rest: Any) -> None:
        why = key_usage.refusal(endpoint, "sns.amazonaws.com", topic_arn)
        if why is not None:
            log.warning("SNS: %s -> %s: %s", topic_arn, endpoint, why)
            return
        original(endpoint, *message, topic_arn=topic_arn, **rest)

    return deliver_to_sqs


def alarm_refusal(topic_arn: str, alarm_arn: str) -> str | None:
    """Why the alarm may not publish to the topic; None if it may."""
    found = sns.topic_policy_for_arn(topic_arn)
    if found is None or not iam.policy_allows(
        found[0], ALARMS, "sns:Publish", topic_arn, alarm_arn
    ):
        return f"its policy does not allow sns:Publish by {ALARMS} for {alarm_arn}"
    return key_usage.refusal(topic_arn, ALARMS, alarm_arn)


def _checked_alarm(original: Callable[..., None]) -> Callable[..., None]:
    def dispatch_alarm_actions(alarm: dict[str, Any], *change: Any) -> None:
        name = alarm.get("AlarmName", "")
        arn = f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"

        def allowed(action: str) -> bool:
            why = alarm_refusal(action, arn) if ":sns:" in action else None
            if why is not None:
                log.warning("alarm %s -> %s: %s", name, action, why)
            return why is None

        lists = {kind: [a for a in alarm.get(kind) or [] if allowed(a)] for kind in _ACTIONS}
        original({**alarm, **lists}, *change)

    return dispatch_alarm_actions
