"""Settings of buckets and of the job table."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.settings.reading import SettingsPart

JOB_DAYS_MAX = 14
"""The longest that a job may live; what it reads must outlive it."""

StorageClass = Literal[
    "STANDARD",
    "INTELLIGENT_TIERING",
    "STANDARD_IA",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
]
DAYS_BEFORE_CLASS: dict[str, int] = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
"""S3's own minimum; elsewhere one day.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html"""


class StorageSettings(SettingsPart):
    protect: bool = True
    """Keep buckets, table and keys, and what is in them, when the stack is destroyed."""
    noncurrent_days: int = Field(default=30, ge=JOB_DAYS_MAX + 1)
    """Days after which a replaced or deleted version of an upload or result is removed for good."""
    source_days: int | None = Field(default=None, ge=JOB_DAYS_MAX + 1)
    """Days after which an upload is deleted. None: never."""
    intermediate_days: int = Field(default=21, ge=JOB_DAYS_MAX + 1)
    """Days after which a job's intermediate objects are deleted."""
    intermediate_versioned: bool = False
    """Keep replaced and deleted intermediate objects for noncurrent_days."""
    final_days: int | None = Field(default=None, ge=1)
    """Days after which a result is deleted. None: never."""
    final_versioned: bool = True
    """Keep replaced and deleted results for noncurrent_days."""
    final_storage_class: StorageClass = "STANDARD"
    """Storage class of results after final_storage_days. From GLACIER and DEEP_ARCHIVE they must be
    restored before anybody can download them."""
    final_storage_days: int = Field(default=30, ge=1)
    """Days after which a result moves to final_storage_class; at least 30 for STANDARD_IA and
    ONEZONE_IA."""
    access_log_days: int = Field(default=90, ge=1)
    """Days after which an access log is deleted."""

    @model_validator(mode="after")
    def _within_the_minimums_of_s3(self) -> Self:
        kind, days = self.final_storage_class, self.final_storage_days
        least = DAYS_BEFORE_CLASS.get(kind, 1)
        if days < least:
            raise ValueError(f"final_storage_days: got {days}, must be at least {least} for {kind}")
        if kind != "STANDARD" and self.final_days is not None and self.final_days <= days:
            raise ValueError(
                f"final_days: got {self.final_days}, must be more than final_storage_days "
                f"({days}), because a result moves before it is deleted"
            )
        return self
