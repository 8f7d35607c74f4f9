"""How AWS Batch runs our jobs: pure functions from values to dicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws

from contracts.names import RETRY_EXIT_CODES
from contracts.stack.environ import JOB_REGION_VARIABLE
from contracts.stack.images import CONTAINER_GID, CONTAINER_UID

SCRATCH_PATH = "/tmp"  # noqa: S108 - inside the container, on the instance's encrypted volume
CONTAINER_USER = f"{CONTAINER_UID}:{CONTAINER_GID}"
"""Of both images; root alone may reach the instance's metadata."""
LOG_BUFFER = "4m"

ExitRule = aws.batch.JobDefinitionRetryStrategyEvaluateOnExitArgsDict
TimeLimitAction = aws.batch.JobQueueJobStateTimeLimitActionArgsDict


def exit_rules() -> list[ExitRule]:
    """Which ends of an attempt are retried, in the form of `evaluateOnExit`.

    Lost hosts (Spot), failed pulls and our own retryable exit codes; everything else has failed
    for good. Without the last rule Batch would retry whatever no rule matches. Five is the most.
    https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
    """
    own: list[ExitRule] = [
        {"on_exit_code": str(int(code)), "action": "RETRY"} for code in RETRY_EXIT_CODES
    ]
    return [
        {"on_status_reason": "Host EC2*", "action": "RETRY"},
        {"on_reason": "CannotPullContainer*", "action": "RETRY"},
        *own,
        {"on_reason": "*", "action": "EXIT"},
    ]


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long the job at the head of a queue may wait before it is cancelled; None: forever."""

    capacity_seconds: int | None
    """For instances that no environment of the queue can get."""
    misfit_seconds: int | None
    """Though no environment of the queue could ever run it."""

    def actions(self) -> list[TimeLimitAction]:
        """In the form of `jobStateTimeLimitActions`; the reason is what Batch looks for.

        Batch does not always say why a job waits: the stage's own time limit stays the last word.
        https://docs.aws.amazon.com/batch/latest/userguide/job-state-time-limit-actions.html
        """
        limits = {
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": self.capacity_seconds,
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": self.misfit_seconds,
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": self.misfit_seconds,
        }
        return [
            {"reason": reason, "state": "RUNNABLE", "max_time_seconds": limit, "action": "CANCEL"}
            for reason, limit in limits.items()
            if limit is not None
        ]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one job takes of an instance."""

    vcpus: int
    memory_mib: int
    gpus: int = 0

    def requirements(self) -> list[dict[str, str]]:
        listed = {"VCPU": self.vcpus, "MEMORY": self.memory_mib, "GPU": self.gpus}
        return [{"type": kind, "value": str(value)} for kind, value in listed.items() if value]


@dataclass(frozen=True, kw_only=True)
class JobContainer:
    """A job definition's container, once everything is known."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, Any]
    """Names as the workload reads them; values become text."""
    resources: Resources
    job_role_arn: str
    log_group: str
    region: str
    log_stream: str

    def properties(self) -> dict[str, Any]:
        """In AWS's own spelling.

        Nothing is writable but the scratch folder, a volume that Docker makes for each job.
        https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html
        """
        return {
            "image": self.image,
            "user": CONTAINER_USER,
            "command": list(self.command),
            "jobRoleArn": self.job_role_arn,
            "resourceRequirements": self.resources.requirements(),
            "environment": [
                {"name": name, "value": str(value)}
                for name, value in sorted(
                    {**self.environment, JOB_REGION_VARIABLE: self.region}.items()
                )
            ],
            "readonlyRootFilesystem": True,
            "privileged": False,
            "linuxParameters": {"initProcessEnabled": True},
            "volumes": [{"name": "scratch", "host": {}}],
            "mountPoints": [
                {"sourceVolume": "scratch", "containerPath": SCRATCH_PATH, "readOnly": False}
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    # a job loses lines rather than block while the log does
                    "mode": "non-blocking",
                    "max-buffer-size": LOG_BUFFER,
                    "awslogs-group": self.log_group,
                    "awslogs-region": self.region,
                    "awslogs-stream-prefix": self.log_stream,
                },
            },
        }
