"""Logs which statements of a role's policy allowed each kind of call, if any: a JSON line each.

Calls are of one kind if role, action and the matching parts of the policy are the same; the line
names the first call's resource. Every check of a role passes `enforce`: signed requests, and what
services do on a role's behalf (local/emulator/iam.py).
"""

import contextvars
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

from local.emulator.patching import wrap

NEEDS = {
    "ministack.core.iam_evaluator": (
        "_conditions_met",
        "_first_match",
        "_resource_matches",
        "_resource_policy",
        "enforce",
        "evaluate",
        "evaluate_resource_policy",
    ),
}

Policies = list[list[iam_evaluator.ParsedStatement]]
Asked = list[tuple[iam_evaluator.EvalContext, Policies]]

_asked: contextvars.ContextVar[Asked | None] = contextvars.ContextVar("asked", default=None)


class _Log:
    """Thread-safe; writes nothing before it has a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: int | None = None
        self._seen: set[tuple[str, ...]] = set()

    def open(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def is_new(self, *kind: str) -> bool:
        with self._lock:
            known = kind in self._seen
            self._seen.add(kind)
        return not known

    def write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps(line).encode() + b"\n")


_log = _Log()


def apply() -> None:
    wrap(iam_evaluator, "evaluate", _noting)
    wrap(iam_evaluator, "enforce", _logging)


def write_to(path: Path) -> None:
    _log.open(path)


def grants(context: Any, policies: Policies) -> list[dict[str, Any]]:
    """Every Allow statement that matches: its Sid, and which of its alternatives match."""
    return [
        {
            "sid": statement.sid,
            "resources": [
                pattern
                for pattern in statement.resources
                if iam_evaluator._resource_matches(context.resource_arn, [pattern], [])
            ],
            "values": [
                value
                for operator, key, value in _alternatives(statement.conditions)
                if iam_evaluator._conditions_met({operator: {key: [value]}}, context)
            ],
        }
        for statements in policies
        for statement in statements
        if iam_evaluator._first_match(context, [statement], "Allow")
    ]


def _alternatives(conditions: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for operator, keys in conditions.items():
        for key, values in keys.items():
            for value in values if isinstance(values, list) else [values]:
                yield operator, key, value


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(context: Any, policies: Policies, *limits: Any) -> Any:
        asked = _asked.get()
        if asked is not None:
            asked.append((context, policies))
        return original(context, policies, *limits)

    return evaluate


def _logging(original: Callable[..., Any]) -> Callable[..., Any]:
    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        asked: Asked = []
        token = _asked.set(asked)
        try:
            denied = original(
                access_key_id, iam_action, service, region, resource_arn, service_context
            )
        finally:
            _asked.reset(token)
        if asked:  # first the caller's own policies, then the resource's
            _record(service, *asked[0], allowed=denied is None)
        return denied

    return enforce


def _record(service: str, context: Any, policies: Policies, *, allowed: bool) -> None:
    if context.principal_type != "AssumedRole":
        return
    role = context.principal_arn.split("/")[1]
    matching = grants(context, policies)
    asked = {key: str(value) for key, value in context.service_context.items() if value is not None}
    told_apart_by = json.dumps(matching if allowed else [context.resource_arn, asked])
    if not _log.is_new(role, context.action, str(allowed), told_apart_by):
        return
    line = {
        "role": role,
        "action": context.action,
        "resource": context.resource_arn,
        "context": asked,
        "allowed": allowed,
        "grants": matching,
        "resource_policy": _resource_policy_allows(service, context),
    }
    _log.write(line)


def _resource_policy_allows(service: str, context: Any) -> bool:
    """Whether the resource's own policy would admit this caller without any grant."""
    found = iam_evaluator._resource_policy(service, context.resource_arn)
    if found is None:
        return False
    result = iam_evaluator.evaluate_resource_policy(found[0], context, named_only=True)
    return result.decision == "Allow"
