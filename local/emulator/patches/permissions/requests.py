"""Signed requests: who sent them, and the resources, keys and conditions that policies see.

ministack checks every Batch call against the resource `*`, so a policy that names its queue would
always be denied. It takes unsigned S3 requests, the key `test` and any twelve digits for the
account's root, and the root's signature for valid: so the root's key id itself is the secret here.
The stack's own resource policies refuse plain HTTP, and the emulator speaks nothing else: the
loopback counts as TLS. Nor do ministack's wildcards match line breaks, which object keys may hold.
"""

import functools
import hmac
import json
import os
import re
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions, iam_evaluator

from local.emulator.patching import wrap

NEEDS = {
    "ministack.core.iam_actions": ("extract_resource_arn",),
    "ministack.core.iam_evaluator": (
        "AuthError",
        "_fnmatch_compile",
        "_resolve_condition_key",
        "enforce",
        "is_root_access_key",
    ),
}

_JOB_OPERATIONS = ("terminatejob", "canceljob")


class _Resources(str):
    """The first of several resources, all of which a call needs."""

    __slots__ = ("others",)
    others: tuple[str, ...]


def apply() -> None:
    wrap(iam_actions, "extract_resource_arn", _with_batch_resources)
    wrap(iam_evaluator, "is_root_access_key", _with_one_root)
    wrap(iam_evaluator, "enforce", _for_all_resources)
    wrap(iam_evaluator, "_resolve_condition_key", _with_secure_transport)
    wrap(iam_evaluator, "_fnmatch_compile", _with_line_breaks)


def batch_resources(path: str, body: bytes, region: str, account: str) -> tuple[str, ...]:
    """ARNs that a Batch call is authorised on; `*` if AWS has no resource level."""
    try:
        payload = json.loads(body or b"{}")
    except ValueError:
        payload = {}

    def arn(kind: str, reference: str) -> str:
        if reference.startswith("arn:"):
            return reference
        return f"arn:aws:batch:{region}:{account}:{kind}/{reference}"

    operation = path.rstrip("/").rsplit("/", 1)[-1].lower()
    if operation == "submitjob":
        queue, definition = payload.get("jobQueue", ""), payload.get("jobDefinition", "")
        return arn("job-queue", queue), arn("job-definition", definition)
    if operation in _JOB_OPERATIONS:
        return (arn("job", payload.get("jobId", "")),)
    return ("*",)


def _with_batch_resources(original: Callable[..., str]) -> Callable[..., str]:
    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
        region: str,
        account_id: str,
    ) -> str:
        if service != "batch":
            return original(service, method, path, headers, body, query_params, region, account_id)
        first, *others = batch_resources(path, body, region, account_id)
        resources = _Resources(first)
        resources.others = tuple(others)
        return resources

    return extract_resource_arn


def _with_one_root(_: Callable[..., bool]) -> Callable[..., bool]:
    root = os.environ["AWS_ACCESS_KEY_ID"]

    def is_root_access_key(access_key_id: str) -> bool:
        return hmac.compare_digest(access_key_id.encode(), root.encode())

    return is_root_access_key


def _for_all_resources(original: Callable[..., Any]) -> Callable[..., Any]:
    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        """None if allowed. Every decision of the emulator passes here."""
        if not access_key_id:
            return iam_evaluator.AuthError("AccessDenied", "Anonymous requests are not served.")
        for resource in (str(resource_arn), *getattr(resource_arn, "others", ())):
            denied = original(access_key_id, iam_action, service, region, resource, service_context)
            if denied is not None:
                return denied
        return None

    return enforce


def _with_secure_transport(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_condition_key(key: str, ctx: Any) -> Any:
        return "true" if key.lower() == "aws:securetransport" else original(key, ctx)

    return resolve_condition_key


def _with_line_breaks(original: Callable[..., re.Pattern[str]]) -> Callable[..., re.Pattern[str]]:
    @functools.lru_cache(4096)
    def fnmatch_compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
        compiled = original(pattern, ignore_case)
        return re.compile(compiled.pattern.removesuffix("$") + r"\Z", compiled.flags | re.DOTALL)

    return fnmatch_compile
