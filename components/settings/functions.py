"""Settings of the Lambda functions."""

from typing import Literal

from pydantic import Field

from components.settings.part import SettingsPart


class FunctionSettings(SettingsPart):
    lambda_architecture: Literal["arm64", "x86_64"] = "arm64"
    """Processor of the functions."""
    powertools_layer_version: int = Field(default=27, ge=1)
    """Version of the public Powertools V3 layer; 27 is Powertools 3.23.0."""
    powertools_layer_arn: str | None = Field(default=None, pattern=r"^arn:.+:layer:.+:\d+$")
    """A layer of one's own, for partitions in which the public one does not exist."""
    reserved_concurrency: int | None = Field(default=None, ge=2, le=1000)
    """Reserved for each function. None: they share the account's; small accounts allow no other."""
