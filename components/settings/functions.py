"""Settings of the Lambda functions."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.settings.reading import SettingsPart


class FunctionSettings(SettingsPart):
    lambda_architecture: Literal["arm64", "x86_64"] = "arm64"
    """Processor architecture of the functions."""
    powertools_layer_version: int = Field(default=27, ge=1)
    """Version of the public Powertools V3 layer; 27 is Powertools 3.23.0."""
    powertools_layer_arn: str | None = Field(default=None, pattern=r"^arn:.+:layer:.+:\d+$")
    """Another layer, for partitions where the public one does not exist."""
    reserved_concurrency: int | None = Field(default=None, ge=2, le=1000)
    """Concurrency reserved for each function. None: functions share the account's, as they must in
    small accounts."""
    queue_concurrency: int = Field(default=10, ge=2, le=1000)
    """Batches of messages from each queue that are handled at once: a flood of uploads waits in the
    queues, and exhausts neither the account's functions nor Batch's 50 submissions a second."""
    tracing: bool = True
    """Trace functions and workflow with X-Ray."""
    reconcile_minutes: int = Field(default=5, ge=1, le=60)
    """How often the reconciler looks for what no event reported."""

    @model_validator(mode="after")
    def _polling_fits_the_reserve(self) -> Self:
        if self.reserved_concurrency and self.queue_concurrency > self.reserved_concurrency:
            raise ValueError(
                f"queue_concurrency: got {self.queue_concurrency}, must be 2 to "
                f"reserved_concurrency ({self.reserved_concurrency}): messages that find no free "
                "function go to the dead letters"
            )
        return self
