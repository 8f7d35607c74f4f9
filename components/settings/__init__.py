"""Typed settings of a stack, read from `superres:*` in Pulumi's configuration.

One file per part of the program; a stack has the fields of all of them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Self

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import ValidationError, model_validator

from components.settings.encryption import EncryptionSettings
from components.settings.functions import FunctionSettings
from components.settings.images import ImageSettings
from components.settings.network import NetworkSettings
from components.settings.observability import ObservabilitySettings
from components.settings.prices import PriceSettings
from components.settings.storage import StorageSettings
from components.settings.workers import WorkerSettings
from components.tags import TagValue, required_tags
from contracts.base import ContractError, explain
from contracts.images import EcrRepository, ImageReference
from contracts.names import PROJECT

LOCAL_STACK = "local"
"""The embedded AWS's."""
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")
"""Short, for physical names carry the stack's name and end at 63 characters (S3) or 64 (IAM)."""


class StackSettings(
    EncryptionSettings,
    StorageSettings,
    NetworkSettings,
    FunctionSettings,
    ObservabilitySettings,
    ImageSettings,
    PriceSettings,
    WorkerSettings,
):
    """Everything that may differ between two stacks."""

    owner: TagValue
    """Who answers for the stack; a tag of every resource."""
    cost_center: TagValue
    """Who pays for the stack; a tag of every resource."""

    @model_validator(mode="after")
    def _images_can_be_pulled(self) -> Self:
        if self.network == "public" or self.images != "digest":
            return self
        for image, value in self.named_images.items():
            if EcrRepository.find(ImageReference.parse(value).repository) is None:
                raise ValueError(
                    f"{image.setting}: got {value!r}, allowed are images in ECR where network is "
                    "private: no other registry can be reached from there"
                )
        return self

    def tags(self, stack: str) -> dict[str, str]:
        """Tags of every resource."""
        return required_tags(
            project=PROJECT, stack=stack, owner=self.owner, cost_center=self.cost_center
        )


def parse_settings(values: Mapping[str, Any]) -> StackSettings:
    """From names without namespace to values; lists may be JSON text, as Pulumi passes them.

    Raises ContractError with one sentence: field, value got, what is allowed.
    """
    fields = {name: _from_json(value) for name, value in values.items()}
    try:
        return StackSettings.model_validate(fields)
    except ValidationError as error:
        known = StackSettings.model_fields
        raise ContractError(
            "stack settings: " + explain(error, f"{PROJECT}:", known=known)
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
    if not STACK_NAME.fullmatch(stack):
        raise ContractError(
            f"stack name: got {stack!r}, allowed are 1 to 16 lower-case letters, digits and "
            "hyphens, beginning with a letter"
        )
    return stack


def check_images_suit(stack: str, settings: StackSettings) -> None:
    """Raises ContractError where the stack may not get its images in this way."""
    got = f"stack settings: {PROJECT}:images: got {settings.images!r}"
    if settings.images == "local" and stack != LOCAL_STACK:
        raise ContractError(
            f"{got} in stack {stack!r}, which pulls images; allowed are digest and build"
        )
    if settings.images == "build" and settings.protect:
        raise ContractError(
            f"{got}, but protect is true; allowed is digest: a stack that matters runs what "
            "another one has tried"
        )


def read_settings() -> StackSettings:
    """The running stack's settings. Raises pulumi.RunError, which Pulumi shows without traceback.

    All keys of the namespace are read, so that a misspelt one is refused and not ignored.
    """
    known = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    values = {k.removeprefix(prefix): v for k, v in known.items() if k.startswith(prefix)}
    try:
        stack = check_stack_name(pulumi.get_stack())
        settings = parse_settings(values)
        check_images_suit(stack, settings)
        settings.check_region(known.get("aws:region", ""))
    except ContractError as error:
        raise pulumi.RunError(str(error)) from error
    return settings
