"""Typed settings of a stack, read from `superres:*` in Pulumi's configuration.

One file per part of the program; a stack has the fields of all of them.
"""

from collections.abc import Mapping
from typing import Any, Self

import pulumi
from pydantic import Field, model_validator

from components.common.tags import TagValue, required_tags
from components.settings.encryption import EncryptionSettings
from components.settings.functions import FunctionSettings
from components.settings.images import ImageSettings
from components.settings.network import NetworkSettings
from components.settings.observability import ObservabilitySettings
from components.settings.prices import PriceSettings
from components.settings.reading import parse, read
from components.settings.storage import StorageSettings
from components.settings.workers import WorkerSettings
from contracts.base import ContractError
from contracts.names import PROJECT
from contracts.stack.images import EcrRepository, ImageReference

LOCAL_STACK = "local"
"""The embedded AWS's."""


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
    """Who is responsible for the stack; a tag of every resource."""
    cost_center: TagValue
    """Who pays for the stack; a tag of every resource."""
    permissions_boundary_arn: str | None = Field(
        default=None, pattern=r"^arn:.+:iam::\d{12}:policy/.+$"
    )
    """Permissions boundary of all the stack's roles (registry/). None: no boundary."""

    @model_validator(mode="after")
    def _images_can_be_pulled(self) -> Self:
        if self.network == "public" or self.images != "digest":
            return self
        for image, value in self.named_images.items():
            if EcrRepository.find(ImageReference.parse(value).repository) is None:
                raise ValueError(
                    f"{image.setting}: got {value!r}, must be an image in ECR where network is "
                    "private: no other registry can be reached from there"
                )
        return self

    @model_validator(mode="after")
    def _workers_can_compute(self) -> Self:
        on_processors = self.worker_gpus == 0 or self.device == "cpu"
        if on_processors and self.inference_dtype == "float16":
            raise ValueError(
                "inference_dtype: got 'float16', must be float32 or bfloat16 for workers "
                "without a GPU"
            )
        if on_processors and self.video_encoders == "nvenc":
            raise ValueError(
                "video_encoders: got 'nvenc', must be software for workers without a GPU"
            )
        if not on_processors and self.inference_engine == "ncnn":
            raise ValueError(
                "inference_engine: got 'ncnn', must be torch for workers with a GPU; on "
                "processors worker_gpus is 0"
            )
        return self

    def tags(self, stack: str) -> dict[str, str]:
        """Tags of every resource."""
        return required_tags(
            project=PROJECT, stack=stack, owner=self.owner, cost_center=self.cost_center
        )


def parse_settings(values: Mapping[str, Any]) -> StackSettings:
    """From names without namespace to values. Raises ContractError."""
    return parse(StackSettings, PROJECT, values)


def check_images_suit(stack: str, settings: StackSettings) -> None:
    """Raises ContractError where the stack may not get its images in this way."""
    got = f"stack settings: {PROJECT}:images: got {settings.images!r}"
    if settings.images == "local" and stack != LOCAL_STACK:
        raise ContractError(
            f"{got} in stack {stack!r}, which pulls images; must be digest or build"
        )
    if settings.images == "build" and settings.protect:
        raise ContractError(
            f"{got}, but protect is true; must be digest: a stack that matters runs what "
            "another one has tried"
        )


def read_settings() -> StackSettings:
    """The running stack's settings. Raises pulumi.RunError."""
    settings = read(StackSettings, PROJECT)
    try:
        check_images_suit(pulumi.get_stack(), settings)
        settings.check_region(pulumi.Config("aws").get("region") or "")
    except ContractError as error:
        raise pulumi.RunError(str(error)) from error
    return settings
