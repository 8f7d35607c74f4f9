"""What AWS Batch is told of our jobs and instances: pure functions from values to dicts."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.names import RETRY_EXIT_CODES

ATTEMPTS = 3
SCRATCH_PATH = "/tmp"  # noqa: S108 - inside the container, on the instance's encrypted volume
ROOT_DEVICE = "/dev/xvda"

CPU_IMAGE = "ECS_AL2023"
GPU_IMAGE = "ECS_AL2023_NVIDIA"
"""https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html"""


def exit_rules() -> list[dict[str, str]]:
    """Which ends of an attempt are tried again, in the form of `evaluateOnExit`.

    Lost hosts (Spot), failed pulls and our own retryable exit codes; everything else has failed
    for good. Without the last rule Batch would retry whatever no rule matches. Five is the most.
    https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
    """
    own = [{"on_exit_code": str(int(code)), "action": "RETRY"} for code in RETRY_EXIT_CODES]
    return [
        {"on_status_reason": "Host EC2*", "action": "RETRY"},
        {"on_reason": "CannotPullContainer*", "action": "RETRY"},
        *own,
        {"on_reason": "*", "action": "EXIT"},
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
class Container:
    """A job definition's container, once everything is known."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, Any]
    """Names as the workload reads them; values become text."""
    resources: Resources
    job_role_arn: str
    log_group: str
    log_region: str
    log_stream: str

    def properties(self) -> dict[str, Any]:
        """In AWS's own spelling.

        Nothing is writable but the scratch folder, a volume that Docker makes for each job.
        https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html
        """
        return {
            "image": self.image,
            "command": list(self.command),
            "jobRoleArn": self.job_role_arn,
            "resourceRequirements": self.resources.requirements(),
            "environment": [
                {"name": name, "value": str(value)}
                for name, value in sorted(self.environment.items())
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
                    "awslogs-group": self.log_group,
                    "awslogs-region": self.log_region,
                    "awslogs-stream-prefix": self.log_stream,
                },
            },
        }


def user_data() -> str:
    """Start-up script of an instance, base64 of MIME as Batch wants it.

    On a Spot notice ECS drains the instance, and a worker gets 110 of the 120 seconds.
    https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
    """
    script = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="==SUPERRES=="

--==SUPERRES==
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/bash
echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config
echo ECS_CONTAINER_STOP_TIMEOUT=110s >> /etc/ecs/ecs.config

--==SUPERRES==--
"""
    return base64.b64encode(script.encode()).decode()
