"""From a SubmitJob request and its job definition to a SubmittedJob. Pure.

Limits: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from contracts.limits import (
    BATCH_ARRAY_MAX,
    BATCH_ARRAY_MIN,
    BATCH_CONTAINER_OVERRIDES_CHARS,
    BATCH_JOB_NAME_CHARS,
)
from local.emulator.batch.model import BatchError, SubmittedJob
from local.emulator.batch.retry import parse_retry_strategy

_JOB_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{BATCH_JOB_NAME_CHARS - 1}}}")
_REQUEST_BYTES = 30 * 1024
_DEPENDENCIES_MAX = 20
_TIMEOUT_MIN_SECONDS = 60
_RESERVED_PREFIX = "AWS_BATCH"
_PLAIN_FIELDS = ("propagateTags", "platformCapabilities", "schedulingPriority", "shareIdentifier")


def check_definition(definition: Mapping[str, Any]) -> None:
    """Raises BatchError for a RegisterJobDefinition that AWS would refuse."""
    container = definition.get("containerProperties")
    if definition.get("type") != "container" or not container:
        raise BatchError(
            "only job definitions of type container with containerProperties run here."
        )
    if not container.get("image"):
        raise BatchError("containerProperties must name an image.")
    _check_environment(container.get("environment") or [])
    _vcpus(container)
    parse_retry_strategy(definition.get("retryStrategy") or {})
    _timeout(definition.get("timeout") or {})


def build_spec(
    request: Mapping[str, Any], queue_arn: str, definition: Mapping[str, Any]
) -> SubmittedJob:
    """Merge. Raises BatchError for what AWS would refuse."""
    name = request.get("jobName") or ""
    if not _JOB_NAME.fullmatch(name):
        raise BatchError(
            f"jobName {name!r} must be 1 to {BATCH_JOB_NAME_CHARS} letters, digits, hyphens and "
            "underscores, beginning with a letter or digit."
        )
    if len(json.dumps(request)) > _REQUEST_BYTES:
        raise BatchError(f"a SubmitJob request may hold at most {_REQUEST_BYTES} bytes.")
    overrides = request.get("containerOverrides") or {}
    if len(json.dumps(overrides)) > BATCH_CONTAINER_OVERRIDES_CHARS:
        raise BatchError(
            "Container Overrides length must be at most "
            f"{BATCH_CONTAINER_OVERRIDES_CHARS} characters."
        )
    retry = request.get("retryStrategy") or definition.get("retryStrategy") or {"attempts": 1}
    timeout = request.get("timeout") or definition.get("timeout") or {}
    attempts, rules = parse_retry_strategy(retry)
    parameters = {**(definition.get("parameters") or {}), **(request.get("parameters") or {})}
    container = _container(definition["containerProperties"], overrides, parameters)
    described = {name: definition[name] for name in _PLAIN_FIELDS if name in definition}
    described |= {name: request[name] for name in _PLAIN_FIELDS if name in request}
    described |= {
        "retryStrategy": retry,
        "timeout": timeout,
        "parameters": parameters,
        "tags": request.get("tags") or {},
        "dependsOn": dependencies(request),
    }
    return SubmittedJob(
        name=name,
        queue=queue_arn,
        definition=definition["jobDefinitionArn"],
        container=container,
        vcpus=_vcpus(container),
        attempts=attempts,
        exit_rules=rules,
        timeout_seconds=_timeout(timeout),
        size=_array_size(request),
        described=described,
    )


def dependencies(request: Mapping[str, Any]) -> list[dict[str, str]]:
    """The request's dependsOn. Raises BatchError for what AWS, or this executor, refuses."""
    entries = request.get("dependsOn") or []
    if len(entries) > _DEPENDENCIES_MAX:
        raise BatchError(f"a job can depend on at most {_DEPENDENCIES_MAX} jobs.")
    for entry in entries:
        if entry.get("type") or not entry.get("jobId"):
            raise BatchError(
                "dependsOn takes job ids here; types of dependency do not run locally."
            )
    return list(entries)


def _array_size(request: Mapping[str, Any]) -> int | None:
    size = (request.get("arrayProperties") or {}).get("size")
    if size is None:
        return None
    if not BATCH_ARRAY_MIN <= size <= BATCH_ARRAY_MAX:
        raise BatchError(
            f"Array size must be between {BATCH_ARRAY_MIN} and {BATCH_ARRAY_MAX}, got {size}."
        )
    return size


def _container(
    properties: Mapping[str, Any], overrides: Mapping[str, Any], parameters: Mapping[str, str]
) -> dict[str, Any]:
    _check_environment(overrides.get("environment") or [])
    environment = {p["name"]: p["value"] for p in properties.get("environment") or []}
    environment |= {p["name"]: p["value"] for p in overrides.get("environment") or []}
    requirements = {r["type"]: r["value"] for r in properties.get("resourceRequirements") or []}
    requirements |= {r["type"]: r["value"] for r in overrides.get("resourceRequirements") or []}
    command = overrides.get("command") or properties.get("command") or []
    return {
        **properties,
        "command": [_substitute(word, parameters) for word in command],
        "environment": [{"name": k, "value": v} for k, v in environment.items()],
        "resourceRequirements": [{"type": k, "value": v} for k, v in requirements.items()],
    }


def _substitute(word: str, parameters: Mapping[str, str]) -> str:
    """`Ref::name` becomes the parameter's value."""
    return parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word


def _check_environment(pairs: list[dict[str, str]]) -> None:
    for pair in pairs:
        if pair["name"].startswith(_RESERVED_PREFIX):
            raise BatchError(
                f"environment variable {pair['name']}: names that begin with {_RESERVED_PREFIX} "
                "are reserved by AWS Batch."
            )


def _vcpus(container: Mapping[str, Any]) -> float:
    kinds = {r["type"]: r["value"] for r in container.get("resourceRequirements") or []}
    value = kinds.get("VCPU", container.get("vcpus"))
    if value is None or ("MEMORY" not in kinds and "memory" not in container):
        raise BatchError("resourceRequirements must give VCPU and MEMORY.")
    try:
        return float(value)
    except ValueError as error:
        raise BatchError(f"resource requirement VCPU {value!r} is not a number.") from error


def _timeout(timeout: Mapping[str, Any]) -> int | None:
    seconds = timeout.get("attemptDurationSeconds")
    if seconds is not None and seconds < _TIMEOUT_MIN_SECONDS:
        raise BatchError(
            f"attemptDurationSeconds must be at least {_TIMEOUT_MIN_SECONDS}, got {seconds}."
        )
    return seconds
