"""Settings of the Batch environments and of the instances behind them."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.settings.reading import SettingsPart
from contracts.limits import BATCH_ATTEMPTS_MAX


def _instance_type(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)?", value):
        raise ValueError("expected a family or a size of instances, such as g5 or g5.xlarge")
    return value


InstanceType = Annotated[str, AfterValidator(_instance_type)]
ImageId = Annotated[str | None, Field(pattern=r"^ami-[0-9a-f]{8,17}$")]


class ComputeSettings(SettingsPart):
    """Sizes of jobs, of instances and of what stands ready for them."""

    media_vcpus: int = Field(default=2, ge=1)
    """VCPUs of a media job, which reads or writes a whole film (extract, recompose)."""
    media_memory_mib: int = Field(default=6144, ge=256)
    """Memory of a media job."""
    media_max_vcpus: int = Field(default=16, ge=1)
    """The most vCPUs that media jobs take at once."""
    media_scratch_gib: int = Field(default=200, ge=30)
    """Disk of a media instance: recompose holds all shards and the result at once."""
    worker_vcpus: int = Field(default=4, ge=1)
    """VCPUs of a worker, which is a job that upscales (process)."""
    worker_memory_mib: int = Field(default=14336, ge=256)
    """Memory of a worker. An instance keeps some of its memory for itself."""
    worker_gpus: int = Field(default=1, ge=0)
    """GPUs of a worker, each with a share of the shards. 0: it upscales on its CPUs."""
    worker_scratch_gib: int = Field(default=60, ge=30)
    """Disk of a worker's instance."""
    spot_max_vcpus: int = Field(default=64, ge=1)
    """The most vCPUs that workers take at once on Spot instances."""
    on_demand_max_vcpus: int = Field(default=16, ge=1)
    """The most vCPUs that workers take on demand, when Spot has no capacity."""
    gpu_instance_types: tuple[InstanceType, ...] = Field(
        default=("g4dn.xlarge", "g4dn.2xlarge", "g5.xlarge", "g5.2xlarge", "g6.xlarge"),
        min_length=1,
    )
    """Instance types of workers with GPUs. All have NVENC; several families, because Spot capacity
    comes and goes by family."""
    cpu_instance_types: tuple[InstanceType, ...] = Field(
        default=("c6i", "c7i", "m6i", "m7i"), min_length=1
    )
    """Instance types of jobs without a GPU: families or sizes."""

    gpu_image_id: ImageId = None
    """Machine image of instances with GPUs. None: the newest ECS image for Amazon Linux 2023 and
    NVIDIA, looked up at each deployment."""
    cpu_image_id: ImageId = None
    """Machine image of instances without GPUs. None: the newest ECS image for Amazon Linux 2023."""
    media_attempts: int = Field(default=3, ge=1, le=BATCH_ATTEMPTS_MAX)
    """Attempts of a media job in all, if its host is lost or it asks for a retry."""
    worker_attempts: int = Field(default=5, ge=1, le=BATCH_ATTEMPTS_MAX)
    """The same for a worker; these mostly run on Spot."""
    capacity_wait_seconds: int | None = Field(default=6 * 3600, ge=600, le=86_400)
    """How long the first job in a queue waits while no instance is available; then its film fails.
    None: until its stage times out."""
    misfit_wait_seconds: int | None = Field(default=600, ge=600, le=86_400)
    """How long the first job in a queue waits if it fits into none of the queue's environments."""

    batch_service_role: Literal["service-linked", "own"] = "service-linked"
    """The role by which Batch manages its environments. own: for accounts that allow no
    service-linked role; every change to an environment then replaces it."""

    spot_fleet: bool = False
    """Whether workers run on a Spot Fleet that stands ready, and is paid for while it idles."""
    fleet_instances: int = Field(default=2, ge=1, le=1000)
    """Instances of the fleet."""
    fleet_on_demand_instances: int = Field(default=0, ge=0)
    """How many of them are on demand, which AWS does not take back."""
    fleet_instance_types: tuple[InstanceType, ...] = ()
    """Sizes of the fleet's instances. None: gpu_instance_types."""
    fleet_workers_per_instance: int = Field(default=1, ge=1)
    """Workers that fit on the smallest of them."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What workers compute on. auto: a GPU if there is one."""
    worker_parallelism: int | None = Field(default=None, ge=1)
    """Workers that the plan counts on. None: as many as fit on the Spot instances, or on
    the fleet."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._at_most("worker_vcpus", "spot_max_vcpus")
        self._at_most("worker_vcpus", "on_demand_max_vcpus")
        self._at_most("media_vcpus", "media_max_vcpus")
        if self.device == "cuda" and self.worker_gpus == 0:
            raise ValueError("device: got 'cuda', but worker_gpus is 0; must be auto or cpu")
        if self.spot_fleet:
            self._fleet_fits()
        elif self.worker_parallelism is not None:
            vcpus = self.spot_max_vcpus + self.on_demand_max_vcpus
            self._at_most_workers(
                vcpus // self.worker_vcpus,
                f"so many workers of {self.worker_vcpus} vCPUs fit into spot_max_vcpus and "
                "on_demand_max_vcpus together",
            )
        return self

    def _fleet_fits(self) -> None:
        self._at_most("fleet_on_demand_instances", "fleet_instances", least=0)
        types = self.fleet_instance_types or self.gpu_instance_types
        if self.worker_gpus == 0 and not self.fleet_instance_types:
            raise ValueError(
                "fleet_instance_types: is missing; without worker_gpus the sizes of the fleet's "
                "instances must be named, such as c7i.2xlarge"
            )
        families = [kind for kind in types if "." not in kind]
        if families:
            raise ValueError(
                f"fleet_instance_types: got {families[0]!r}, must be sizes such as g5.xlarge: "
                "a fleet starts no families"
            )
        self._at_most_workers(
            self.fleet_instances * self.fleet_workers_per_instance,
            "so many workers fit onto fleet_instances",
        )

    def _at_most_workers(self, room: int, reason: str) -> None:
        if self.worker_parallelism is not None and self.worker_parallelism > room:
            raise ValueError(
                f"worker_parallelism: got {self.worker_parallelism}, must be 1 to {room}: " + reason
            )

    def _at_most(self, field: str, limit_field: str, least: int = 1) -> None:
        value, limit = getattr(self, field), getattr(self, limit_field)
        if value > limit:
            raise ValueError(f"{field}: got {value}, must be {least} to {limit_field} ({limit})")

    @property
    def worker_children(self) -> int:
        """Processes of a worker: one for each GPU, or a single one on processors."""
        return 1 if self.device == "cpu" else max(1, self.worker_gpus)

    @property
    def parallelism(self) -> int:
        """Processing workers that the plan counts on."""
        if self.worker_parallelism:
            return self.worker_parallelism
        if self.spot_fleet:
            return self.fleet_instances * self.fleet_workers_per_instance
        return self.spot_max_vcpus // self.worker_vcpus
