"""Waiting for a task token: TimeoutSecondsPath, HeartbeatSeconds, and no pause before the start.

ministack ignores the first two and sleeps for 0.15 s before an execution's first state.
"""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ministack.services import stepfunctions

from local.emulator.patching import wrap

NEEDS = {
    "ministack.services.stepfunctions": (
        "_ExecutionError",
        "_execute_task",
        "_invoke_with_callback",
        "_resolve_path_or_ctx",
        "_run_execution",
        "_send_task_heartbeat",
        "_task_tokens",
        "time",
    ),
}

_START_PAUSE = 0.15
_LIMITS = ("TimeoutSeconds", "HeartbeatSeconds")


def apply() -> None:
    wrap(stepfunctions, "_execute_task", _with_limits_from_paths)
    wrap(stepfunctions, "_invoke_with_callback", _with_heartbeat)
    wrap(stepfunctions, "_send_task_heartbeat", _noting_heartbeat)
    wrap(stepfunctions, "time", _without_start_pause)


def _with_limits_from_paths(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute_task(
        state: dict[str, Any], raw_input: Any, execution: dict[str, Any], ctx: dict[str, Any]
    ) -> Any:
        limits = {
            name: _seconds(name + "Path", state[name + "Path"], raw_input, ctx)
            for name in _LIMITS
            if name + "Path" in state
        }
        return original({**state, **limits}, raw_input, execution, ctx)

    return execute_task


def _seconds(field: str, path: str, raw_input: Any, ctx: dict[str, Any]) -> int:
    value = stepfunctions._resolve_path_or_ctx(path, raw_input, ctx)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise stepfunctions._ExecutionError(
            "States.Runtime", f"{field} {path} must lead to a positive integer, got {value!r}."
        )
    return value


def _with_heartbeat(original: Callable[..., Any]) -> Callable[..., Any]:
    def invoke_with_callback(
        resource: str, data: dict[str, Any], token: str, state: dict[str, Any]
    ) -> Any:
        seconds = state.get("HeartbeatSeconds")
        if seconds is None:
            return original(resource, data, token, state)
        ended = threading.Event()
        # The token's record appears while the original runs; the store is bound to this context.
        tokens = stepfunctions._task_tokens
        scope = tokens._scoped(token)
        threading.Thread(
            target=_watch, args=(lambda: tokens._data.get(scope), seconds, ended), daemon=True
        ).start()
        try:
            return original(resource, data, token, state)
        finally:
            ended.set()

    return invoke_with_callback


def _watch(
    record: Callable[[], dict[str, Any] | None], seconds: float, ended: threading.Event
) -> None:
    """Fail the token when no heartbeat has come for `seconds`."""
    last = time.monotonic()
    while not ended.wait(max(0.0, last + seconds - time.monotonic())):
        info = record()
        if info is None or info["event"].is_set():
            return
        last = max(last, info.get("beat", 0.0))
        if time.monotonic() >= last + seconds:
            info["error"] = {
                "Error": "States.HeartbeatTimeout",
                "Cause": f"No heartbeat for {seconds} seconds.",
            }
            info["event"].set()
            return


def _noting_heartbeat(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_task_heartbeat(data: dict[str, Any]) -> Any:
        info = stepfunctions._task_tokens.get(data.get("taskToken"))
        if info is not None:
            info["beat"] = time.monotonic()
        return original(data)

    return send_task_heartbeat


def _without_start_pause(original: Any) -> SimpleNamespace:
    def sleep(seconds: float) -> None:
        if seconds != _START_PAUSE:
            original.sleep(seconds)

    return SimpleNamespace(**{**vars(original), "sleep": sleep})
