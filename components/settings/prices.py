"""Prices of jobs: estimates for metrics, never a bill."""

from typing import Self

from pydantic import Field, model_validator

from components.settings.compute import ComputeSettings
from contracts.pricing import worker_dollars


class PriceSettings(ComputeSettings):
    """Prices of jobs on the stack's own instances."""

    worker_dollars_per_hour: float | None = Field(default=None, ge=0)
    """US dollars for an hour of a worker, in the metric of estimated dollars. None: the mean list
    price of its share of the instance types, half of it on Spot."""
    media_dollars_per_hour: float | None = Field(default=None, ge=0)
    """The same for a media job, which runs on demand."""

    @model_validator(mode="after")
    def _prices_are_known(self) -> Self:
        for field, price in (
            ("worker_dollars_per_hour", self.worker_price),
            ("media_dollars_per_hour", self.media_price),
        ):
            if price is None:
                raise ValueError(
                    f"{field}: is missing, and no list price is known of any of the instance "
                    "types that have room for such a job"
                )
        return self

    @property
    def worker_price(self) -> float | None:
        """Dollars an hour of a worker; never None once validated."""
        if self.worker_dollars_per_hour is not None:
            return self.worker_dollars_per_hour
        types = self.gpu_instance_types if self.worker_gpus else self.cpu_instance_types
        return worker_dollars(
            types,
            self.worker_vcpus,
            self.worker_gpus,
            spot=True,
            scratch_gib=self.worker_scratch_gib,
        )

    @property
    def media_price(self) -> float | None:
        """Dollars an hour of a media job; never None once validated."""
        if self.media_dollars_per_hour is not None:
            return self.media_dollars_per_hour
        return worker_dollars(
            self.cpu_instance_types,
            self.media_vcpus,
            0,
            spot=False,
            scratch_gib=self.media_scratch_gib,
        )
