"""Settings of logs, alarms and who is told."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, field_validator, model_validator

from components.settings.part import SettingsPart

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


class ObservabilitySettings(SettingsPart):
    email_addresses: tuple[Email, ...] = ()
    """Who is told of finished and failed jobs and of alarms; each address confirms once."""
    failure_email_addresses: tuple[Email, ...] = ()
    """Who is told of failed jobs only."""
    alarm_email_addresses: tuple[Email, ...] = ()
    """Who is told of alarms only."""
    log_retention_days: int = 30
    """Days after which logs are gone; CloudWatch has a list of what it takes."""

    @field_validator("log_retention_days")
    @classmethod
    def _retention(cls, value: int) -> int:
        if value not in LOG_RETENTION_DAYS:
            raise ValueError("allowed are " + ", ".join(map(str, LOG_RETENTION_DAYS)))
        return value

    @model_validator(mode="after")
    def _once(self) -> Self:
        listed = (
            *self.email_addresses,
            *self.failure_email_addresses,
            *self.alarm_email_addresses,
        )
        if twice := sorted({address for address in listed if listed.count(address) > 1}):
            raise ValueError(
                f"email_addresses: got {twice[0]} more than once, allowed is one subscription of "
                "an address; film+alarms@example.com reaches the same person"
            )
        return self

    @property
    def subscribers(self) -> dict[str, Literal["everything", "failures", "alarms"]]:
        """What each address hears."""
        return {
            **dict.fromkeys(self.email_addresses, "everything"),
            **dict.fromkeys(self.failure_email_addresses, "failures"),
            **dict.fromkeys(self.alarm_email_addresses, "alarms"),
        }
