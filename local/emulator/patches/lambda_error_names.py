"""A function's error carries the exception's class, so that Retry and Catch can name it.

ministack calls every one Runtime.HandlerError. Its log ends with the traceback.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import lambda_svc

from local.emulator.patching import wrap

NEEDS = {"ministack.services.lambda_svc": ("_execute_function_warm",)}


def apply() -> None:
    wrap(lambda_svc, "_execute_function_warm", _with_class_name)


def class_name(log: str, message: str) -> str | None:
    """The exception's class without its module, from a traceback that ends with `message`."""
    ending = f": {message}" if message else ""
    head = log.rstrip()
    if not head.endswith(ending.rstrip()):
        return None
    line = head[: len(head) - len(ending.rstrip())].rsplit("\n", 1)[-1]
    name = line.rsplit(".", 1)[-1]
    return name if name.isidentifier() else None


def _with_class_name(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        result = original(func, event, request_id)
        body = result.get("body")
        if isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
            found = class_name(result.get("log") or "", body.get("errorMessage") or "")
            body["errorType"] = found or body["errorType"]
        return result

    return execute_function_warm
