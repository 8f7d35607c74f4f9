"""What instances and jobs call, and what an endpoint lets through. Pure functions."""

from collections.abc import Sequence

from components.common.identity import KnownLocation
from components.common.policy import (
    ANY,
    Document,
    policy_document,
)
from components.compute.machine.grants import (
    AGENT_ACTIONS,
    LOG_ACTIONS,
    PULL_ACTIONS,
)

INTERFACES: dict[str, tuple[str, ...] | None] = {
    "ecr.api": PULL_ACTIONS,
    "ecr.dkr": PULL_ACTIONS,
    "ecs": AGENT_ACTIONS,
    "ecs-agent": None,
    "ecs-telemetry": None,
    "logs": LOG_ACTIONS,
}
"""Interface endpoints of a network without internet, each with the actions that it lets through.

The two channels of the ECS agent (None) support no endpoint policy. Credentials come through the
agent, hence no STS; encryption keys are used by S3 and EBS on our behalf, hence no KMS.
https://docs.aws.amazon.com/batch/latest/userguide/vpc-interface-endpoints.html
"""


def interface_policy(actions: Sequence[str], account: str) -> Document:
    """Only these actions, and only by our account: no other's credentials work from inside.

    On which resources is for the caller's role to say.
    """
    return policy_document(
        {
            "Sid": "OwnAccountOnly",
            "Effect": "Allow",
            "Principal": ANY,
            "Action": list(actions),
            "Resource": ANY,
            "Condition": {"StringEquals": {"aws:PrincipalAccount": account}},
        }
    )


def storage_policy(
    at: KnownLocation, bucket_arns: Sequence[str], actions: Sequence[str]
) -> Document:
    """Of S3: our buckets by what jobs do there, and the bucket in which ECR keeps image layers.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html#ecr-minimum-s3-perms
    """
    layers = f"arn:{at.partition}:s3:::prod-{at.region}-starport-layer-bucket/*"
    objects = [f"{arn}/*" for arn in bucket_arns]
    return policy_document(
        {
            "Sid": "OurBuckets",
            "Effect": "Allow",
            "Principal": ANY,
            "Action": list(actions),
            "Resource": [*bucket_arns, *objects],
        },
        {
            "Sid": "ImageLayers",
            "Effect": "Allow",
            "Principal": ANY,
            "Action": ["s3:GetObject"],
            "Resource": [layers],
        },
    )
