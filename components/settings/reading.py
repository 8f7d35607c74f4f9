"""From Pulumi's configuration to typed settings, for any program of the repository."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import ConfigDict, ValidationError

from contracts.base import Contract, ContractError, explain

Settings = TypeVar("Settings", bound=Contract)

STACK_NAME = "[a-z][a-z0-9-]{0,15}"
"""Short, for physical names carry the stack's name and end at 63 characters (S3) or 64 (IAM)."""


class SettingsPart(Contract):
    """A group of settings. The text under a field is its description, in Pulumi.yaml and in
    docs/deploy.md too."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def parse(model: type[Settings], namespace: str, values: Mapping[str, Any]) -> Settings:
    """From names without namespace to values; lists may be JSON text, as Pulumi passes them.

    Raises ContractError with one sentence: field, value got, what is allowed.
    """
    fields = {name: _from_json(value) for name, value in values.items()}
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ContractError(
            "stack settings: " + explain(error, f"{namespace}:", known=model.model_fields)
        ) from error


def _from_json(value: Any) -> Any:
    if not (isinstance(value, str) and value.startswith("[")):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def check_stack_name(stack: str) -> str:
    """Return the stack's name. Raises ContractError where it does not fit into AWS's names."""
    if not re.fullmatch(STACK_NAME, stack):
        raise ContractError(
            f"stack name: got {stack!r}, must be 1 to 16 lower-case letters, digits and "
            "hyphens, beginning with a letter"
        )
    return stack


def read(model: type[Settings], namespace: str) -> Settings:
    """The running stack's settings. Raises pulumi.RunError, which Pulumi shows without traceback.

    All keys of the namespace are read, so that a misspelt one is refused and not ignored.
    """
    known = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    prefix = f"{namespace}:"
    values = {k.removeprefix(prefix): v for k, v in known.items() if k.startswith(prefix)}
    try:
        check_stack_name(pulumi.get_stack())
        return parse(model, namespace, values)
    except ContractError as error:
        raise pulumi.RunError(str(error)) from error
