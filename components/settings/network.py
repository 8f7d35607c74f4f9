"""Settings of the network."""

import ipaddress

from pydantic import field_validator

from contracts.base import Contract


class NetworkSettings(Contract):
    vpc_cidr: str = "10.42.0.0/20"

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
