"""The launch template of instances, and the machine image that they start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.identity import Location

ROOT_DEVICE = "/dev/xvda"

CPU_IMAGE = "ECS_AL2023"
GPU_IMAGE = "ECS_AL2023_NVIDIA"
"""https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html"""
_PARAMETERS = "/aws/service/ecs/optimized-ami/amazon-linux-2023"
IMAGE_PARAMETERS = {
    CPU_IMAGE: f"{_PARAMETERS}/recommended/image_id",
    GPU_IMAGE: f"{_PARAMETERS}/gpu/recommended/image_id",
}
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What an instance is, apart from its type and its zone."""

    image_type: str
    """One of IMAGE_PARAMETERS."""
    image_id: str | None
    """None: the newest of the type, asked for at each deployment."""
    root_gib: int
    """The root volume; on instances without disks of their own it holds the jobs' scratch too."""

    @property
    def gpu(self) -> bool:
        return self.image_type == GPU_IMAGE


def machine_image(location: Location, machine: Machine) -> pulumi.Output[str]:
    """Named explicitly, so that a preview shows when the image changes."""
    if machine.image_id is not None:
        return pulumi.Output.from_input(machine.image_id)
    parameter = aws.ssm.get_parameter_output(
        name=IMAGE_PARAMETERS[machine.image_type], opts=location.invoke
    )
    # `value` is the same text, but marked as secret
    return parameter.insecure_value


@dataclass(frozen=True, kw_only=True)
class TemplateArgs:
    """What instances of a template start with."""

    machine: Machine
    user_data: pulumi.Input[str]
    tags: Mapping[str, str]
    volume_key_arn: pulumi.Input[str] | None
    """Of the root volume. None: EBS's own key."""
    image_id: pulumi.Input[str] | None = None
    """None, as for the next two: Batch names it in the compute environment."""
    instance_profile_arn: pulumi.Input[str] | None = None
    security_group_ids: Sequence[pulumi.Input[str]] | None = None


def launch_template(
    name: str, args: TemplateArgs, opts: pulumi.ResourceOptions
) -> aws.ec2.LaunchTemplate:
    """IMDSv2 only, an encrypted root volume, and tags on everything that it starts."""
    named = {**args.tags, "Name": name}
    profile = args.instance_profile_arn
    return aws.ec2.LaunchTemplate(
        name,
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
            "http_protocol_ipv6": "disabled",
        },
        block_device_mappings=[
            {
                "device_name": ROOT_DEVICE,
                "ebs": {
                    "volume_size": args.machine.root_gib,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "kms_key_id": args.volume_key_arn,
                    "delete_on_termination": "true",
                },
            }
        ],
        tag_specifications=[
            {"resource_type": kind, "tags": named} for kind in ("instance", "volume")
        ],
        user_data=args.user_data,
        update_default_version=True,
        image_id=args.image_id,
        iam_instance_profile={"arn": profile} if profile is not None else None,
        vpc_security_group_ids=args.security_group_ids,
        opts=opts,
    )


def latest_version(template: aws.ec2.LaunchTemplate) -> pulumi.Output[str]:
    """A number and not $Latest, so that a new version replaces the instances."""
    return template.latest_version.apply(lambda n: str(int(n)))
