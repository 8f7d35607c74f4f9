"""S3's events on EventBridge name the object's version; ministack's leave it out.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import contextvars
import json
from collections.abc import Callable
from typing import Any

from ministack.services import eventbridge, s3

from local.emulator.patching import wrap

NEEDS = {
    "ministack.services.eventbridge": ("_dispatch_event",),
    "ministack.services.s3": ("_fire_s3_event",),
}

_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)


def apply() -> None:
    wrap(s3, "_fire_s3_event", _noting_version)
    wrap(eventbridge, "_dispatch_event", _with_version)


def _noting_version(original: Callable[..., None]) -> Callable[..., None]:
    def fire_s3_event(*args: Any, version_id: str | None = None, **kwargs: Any) -> None:
        token = _version.set(version_id)
        try:
            original(*args, version_id=version_id, **kwargs)
        finally:
            _version.reset(token)

    return fire_s3_event


def _with_version(original: Callable[..., None]) -> Callable[..., None]:
    def dispatch_event(event: dict[str, Any], view: Any = None) -> None:
        version = _version.get()
        if version and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event = {**event, "Detail": json.dumps(detail)}
        original(event, view)

    return dispatch_event
