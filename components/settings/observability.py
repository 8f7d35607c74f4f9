"""Settings of logs, alarms and who is told."""

import re
from typing import Annotated

from pydantic import AfterValidator, field_validator

from contracts.base import Contract

LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError("expected an address such as film@example.com")
    return value


Email = Annotated[str, AfterValidator(_email)]


class ObservabilitySettings(Contract):
    email_addresses: tuple[Email, ...] = ()
    """Who is told of finished and failed jobs; each address confirms its subscription once."""
    log_retention_days: int = 30

    @field_validator("log_retention_days")
    @classmethod
    def _retention(cls, value: int) -> int:
        if value not in LOG_RETENTION_DAYS:
            raise ValueError("allowed are " + ", ".join(map(str, LOG_RETENTION_DAYS)))
        return value
