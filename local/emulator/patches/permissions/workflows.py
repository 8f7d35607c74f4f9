"""A state machine's tasks act with its role; ministack lets them do anything."""

import contextvars
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions

from local.emulator import iam
from local.emulator.patching import wrap

PRINCIPAL = "states.amazonaws.com"

NEEDS = {
    "ministack.core.responses": ("get_account_id", "get_region"),
    "ministack.services.stepfunctions": (
        "_ExecutionError",
        "_SERVICE_DISPATCH",
        "_call_lambda",
        "_execute_task",
        "_invoke_aws_sdk_integration",
        "_invoke_nested_start_execution",
        "_invoke_nested_start_execution_sync",
        "_state_machines",
    ),
}

_role: contextvars.ContextVar[str] = contextvars.ContextVar("state_machine_role", default="")

Task = tuple[str, str, str]
"""Action, resource, and the error's name in the workflow when the role may not."""


def apply() -> None:
    wrap(stepfunctions, "_execute_task", _as_role)
    for prefix, handler in stepfunctions._SERVICE_DISPATCH.items():
        stepfunctions._SERVICE_DISPATCH[prefix] = _guarded(handler)
    for name in (
        "_invoke_aws_sdk_integration",
        "_invoke_nested_start_execution",
        "_invoke_nested_start_execution_sync",
    ):
        wrap(stepfunctions, name, _guarded)
    wrap(stepfunctions, "_call_lambda", _guarded_lambda)


def task_permission(resource: str, data: dict[str, Any], region: str, account: str) -> Task | None:
    """What a task needs; None for an integration whose permission is not known here."""
    service, _, call = resource.removeprefix("arn:aws:states:::").partition(":")
    call = call.partition(".")[0]
    if service == "sns":
        target = data.get("TopicArn") or data.get("TargetArn") or "*"
        return "sns:Publish", target, "SNS.AuthorizationErrorException"
    if service == "sqs":
        owner, name = data.get("QueueUrl", "//").rstrip("/").split("/")[-2:]
        queue = f"arn:aws:sqs:{region}:{owner}:{name}"
        return "sqs:SendMessage", queue, "SQS.AmazonSQSException"
    if service == "states":
        machine = data.get("StateMachineArn", "*")
        return "states:StartExecution", machine, "StepFunctions.AWSStepFunctionsException"
    if service == "dynamodb":
        table = f"arn:aws:dynamodb:{region}:{account}:table/{data.get('TableName', '')}"
        return f"dynamodb:{_capital(call)}", table, "DynamoDB.AmazonDynamoDBException"
    if service == "events":
        bus = f"arn:aws:events:{region}:{account}:event-bus/default"
        return "events:PutEvents", bus, "EventBridge.AmazonEventBridgeException"
    if service == "aws-sdk":
        target, _, action = call.partition(":")
        return f"{target}:{_capital(action)}", "*", f"{_capital(target)}.AccessDeniedException"
    return None


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _as_role(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute_task(
        state: dict[str, Any], raw_input: Any, execution: dict[str, Any], ctx: dict[str, Any]
    ) -> Any:
        machine = stepfunctions._state_machines[execution["stateMachineArn"]]
        token = _role.set(machine["roleArn"])
        try:
            return original(state, raw_input, execution, ctx)
        finally:
            _role.reset(token)

    return execute_task


def _guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(resource: str, data: dict[str, Any]) -> Any:
        task = task_permission(resource, data, get_region(), get_account_id())
        if task is None:
            raise stepfunctions._ExecutionError(
                "States.Runtime", f"The emulator does not know which permission {resource} needs."
            )
        _demand(task)
        return original(resource, data)

    return call


def _guarded_lambda(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_lambda(reference: str, event: Any) -> Any:
        arn = reference
        if not arn.startswith("arn:"):
            arn = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{reference}"
        _demand(("lambda:InvokeFunction", arn, "Lambda.AWSLambdaException"))
        return original(reference, event)

    return call_lambda


def _demand(task: Task) -> None:
    action, resource, error = task
    why = iam.why_denied(_role.get(), PRINCIPAL, action, resource)
    if why is not None:
        raise stepfunctions._ExecutionError(error, why)
