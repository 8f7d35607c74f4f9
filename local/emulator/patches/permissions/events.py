"""EventBridge delivers only if the target's role or its resource policy allows the call.

ministack delivers without a check. As on AWS a refused delivery is dropped.
"""

import logging
from collections.abc import Callable
from typing import Any

from ministack.services import eventbridge, lambda_svc, sns, sqs

from local.emulator import iam, key_usage
from local.emulator.patching import wrap

PRINCIPAL = "events.amazonaws.com"

NEEDS = {
    "ministack.services.eventbridge": ("_invoke_target",),
    "ministack.services.lambda_svc": ("function_policy_for_arn",),
    "ministack.services.sns": ("topic_policy_for_arn",),
    "ministack.services.sqs": ("queue_policy_for_arn",),
}

log = logging.getLogger(__name__)

_POLICIES = {
    "lambda": ("lambda:InvokeFunction", lambda_svc.function_policy_for_arn),
    "sqs": ("sqs:SendMessage", sqs.queue_policy_for_arn),
    "sns": ("sns:Publish", sns.topic_policy_for_arn),
}
_ROLE_ACTIONS = {
    "states": "states:StartExecution",
    "batch": "batch:SubmitJob",
    "events": "events:PutEvents",
}


def apply() -> None:
    wrap(eventbridge, "_invoke_target", _checked)


def refusal(target: dict[str, Any], rule_arn: str) -> str | None:
    """Why the rule may not reach the target; None if it may."""
    arn = target["Arn"]
    service = arn.split(":")[2]
    if service in _ROLE_ACTIONS:
        if not target.get("RoleArn"):
            return "the target has no RoleArn"
        return iam.why_denied(target["RoleArn"], PRINCIPAL, _ROLE_ACTIONS[service], arn)
    if service not in _POLICIES:
        return f"the emulator does not know the permission of {service} targets"
    action, find = _POLICIES[service]
    found = find(arn)
    if found is None or not iam.policy_allows(found[0], PRINCIPAL, action, arn, rule_arn):
        return f"its policy does not allow {action} by {PRINCIPAL} for {rule_arn}"
    return key_usage.refusal(arn, PRINCIPAL, None)


def _checked(original: Callable[..., None]) -> Callable[..., None]:
    def invoke_target(
        target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None
    ) -> None:
        why = refusal(target, rule["Arn"])
        if why is not None:
            log.warning("FailedInvocation: %s -> %s: %s", rule["Name"], target["Arn"], why)
            return
        original(target, event, rule, view)

    return invoke_target
