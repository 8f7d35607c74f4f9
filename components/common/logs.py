"""Log groups: each deletes its events after a while, and is encrypted as the stack asks."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    retention_days: int
    key_arn: pulumi.Input[str] | None = None
    """None: a key that CloudWatch Logs owns. The key's policy decides which groups may use it."""


def log_group(
    name: str, path: str, logs: LogSettings, opts: pulumi.ResourceOptions
) -> aws.cloudwatch.LogGroup:
    """A log group named `path`."""
    return aws.cloudwatch.LogGroup(
        name,
        name=path,
        retention_in_days=logs.retention_days,
        kms_key_id=logs.key_arn,
        opts=opts,
    )
