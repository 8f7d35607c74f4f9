"""A function's role must trust Lambda, and may read the queue of its event source mapping.

AWS refuses the function or the mapping otherwise; ministack creates both.
"""

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
    ),
}

_SQS_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

Response = tuple[int, dict[str, str], bytes]


def apply() -> None:
    wrap(lambda_svc, "_create_function", _with_trust)
    wrap(lambda_svc, "_create_esm", _with_queue_permission)
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
        if ":sqs:" in source and config:
            for action in _SQS_ACTIONS:
                if iam.why_denied(config["Role"], PRINCIPAL, action, source) is not None:
                    call = action.partition(":")[2]
                    return _refused(
                        "The provided execution role does not have permissions to call "
                        f"{call} on SQS"
                    )
        return original(data)

    return create_esm


def _as_role(_: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    """ministack derives a function's secret from its name, which others on the machine can too."""

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        return iam.assume(config["Role"], PRINCIPAL, config["FunctionName"]).variables()

    return execution_credentials


def _refused(message: str) -> Response:
    return error_response_json("InvalidParameterValueException", message, 400)
