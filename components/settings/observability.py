"""Settings of logs, alarms and who is notified."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.observability.alarms import Thresholds
from components.settings.reading import SettingsPart

LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""

BUDGET_ADDRESSES_MAX = 10
"""https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Notification.html"""


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError("expected an address such as film@example.com")
    return value


Email = Annotated[str, AfterValidator(_email)]


class ObservabilitySettings(SettingsPart):
    email_addresses: tuple[Email, ...] = ()
    """Who is notified of finished jobs, failed jobs and alarms; each address confirms once."""
    failure_email_addresses: tuple[Email, ...] = ()
    """Who is notified only of jobs that failed or timed out."""
    alarm_email_addresses: tuple[Email, ...] = ()
    """Who is notified only of alarms."""
    log_retention_days: int = 30
    """Days after which logs are deleted; CloudWatch accepts certain numbers only."""

    dashboard: bool = True
    """A CloudWatch dashboard for the stack's operators."""
    alarms: bool = True
    """Notify the e-mail topic when somebody must act; docs/operations.md says what to do."""
    alarm_failed_jobs: int = Field(default=3, ge=1)
    """Failed jobs within an hour that raise an alarm."""
    alarm_function_errors: int = Field(default=3, ge=1)
    """Errors of one function within 15 minutes that raise an alarm; each call is retried."""
    alarm_queue_minutes: int = Field(default=30, ge=10, le=24 * 60)
    """Age of a queue's oldest message, in minutes, that raises an alarm."""
    alarm_capacity_minutes: int = Field(default=60, ge=15, le=24 * 60)
    """A job's wait for an instance, in minutes, that raises an alarm."""
    monthly_budget_dollars: int | None = Field(default=None, ge=1)
    """What the stack may cost in a month, in US dollars. AWS e-mails those who receive alarms at 80
    and 100 % of it, and when it forecasts more. None: no budget. Needs the cost allocation tag
    `stack`."""

    @field_validator("log_retention_days")
    @classmethod
    def _retention(cls, value: int) -> int:
        if value not in LOG_RETENTION_DAYS:
            raise ValueError("must be one of " + ", ".join(map(str, LOG_RETENTION_DAYS)))
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
                f"email_addresses: got {twice[0]} more than once, must be listed "
                "once; film+alarms@example.com reaches the same person"
            )
        return self

    @model_validator(mode="after")
    def _somebody_hears(self) -> Self:
        count = len(self.operators)
        if self.monthly_budget_dollars is not None and not 1 <= count <= BUDGET_ADDRESSES_MAX:
            raise ValueError(
                f"monthly_budget_dollars: got {self.monthly_budget_dollars} and {count} addresses "
                "in email_addresses and alarm_email_addresses, must be 1 to "
                f"{BUDGET_ADDRESSES_MAX}"
            )
        return self

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(
            failed_jobs=self.alarm_failed_jobs,
            function_errors=self.alarm_function_errors,
            queue_minutes=self.alarm_queue_minutes,
            capacity_minutes=self.alarm_capacity_minutes,
        )

    @property
    def operators(self) -> tuple[str, ...]:
        """Addresses that receive alarms."""
        return (*self.email_addresses, *self.alarm_email_addresses)

    @property
    def subscribers(self) -> dict[str, Literal["everything", "failures", "alarms"]]:
        """What each address receives."""
        return {
            **dict.fromkeys(self.email_addresses, "everything"),
            **dict.fromkeys(self.failure_email_addresses, "failures"),
            **dict.fromkeys(self.alarm_email_addresses, "alarms"),
        }
