"""An execution that is stopped, or exceeds its own TimeoutSeconds, ends at once.

ministack ignores the time limit, lets a stopped execution's task wait on, and takes answers to its
token; on AWS the token is dead at once.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
"""

import contextlib
import contextvars
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import stepfunctions

from local.emulator.patching import wrap

NEEDS = {
    "ministack.services.stepfunctions": (
        "_add_event",
        "_emit_execution_status_event",
        "_execute_task",
        "_executions",
        "_fail_execution",
        "_invoke_with_callback",
        "_run_execution",
        "_state_machines",
        "_stop_execution",
        "_task_tokens",
        "now_iso",
    ),
}

Execution = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]


class _EndedError(BaseException):
    """The execution ended while its task waited. No Catch or Retry of the machine may see it."""


_execution: contextvars.ContextVar[Execution] = contextvars.ContextVar("execution")
_waiting: dict[str, set[str]] = defaultdict(set)
"""Tokens that tasks wait for, by the execution's ARN."""


def apply() -> None:
    wrap(stepfunctions, "_execute_task", _in_execution)
    wrap(stepfunctions, "_invoke_with_callback", _until_the_end)
    wrap(stepfunctions, "_run_execution", _within_time_limit)
    wrap(stepfunctions, "_fail_execution", _unless_ended)
    wrap(stepfunctions, "_stop_execution", _releasing)


def _in_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute_task(
        state: dict[str, Any], raw_input: Any, execution: Execution, ctx: dict[str, Any]
    ) -> Any:
        token = _execution.set(execution)
        try:
            return original(state, raw_input, execution, ctx)
        finally:
            _execution.reset(token)

    return execute_task


def _until_the_end(original: Callable[..., Any]) -> Callable[..., Any]:
    def invoke_with_callback(
        resource: str, data: dict[str, Any], token: str, state: dict[str, Any]
    ) -> Any:
        execution = _execution.get()
        tokens = _waiting[execution["executionArn"]]
        tokens.add(token)
        try:
            return original(resource, data, token, state)
        finally:
            tokens.discard(token)
            if execution["status"] != "RUNNING":
                raise _EndedError

    return invoke_with_callback


def _within_time_limit(original: Callable[[str], None]) -> Callable[[str], None]:
    def run_execution(arn: str) -> None:
        execution = stepfunctions._executions[arn]
        with _limit(execution), contextlib.suppress(_EndedError):
            original(arn)
        _waiting.pop(arn, None)

    return run_execution


@contextlib.contextmanager
def _limit(execution: Execution) -> Iterator[None]:
    """Ends the execution when its machine's TimeoutSeconds are over."""
    machine = stepfunctions._state_machines[execution["stateMachineArn"]]
    seconds = json.loads(machine["definition"]).get("TimeoutSeconds")
    if seconds is None:
        yield
        return
    scope = contextvars.copy_context()  # account and region of the execution
    timer = threading.Timer(seconds, scope.run, (_time_out, execution))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _time_out(execution: Execution) -> None:
    if execution["status"] != "RUNNING":
        return
    error = "States.Timeout"
    execution.update(status="TIMED_OUT", stopDate=stepfunctions.now_iso(), error=error)
    details = {"executionTimedOutEventDetails": {"error": error}}
    stepfunctions._add_event(execution, "ExecutionTimedOut", details)
    stepfunctions._emit_execution_status_event(execution)
    _release(execution["executionArn"])


def _unless_ended(original: Callable[..., None]) -> Callable[..., None]:
    def fail_execution(execution: Execution, error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    return fail_execution


def _releasing(original: Callable[..., Response]) -> Callable[..., Response]:
    def stop_execution(data: dict[str, Any]) -> Response:
        answer = original(data)
        if answer[0] == 200:
            _release(data["executionArn"])
        return answer

    return stop_execution


def _release(arn: str) -> None:
    """Forget the execution's tokens: nothing waits for them, and nobody may answer them."""
    for token in tuple(_waiting.get(arn, ())):
        info = stepfunctions._task_tokens.pop(token, None)
        if info is not None:
            info["event"].set()
