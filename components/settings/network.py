"""Settings of the network."""

import ipaddress
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from components.settings.reading import SettingsPart


class NetworkSettings(SettingsPart):
    network: Literal["public", "private"] = "public"
    """public: public addresses, nothing in, HTTPS out, no idle cost. private: no internet."""
    vpc_cidr: str = "10.42.0.0/20"
    """Addresses of the instances' network, from /16 to /24."""
    zones: int = Field(default=2, ge=1, le=6)
    """Zones with a subnet. They cost nothing, and more zones offer more Spot capacity."""
    endpoint_zones: int = Field(default=1, ge=1)
    """Zones with interface endpoints (private only): six endpoints, each paid by the hour."""
    flow_logs: Literal["off", "rejected", "all"] = "rejected"
    """Which connections the network records, in a log group."""

    @field_validator("vpc_cidr")
    @classmethod
    def _cidr(cls, value: str) -> str:
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise ValueError(f"expected a network such as 10.42.0.0/20: {error}") from error
        if not 16 <= network.prefixlen <= 24:
            raise ValueError("must be a network from /16 to /24")
        return value

    @model_validator(mode="after")
    def _endpoints_stand_in_zones(self) -> Self:
        if self.endpoint_zones > self.zones:
            raise ValueError(
                f"endpoint_zones: got {self.endpoint_zones}, must be 1 to zones ({self.zones})"
            )
        return self
