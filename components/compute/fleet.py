"""An EC2 Spot Fleet of workers: instances that Batch runs jobs on but does not start itself.

Batch starts instances when jobs wait, in minutes; a fleet stands there already, and is paid for
while it idles. docs/compute.md says when that is worth it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.identity import (
    Location,
    Role,
    RoleArgs,
)
from components.common.policy import ANY, Grant
from components.compute.machine.template import (
    Machine,
    TemplateArgs,
    latest_version,
    launch_template,
    machine_image,
)
from components.compute.machine.user_data import user_data

Override = aws.ec2.SpotFleetRequestLaunchTemplateConfigOverrideArgsDict
SERVICE = "spotfleet.amazonaws.com"
EC2_REFERENCE = (
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"
)


@dataclass(frozen=True, kw_only=True)
class FleetSize:
    """How many instances of which types; a type's weight is one."""

    instance_types: Sequence[str]
    instances: int
    on_demand_instances: int
    """How many of the instances are on demand, which AWS does not take back."""
    machine: Machine


@dataclass(frozen=True, kw_only=True)
class FleetArgs:
    location: Location
    size: FleetSize
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    instance_profile_arn: pulumi.Input[str]
    instance_role_arn: pulumi.Input[str]
    service_role_arn: pulumi.Input[str]
    """The role by which Batch manages the environment."""
    volume_key_arn: pulumi.Input[str] | None
    tags: Mapping[str, str]


def placements(
    instance_types: Sequence[str], subnet_ids: Sequence[pulumi.Input[str]]
) -> list[Override]:
    """Every type in every zone: the more Spot pools, the less often one of them runs dry."""
    return [
        {"instance_type": kind, "subnet_id": subnet}
        for kind in instance_types
        for subnet in subnet_ids
    ]


def fleet_grants(args: FleetArgs, template_arn: pulumi.Input[str]) -> tuple[Grant, ...]:
    """What the fleet does in our name: start instances from its template, tag and end them.

    AWS's own AmazonEC2SpotFleetTaggingRole allows the same on everything.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-fleet-prerequisites.html
    """
    location = args.location
    started = tuple(location.arn("ec2", f"{k}/*") for k in ("instance", "volume"))
    request = location.arn("ec2", "spot-instances-request/*")
    image = pulumi.Output.format("arn:{0}:ec2:{1}::image/*", location.partition, location.region)
    subnets = tuple(
        location.arn("ec2", pulumi.Output.concat("subnet/", subnet)) for subnet in args.subnet_ids
    )
    group = location.arn("ec2", pulumi.Output.concat("security-group/", args.security_group_id))
    interface = location.arn("ec2", "network-interface/*")
    ours = {f"aws:ResourceTag/{key}": args.tags[key] for key in ("project", "stack")}
    return (
        Grant(
            sid="LookAround",
            actions=("ec2:DescribeImages", "ec2:DescribeInstanceStatus", "ec2:DescribeSubnets"),
            resources=(ANY,),
            reason=f"EC2's Describe actions have no resource level: {EC2_REFERENCE}",
        ),
        Grant(
            sid="StartInstances",
            actions=("ec2:RequestSpotInstances", "ec2:RunInstances"),
            resources=(*started, request, interface, image, *subnets, group, template_arn),
        ),
        Grant(sid="TagInstances", actions=("ec2:CreateTags",), resources=(*started, request)),
        Grant(
            sid="EndInstances",
            actions=("ec2:TerminateInstances",),
            resources=(started[0],),
            condition={"StringEquals": ours},
        ),
        Grant(
            sid="PassInstanceRole",
            actions=("iam:PassRole",),
            resources=(args.instance_role_arn,),
            condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
    )


class Fleet(pulumi.ComponentResource):
    """The fleet, and the unmanaged environment whose cluster its instances join."""

    environment_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: FleetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:fleet:Fleet", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        environment = aws.batch.ComputeEnvironment(
            name,
            type="UNMANAGED",
            state="ENABLED",
            service_role=args.service_role_arn,
            opts=self._child,
        )
        gpu = args.size.machine.gpu
        template_args = TemplateArgs(
            machine=args.size.machine,
            user_data=environment.ecs_cluster_arn.apply(
                lambda cluster: user_data(gpu=gpu, cluster=cluster)
            ),
            tags=args.tags,
            volume_key_arn=args.volume_key_arn,
            image_id=machine_image(args.location, args.size.machine),
            instance_profile_arn=args.instance_profile_arn,
            security_group_ids=[args.security_group_id],
        )
        template = launch_template(name, template_args, self._child)
        self._request(template)
        self.environment_arn = environment.arn
        self.register_outputs({"environment_arn": self.environment_arn})

    def _request(self, template: aws.ec2.LaunchTemplate) -> None:
        """No capacity rebalancing: a lost instance costs a shard at most, a replacement that is
        started on a mere recommendation costs two instances for as long as the first lives on."""
        args = self._args
        role = Role(
            self._name,
            RoleArgs(
                service=SERVICE,
                grants=fleet_grants(args, template.arn),
                account=args.location.account,
            ),
            self._child,
        )
        aws.ec2.SpotFleetRequest(
            self._name,
            iam_fleet_role=role.arn,
            fleet_type="maintain",
            allocation_strategy="priceCapacityOptimized",
            on_demand_allocation_strategy="lowestPrice",
            target_capacity=args.size.instances,
            on_demand_target_capacity=args.size.on_demand_instances,
            instance_interruption_behaviour="terminate",
            excess_capacity_termination_policy="Default",
            replace_unhealthy_instances=True,
            terminate_instances_on_delete="true",
            wait_for_fulfillment=False,
            launch_template_configs=[
                {
                    "launch_template_specification": {
                        "id": template.id,
                        "version": latest_version(template),
                    },
                    "overrides": placements(args.size.instance_types, args.subnet_ids),
                }
            ],
            opts=self._child,
        )
