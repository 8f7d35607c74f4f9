"""Rules on what can be reached from outside."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from policy.rule import Graph, Problems, Resource, listed, rule, rule_alone

CIDRS = ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6")


def _open(one: Mapping[str, Any]) -> Iterator[str]:
    """Half of the internet is no better than all of it."""
    cidrs = [cidr for key in CIDRS for cidr in listed(one.get(key))]
    yield from (f"lets {cidr} in" for cidr in cidrs if ipaddress.ip_network(cidr).is_global)


@rule_alone("Nothing outside can open a connection to an instance", "SecurityGroup")
def group_lets_nobody_in(group: Resource) -> Problems:
    for one in group.props.get("ingress") or []:
        yield from _open(one)


@rule_alone("Nothing outside can open a connection to an instance", "SecurityGroupIngressRule")
def ingress_rule_lets_nobody_in(ingress: Resource) -> Problems:
    yield from _open(ingress.props)


@rule_alone("Nothing outside can open a connection to an instance", "SecurityGroupRule")
def group_rule_lets_nobody_in(one: Resource) -> Problems:
    if one.props.get("type") == "ingress":
        yield from _open(one.props)


@rule("The group that a network comes with lets nothing in or out", "Vpc")
def network_default_group_is_closed(vpc: Resource, graph: Graph) -> Problems:
    groups = graph.users(vpc, "DefaultSecurityGroup", "vpcId")
    if not groups:
        yield "leaves its default group as AWS makes it, open within and to the outside"
    for group in groups:
        for direction in ("ingress", "egress"):
            if group.props.get(direction):
                yield f"its default group has rules for {direction}"
