"""Typed settings of a stack, read from `superres:*` in Pulumi's configuration."""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from contracts.base import Contract, ContractError, explain
from contracts.names import PROJECT

JOB_DAYS_MAX = 14
"""The longest that a job may live; what it reads must outlive it."""
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")
"""Short, for physical names carry the stack's name and end at 63 characters (S3) or 64 (IAM)."""
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError("expected an address such as film@example.com")
    return value


def _image(value: str) -> str:
    if not re.fullmatch(r"[^\s:@]\S*[:@]\S+", value):
        raise ValueError("expected an image with a tag or digest, such as example/media:1.0")
    return value


Email = Annotated[str, AfterValidator(_email)]
Image = Annotated[str, AfterValidator(_image)]


class StackSettings(Contract):
    """Everything that may differ between two stacks. Vcpus and sizes are whole numbers."""

    owner: str = Field(min_length=1)
    cost_center: str = Field(min_length=1)
    protect: bool = True
    """Keep buckets and table, and what is in them, when the stack is destroyed."""
    email_addresses: tuple[Email, ...] = ()
    """Who is told of finished and failed jobs; each address confirms its subscription once."""
    log_retention_days: int = 30
    noncurrent_days: int = Field(default=30, ge=JOB_DAYS_MAX + 1)
    """Days after which a replaced or deleted version of an upload or result is gone."""
    intermediate_days: int = Field(default=21, ge=JOB_DAYS_MAX + 1)
    """Days after which a job's intermediate objects are gone."""

    vpc_cidr: str = "10.42.0.0/20"

    lambda_architecture: Literal["arm64", "x86_64"] = "arm64"
    powertools_layer_version: int = Field(default=27, ge=1)
    """Version of the public Powertools V3 layer; 27 is Powertools 3.23.0."""
    powertools_layer_arn: str | None = Field(default=None, pattern=r"^arn:.+:layer:.+:\d+$")
    """A layer of one's own, for partitions in which the public one does not exist."""
    reserved_concurrency: int | None = Field(default=None, ge=2, le=1000)
    """Of each function. None: they share the account's; small accounts allow nothing else."""

    media_image: Image
    upscaler_image: Image
    media_vcpus: int = Field(default=2, ge=1)
    media_memory_mib: int = Field(default=6144, ge=256)
    media_max_vcpus: int = Field(default=16, ge=1)
    media_scratch_gib: int = Field(default=200, ge=30)
    """Disk of a media instance: recompose holds all shards and the result at once."""
    worker_vcpus: int = Field(default=4, ge=1)
    worker_memory_mib: int = Field(default=14336, ge=256)
    worker_gpus: int = Field(default=1, ge=0)
    worker_scratch_gib: int = Field(default=60, ge=30)
    spot_max_vcpus: int = Field(default=64, ge=1)
    on_demand_max_vcpus: int = Field(default=16, ge=1)
    gpu_instance_types: tuple[str, ...] = Field(
        default=("g4dn.xlarge", "g4dn.2xlarge", "g5.xlarge", "g5.2xlarge", "g6.xlarge"),
        min_length=1,
    )
    """All with NVENC; several families, for Spot capacity comes and goes by family."""
    cpu_instance_types: tuple[str, ...] = Field(default=("c6i", "c7i", "m6i", "m7i"), min_length=1)

    model_dir: str = "/opt/superres/weights"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    progress_seconds: float = Field(default=2.0, gt=0)
    worker_gflops: float = Field(default=8000.0, gt=0)
    worker_parallelism: int | None = Field(default=None, ge=1)
    """Workers that the plan counts on. None: as many as fit into the Spot environment."""
    inference_threads: int = Field(default=4, ge=1)
    inference_dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    encoder_threads: int = Field(default=4, ge=1)
    max_source_bytes: int = Field(default=200 * 1024**3, gt=0)
    max_frame_pixels: int = Field(default=4096 * 2304, gt=0)
    max_output_pixels: int = Field(default=8192 * 4608, gt=0)
    max_frames: int = Field(default=1_000_000, gt=0)
    max_duration_seconds: float = Field(default=6 * 3600.0, gt=0)
    max_streams: int = Field(default=64, gt=0)

    @field_validator("log_retention_days")
    @classmethod
    def _retention(cls, value: int) -> int:
        if value not in LOG_RETENTION_DAYS:
            raise ValueError("allowed are " + ", ".join(map(str, LOG_RETENTION_DAYS)))
        return value

    @field_validator("vpc_cidr")
    @classmethod
    def _cidr(cls, value: str) -> str:
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise ValueError(f"expected a network such as 10.42.0.0/20: {error}") from error
        if not 16 <= network.prefixlen <= 24:
            raise ValueError("allowed are networks from /16 to /24")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._at_most("worker_vcpus", "spot_max_vcpus")
        self._at_most("worker_vcpus", "on_demand_max_vcpus")
        self._at_most("media_vcpus", "media_max_vcpus")
        if self.device == "cuda" and self.worker_gpus == 0:
            raise ValueError("device: got 'cuda', but worker_gpus is 0; allowed are auto and cpu")
        room = (self.spot_max_vcpus + self.on_demand_max_vcpus) // self.worker_vcpus
        if self.worker_parallelism is not None and self.worker_parallelism > room:
            raise ValueError(
                f"worker_parallelism: got {self.worker_parallelism}, allowed are 1 to {room}: "
                f"so many workers of {self.worker_vcpus} vCPUs fit into spot_max_vcpus and "
                "on_demand_max_vcpus together"
            )
        return self

    def _at_most(self, field: str, limit_field: str) -> None:
        value, limit = getattr(self, field), getattr(self, limit_field)
        if value > limit:
            raise ValueError(f"{field}: got {value}, allowed are 1 to {limit_field} ({limit})")

    @property
    def parallelism(self) -> int:
        """Processing workers that the plan counts on."""
        return self.worker_parallelism or self.spot_max_vcpus // self.worker_vcpus

    def tags(self, stack: str) -> dict[str, str]:
        """Tags of every resource."""
        return {
            "project": PROJECT,
            "stack": stack,
            "owner": self.owner,
            "cost-center": self.cost_center,
        }


def parse_settings(values: Mapping[str, Any]) -> StackSettings:
    """From names without namespace to values; lists may be JSON text, as Pulumi passes them.

    Raises ContractError with one sentence: field, value got, what is allowed.
    """
    fields = {name: _from_json(value) for name, value in values.items()}
    try:
        return StackSettings.model_validate(fields)
    except ValidationError as error:
        raise ContractError("stack settings: " + explain(error, f"{PROJECT}:")) from error


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


def read_settings() -> StackSettings:
    """The running stack's settings. Raises pulumi.RunError, which Pulumi shows without traceback.

    All keys of the namespace are read, so that a misspelt one is refused and not ignored.
    """
    known = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    values = {k.removeprefix(prefix): v for k, v in known.items() if k.startswith(prefix)}
    try:
        check_stack_name(pulumi.get_stack())
        return parse_settings(values)
    except ContractError as error:
        raise pulumi.RunError(str(error)) from error
