"""A function's role must trust Lambda, may read the queue of its event source mapping, and may send
to the queue or topic of its failed events.

Otherwise AWS refuses the function or the mapping. It polls and sends with the role; ministack
creates both and checks no role.
"""

import logging
from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

from local.emulator import iam
from local.emulator.patching import wrap

PRINCIPAL = "lambda.amazonaws.com"

NEEDS = {
    "ministack.core.responses": ("error_response_json",),
    "ministack.core.lambda_runtime": ("execution_credentials",),
    "ministack.services.lambda_svc": (
        "_create_esm",
        "_create_function",
        "_get_func_record_for_ref",
        "_route_async_failure",
        "_sqs_esm_concurrency",
    ),
}

_SQS_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

_DESTINATION_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish"}

log = logging.getLogger(__name__)

Response = tuple[int, dict[str, str], bytes]


def apply() -> None:
    wrap(lambda_svc, "_create_function", _with_trust)
    wrap(lambda_svc, "_create_esm", _with_queue_permission)
    wrap(lambda_svc, "_sqs_esm_concurrency", _none_without_permission)
    wrap(lambda_svc, "_route_async_failure", _if_permitted)
    wrap(lambda_runtime, "execution_credentials", _as_role)


def _with_trust(original: Callable[..., Response]) -> Callable[..., Response]:
    def create_function(data: dict[str, Any]) -> Response:
        try:
            iam.assume(data.get("Role", ""), PRINCIPAL, data.get("FunctionName", ""))
        except (iam.CannotAssumeError, IndexError):
            return _refused("The role defined for the function cannot be assumed by Lambda.")
        return original(data)

    return create_function


def _with_queue_permission(original: Callable[..., Response]) -> Callable[..., Response]:
    def create_esm(data: dict[str, Any]) -> Response:
        source = data.get("EventSourceArn", "")
        _, config, _ = lambda_svc._get_func_record_for_ref(data.get("FunctionName", ""))
        role = config["Role"] if config and ":sqs:" in source else None
        if role and (missing := _missing_action(role, source)):
            call = missing.partition(":")[2]
            return _refused(
                f"The provided execution role does not have permissions to call {call} on SQS"
            )
        return original(data)

    return create_esm


def _missing_action(role: str, queue: str) -> str | None:
    """The first of the actions of a queue's poller that the role may not do."""
    for action in _SQS_ACTIONS:
        if iam.why_denied(role, PRINCIPAL, action, queue) is not None:
            return action
    return None


def _none_without_permission(original: Callable[..., int]) -> Callable[..., int]:
    """A mapping whose role lost its permission polls nothing: zero batches at a time."""

    def concurrency(
        mapping: dict[str, Any], function: dict[str, Any], config: dict[str, Any], queue: Any
    ) -> int:
        if _missing_action(config["Role"], mapping["EventSourceArn"]):
            return 0
        return original(mapping, function, config, queue)

    return concurrency


def _if_permitted(original: Callable[..., None]) -> Callable[..., None]:
    def route_async_failure(target: str, name: str, event: Any, result: dict[str, Any]) -> None:
        _, config, _ = lambda_svc._get_func_record_for_ref(name)
        action = _DESTINATION_ACTIONS.get(target.split(":")[2])
        why = f"the emulator does not know the permission of destination {target}"
        if config and action:
            why = iam.why_denied(config["Role"], PRINCIPAL, action, target)
        if why is not None:
            log.warning("the failed event of %s is lost: %s", name, why)
            return
        original(target, name, event, result)

    return route_async_failure


def _as_role(_: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    """ministack derives a function's secret from its name, as anybody on the machine can."""

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        return iam.assume(config["Role"], PRINCIPAL, config["FunctionName"]).variables()

    return execution_credentials


def _refused(message: str) -> Response:
    return error_response_json("InvalidParameterValueException", message, 400)
