"""The network of Batch's instances: subnets that nothing can reach from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.identity import (
    Location,
    Role,
    RoleArgs,
)
from components.common.logs import LogSettings, log_group
from components.common.policy import (
    ANY,
    Grant,
    to_json,
)
from components.network.endpoints import (
    INTERFACES,
    interface_policy,
    storage_policy,
)
from components.network.layout import choose_zones, subnet_cidrs

Mode = Literal["public", "private"]
Traffic = Literal["off", "rejected", "all"]

HTTPS: aws.ec2.SecurityGroupEgressArgsDict = {"protocol": "tcp", "from_port": 443, "to_port": 443}
FLOW_LOG_SECONDS = 600
"""Seconds of traffic that one record sums up; the longer, the fewer records are paid for."""
_TRAFFIC = {"rejected": "REJECT", "all": "ALL"}


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """All that instances may reach of S3, whatever credentials they hold."""

    bucket_arns: Sequence[pulumi.Input[str]]
    actions: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    location: Location
    mode: Mode
    vpc_cidr: str
    zones: int
    """Subnets, each in a zone of its own: Spot capacity comes and goes by zone."""
    endpoint_zones: int
    """Zones with interface endpoints in private mode; each costs by the hour."""
    s3: S3Access
    flow_logs: Traffic
    logs: LogSettings


def _zones(available: Sequence[str], count: int) -> tuple[str, ...]:
    """Raises pulumi.RunError, which Pulumi shows without traceback, where there are too few."""
    try:
        return choose_zones(available, count)
    except ValueError as error:
        raise pulumi.RunError(str(error)) from error


class Network(pulumi.ComponentResource):
    """A VPC whose instances nothing can reach from outside; no mode has a NAT gateway.

    `public`: instances get public addresses, for they must reach ECS, ECR and CloudWatch; the
    security group lets nothing in, and only HTTPS out. Idle, it costs nothing.
    `private`: no route to the internet at all, but interface endpoints for what is called.
    In both, S3 is reached by a gateway endpoint that admits our buckets and ECR's layers only.
    """

    subnet_ids: list[pulumi.Output[str]]
    security_group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:network:Network", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._child,
        )
        # every VPC comes with one that lets its members talk to each other and everywhere
        aws.ec2.DefaultSecurityGroup(
            name, vpc_id=self._vpc.id, ingress=[], egress=[], opts=self._child
        )
        routes = aws.ec2.RouteTable(name, vpc_id=self._vpc.id, opts=self._child)
        self.subnet_ids = self._subnets(routes)
        storage = self._storage_endpoint(routes)
        if args.mode == "public":
            self._internet(routes)
            anywhere = "AWS endpoints and image registries"
            group = self._group([{**HTTPS, "cidr_blocks": ["0.0.0.0/0"], "description": anywhere}])
        else:
            group = self._private(storage)
        self.security_group_id = group.id
        if args.flow_logs != "off":
            self._flow_log(_TRAFFIC[args.flow_logs])
        self.register_outputs(
            {"subnet_ids": self.subnet_ids, "security_group_id": self.security_group_id}
        )

    def _subnets(self, routes: aws.ec2.RouteTable) -> list[pulumi.Output[str]]:
        args = self._args
        zones = aws.get_availability_zones_output(
            state="available",
            # local and wavelength zones have no Batch
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=args.location.invoke,
        ).names.apply(lambda names: _zones(names, args.zones))
        ids: list[pulumi.Output[str]] = []
        for i, cidr in enumerate(subnet_cidrs(args.vpc_cidr, args.zones)):
            subnet = aws.ec2.Subnet(
                f"{self._name}-{i}",
                vpc_id=self._vpc.id,
                cidr_block=cidr,
                availability_zone=zones[i],
                map_public_ip_on_launch=args.mode == "public",
                tags={"Name": f"{self._name}-{i}"},
                opts=self._child,
            )
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{i}",
                subnet_id=subnet.id,
                route_table_id=routes.id,
                opts=self._child,
            )
            ids.append(subnet.id)
        return ids

    def _internet(self, routes: aws.ec2.RouteTable) -> None:
        gateway = aws.ec2.InternetGateway(self._name, vpc_id=self._vpc.id, opts=self._child)
        aws.ec2.Route(
            self._name,
            route_table_id=routes.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child,
        )

    def _service(self, name: str) -> pulumi.Output[str]:
        return pulumi.Output.concat("com.amazonaws.", self._args.location.region, ".", name)

    def _storage_endpoint(self, routes: aws.ec2.RouteTable) -> aws.ec2.VpcEndpoint:
        s3 = self._args.s3
        known = pulumi.Output.all(
            at=self._args.location.known(), bucket_arns=pulumi.Output.all(*s3.bucket_arns)
        )
        policy = known.apply(lambda known: to_json(storage_policy(actions=s3.actions, **known)))
        return aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self._vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=self._service("s3"),
            route_table_ids=[routes.id],
            policy=policy,
            tags={"Name": f"{self._name}-s3"},
            opts=self._child,
        )

    def _group(
        self,
        egress: Sequence[aws.ec2.SecurityGroupEgressArgsDict],
        suffix: str = "",
        about: str = "Batch instances",
    ) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            self._name + suffix,
            vpc_id=self._vpc.id,
            description=about + (": nothing in, HTTPS out" if egress else ""),
            ingress=None if suffix else [],
            egress=list(egress),
            opts=self._child,
        )

    def _private(self, storage: aws.ec2.VpcEndpoint) -> aws.ec2.SecurityGroup:
        """Endpoints that our instances alone reach, and the instances' group that reaches them."""
        doors = self._group([], "-endpoints", "Interface endpoints: HTTPS in from Batch instances")
        instances = self._group(
            [
                {**HTTPS, "security_groups": [doors.id], "description": "Interface endpoints"},
                {**HTTPS, "prefix_list_ids": [storage.prefix_list_id], "description": "S3"},
            ]
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoints",
            security_group_id=doors.id,
            referenced_security_group_id=instances.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="Batch instances",
            opts=self._child,
        )
        for service, actions in INTERFACES.items():
            self._interface(service, actions, doors)
        return instances

    def _interface(
        self, service: str, actions: tuple[str, ...] | None, doors: aws.ec2.SecurityGroup
    ) -> None:
        account = self._args.location.account
        name = f"{self._name}-{service.replace('.', '-')}"
        aws.ec2.VpcEndpoint(
            name,
            vpc_id=self._vpc.id,
            vpc_endpoint_type="Interface",
            service_name=self._service(service),
            subnet_ids=self.subnet_ids[: self._args.endpoint_zones],
            security_group_ids=[doors.id],
            private_dns_enabled=True,
            policy=account.apply(lambda own: to_json(interface_policy(actions, own)))
            if actions
            else None,
            tags={"Name": name},
            opts=self._child,
        )

    def _flow_log(self, traffic: str) -> None:
        """Who tried to talk to whom.

        https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        """
        name = f"{self._name}-flow-log"
        group = log_group(name, f"/{self._name}/flow-log", self._args.logs, self._child)
        grants = (
            Grant(
                sid="WriteFlowLog",
                actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
                resources=(pulumi.Output.concat(group.arn, ":*"),),
            ),
            Grant(
                sid="FindLogGroup",
                actions=("logs:DescribeLogGroups",),
                resources=(ANY,),
                reason="The service lists all groups before it writes: https://docs.aws.amazon.com/"
                "vpc/latest/userguide/flow-logs-iam-role.html",
            ),
        )
        role = Role(
            name,
            RoleArgs(
                service="vpc-flow-logs.amazonaws.com",
                grants=grants,
                account=self._args.location.account,
            ),
            self._child,
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=self._vpc.id,
            traffic_type=traffic,
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=FLOW_LOG_SECONDS,
            opts=self._child,
        )
