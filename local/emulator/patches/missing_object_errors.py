"""A missing object is a 403 for callers who may not list the bucket; ministack answers 404.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Permissions"
"""

import contextvars
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_region
from ministack.services import s3

from local.emulator.patching import wrap

NEEDS = {
    "ministack.core.iam_evaluator": ("enforce",),
    "ministack.core.responses": ("get_region",),
    "ministack.services.s3": ("_buckets", "_error", "_get_object", "_head_object"),
}

Answer = tuple[int, dict[str, str], bytes]

_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")
"""Access key of the request, once it was checked."""


def apply() -> None:
    wrap(iam_evaluator, "enforce", _noting_caller)
    wrap(s3, "_get_object", _hiding)
    wrap(s3, "_head_object", _hiding)


def _noting_caller(original: Callable[..., Any]) -> Callable[..., Any]:
    def enforce(access_key_id: str, *args: Any, **kwargs: Any) -> Any:
        _caller.set(access_key_id)
        return original(access_key_id, *args, **kwargs)

    return enforce


def _hiding(original: Callable[..., Answer]) -> Callable[..., Answer]:
    def read(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Answer:
        answer = original(bucket_name, key, *args, **kwargs)
        missing = answer[0] == 404 and s3._buckets.get(bucket_name) is not None
        if missing and _caller.get() and not _may_list(bucket_name):
            return s3._error("AccessDenied", "Access Denied", 403, f"/{bucket_name}/{key}")
        return answer

    return read


def _may_list(bucket: str) -> bool:
    denied = iam_evaluator.enforce(
        _caller.get(), "s3:ListBucket", "s3", get_region(), f"arn:aws:s3:::{bucket}"
    )
    return denied is None
