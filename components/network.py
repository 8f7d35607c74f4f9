"""Where Batch instances stand: public subnets that nothing can reach from outside."""

import ipaddress
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.identity import Place

SUBNETS = 2


def subnet_cidrs(vpc_cidr: str, count: int) -> tuple[str, ...]:
    """Cut a network into `count` equal subnets, each as large as possible.

    >>> subnet_cidrs("10.42.0.0/20", 2)
    ('10.42.0.0/21', '10.42.8.0/21')
    """
    bits = max(count - 1, 0).bit_length()
    parts = ipaddress.IPv4Network(vpc_cidr).subnets(prefixlen_diff=bits)
    return tuple(str(part) for part, _ in zip(parts, range(count), strict=False))


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    place: Place
    vpc_cidr: str


class Network(pulumi.ComponentResource):
    """A VPC with public subnets in two zones, without NAT: idle, it costs nothing.

    Instances get public addresses, for they must reach ECS, ECR and CloudWatch; the security
    group lets nothing in, and only HTTPS out. S3 traffic stays inside by a gateway endpoint.
    """

    subnet_ids: list[pulumi.Output[str]]
    security_group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            opts=child,
        )
        routes = self._routes(name, vpc)
        self.subnet_ids = self._subnets(name, args, vpc, routes)
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=pulumi.Output.concat("com.amazonaws.", args.place.region, ".s3"),
            route_table_ids=[routes.id],
            opts=child,
        )
        group = aws.ec2.SecurityGroup(
            name,
            vpc_id=vpc.id,
            description="Batch instances: nothing in, HTTPS out",
            ingress=[],
            egress=[
                {
                    "protocol": "tcp",
                    "from_port": 443,
                    "to_port": 443,
                    "cidr_blocks": ["0.0.0.0/0"],
                    "description": "AWS endpoints and image registries",
                }
            ],
            opts=child,
        )
        self.security_group_id = group.id
        self.register_outputs(
            {"subnet_ids": self.subnet_ids, "security_group_id": self.security_group_id}
        )

    def _routes(self, name: str, vpc: aws.ec2.Vpc) -> aws.ec2.RouteTable:
        child = pulumi.ResourceOptions(parent=self)
        gateway = aws.ec2.InternetGateway(name, vpc_id=vpc.id, opts=child)
        table = aws.ec2.RouteTable(name, vpc_id=vpc.id, opts=child)
        aws.ec2.Route(
            name,
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=child,
        )
        return table

    def _subnets(
        self, name: str, args: NetworkArgs, vpc: aws.ec2.Vpc, routes: aws.ec2.RouteTable
    ) -> list[pulumi.Output[str]]:
        child = pulumi.ResourceOptions(parent=self)
        zones = aws.get_availability_zones_output(
            state="available",
            # local and wavelength zones have no Batch
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=args.place.invoke,
        ).names
        ids: list[pulumi.Output[str]] = []
        for i, cidr in enumerate(subnet_cidrs(args.vpc_cidr, SUBNETS)):
            subnet = aws.ec2.Subnet(
                f"{name}-{i}",
                vpc_id=vpc.id,
                cidr_block=cidr,
                availability_zone=zones[i],
                map_public_ip_on_launch=True,
                opts=child,
            )
            aws.ec2.RouteTableAssociation(
                f"{name}-{i}", subnet_id=subnet.id, route_table_id=routes.id, opts=child
            )
            ids.append(subnet.id)
        return ids
