"""Settings of buckets and of the job table."""

from pydantic import Field

from components.settings.part import SettingsPart

JOB_DAYS_MAX = 14
"""The longest that a job may live; what it reads must outlive it."""


class StorageSettings(SettingsPart):
    protect: bool = True
    """Keep buckets and table, and what is in them, when the stack is destroyed."""
    noncurrent_days: int = Field(default=30, ge=JOB_DAYS_MAX + 1)
    """Days after which a replaced or deleted version of an upload or result is gone."""
    intermediate_days: int = Field(default=21, ge=JOB_DAYS_MAX + 1)
    """Days after which a job's intermediate objects are gone."""
