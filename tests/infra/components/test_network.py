"""The network, in both of its modes: what reaches an instance, and what an instance reaches."""

import ipaddress
import json
import re

import pulumi
import pytest

from components.network.endpoints import INTERFACES
from components.network.layout import choose_zones, subnet_cidrs
from tests.infra.support.linting import policy_findings
from tests.infra.support.recorder import (
    ACCOUNT,
    REGION,
    Deployment,
    bucket,
    run_program,
    stack_config,
    variant,
)

MODES = ("public", "private")


@pytest.fixture(params=MODES)
def network(request: pytest.FixtureRequest) -> Deployment:
    """Production in each mode."""
    return variant("prod", f"network={request.param}")


@pytest.fixture
def public() -> Deployment:
    return variant("prod", "network=public")


@pytest.fixture
def private() -> Deployment:
    return variant("prod", "network=private")


@pytest.mark.parametrize(("cidr", "count"), [("10.42.0.0/20", 2), ("10.0.0.0/16", 3)])
def test_subnets_share_the_network_without_overlap(cidr: str, count: int) -> None:
    parts = [ipaddress.IPv4Network(part) for part in subnet_cidrs(cidr, count)]
    assert len(parts) == count
    assert all(part.subnet_of(ipaddress.IPv4Network(cidr)) for part in parts)
    assert not any(a.overlaps(b) for a in parts for b in parts if a is not b)


@pytest.mark.parametrize("count", range(1, 7))
def test_the_smallest_network_still_has_room_in_each_of_its_subnets(count: int) -> None:
    """AWS keeps five addresses of each subnet for itself and allows none below /28."""
    sizes = {ipaddress.IPv4Network(part).prefixlen for part in subnet_cidrs("10.0.0.0/24", count)}
    assert max(sizes) <= 27


def test_a_zone_that_opens_later_moves_no_subnet() -> None:
    assert choose_zones(["c", "a", "b"], 2) == choose_zones(["a", "b", "c", "d"], 2) == ("a", "b")


def test_more_zones_than_the_region_has_are_refused_in_one_sentence() -> None:
    config = {**stack_config("prod"), "superres:zones": "4"}
    sentence = "superres:zones: got 4, must be 1 to 3: the region offers us-east-1a, us-east-1b"
    with pytest.raises(pulumi.RunError, match=re.escape(sentence)):
        run_program("prod", config)


def test_the_stacks_have_the_network_that_their_files_say(stack: Deployment) -> None:
    config = stack_config(stack.stack)
    interfaces = [e for e in stack.of("VpcEndpoint") if e.inputs["vpcEndpointType"] == "Interface"]
    is_private = config.get("superres:network") == "private"
    assert bool(interfaces) == is_private
    assert bool(stack.of("InternetGateway")) != is_private
    zones = [s.inputs["availabilityZone"] for s in stack.of("Subnet")]
    assert len(set(zones)) == len(zones) == int(config.get("superres:zones", 2))


def test_nothing_reaches_an_instance(network: Deployment) -> None:
    assert network.one("SecurityGroup", "").inputs["ingress"] == []
    assert not network.of("NatGateway")


def test_only_https_leaves_an_instance(network: Deployment) -> None:
    for rule in network.one("SecurityGroup", "").inputs["egress"]:
        assert (rule["protocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443)


def test_the_public_network_costs_nothing_while_idle(public: Deployment) -> None:
    assert [e.inputs["vpcEndpointType"] for e in public.of("VpcEndpoint")] == ["Gateway"]
    assert {s.inputs["mapPublicIpOnLaunch"] for s in public.of("Subnet")} == {True}
    (rule,) = public.one("SecurityGroup", "").inputs["egress"]
    assert rule["cidrBlocks"] == ["0.0.0.0/0"]


def test_the_private_network_has_no_way_out(private: Deployment) -> None:
    assert not private.of("InternetGateway")
    assert not private.of("Route")
    assert {s.inputs["mapPublicIpOnLaunch"] for s in private.of("Subnet")} == {False}
    doors, storage = private.one("SecurityGroup", "").inputs["egress"]
    assert doors["securityGroups"] == ["superres-prod-endpoints"]
    assert storage["prefixListIds"] == ["pl-63a5400a"]
    assert not doors.get("cidrBlocks")
    assert not storage.get("cidrBlocks")


def test_all_that_agent_and_docker_call_has_an_endpoint(private: Deployment) -> None:
    endpoints = {e.inputs["serviceName"]: e.inputs for e in private.of("VpcEndpoint")}
    wanted = {f"com.amazonaws.{REGION}.{service}" for service in (*INTERFACES, "s3")}
    assert set(endpoints) == wanted
    called = {action.split(":")[0] for action in private.policy("instance")}
    # ec2:DescribeTags is the agent's own courtesy, without which it goes on
    assert called - {"ec2"} <= {name.split(".")[3] for name in endpoints}
    for name, inputs in endpoints.items():
        if not name.endswith(".s3"):
            assert inputs["privateDnsEnabled"] is True
            assert inputs["subnetIds"] == ["superres-prod-0", "superres-prod-1"]
            assert inputs["securityGroupIds"] == ["superres-prod-endpoints"]


def test_only_our_instances_reach_the_interface_endpoints(private: Deployment) -> None:
    doors = private.one("SecurityGroup", "endpoints").inputs
    assert doors["egress"] == []
    assert "ingress" not in doors
    (rule,) = private.of("SecurityGroupIngressRule")
    assert rule.inputs["securityGroupId"] == "superres-prod-endpoints"
    assert rule.inputs["referencedSecurityGroupId"] == "superres-prod"
    assert (rule.inputs["fromPort"], rule.inputs["toPort"]) == (443, 443)


def test_s3_is_reached_only_for_our_buckets_and_image_layers(network: Deployment) -> None:
    """In both modes; and every action that a job has is let through."""
    endpoint = network.one("VpcEndpoint", "s3").inputs
    ours, layers = json.loads(endpoint["policy"])["Statement"]
    names = [f"arn:aws:s3:::{bucket('prod', n)}" for n in ("source", "intermediate", "final")]
    assert ours["Resource"] == [*names, *(f"{name}/*" for name in names)]
    assert layers["Resource"] == [f"arn:aws:s3:::prod-{REGION}-starport-layer-bucket/*"]
    jobs = [network.policy(f"{stage}-job") for stage in ("extract", "process", "recompose")]
    assert {a for job in jobs for a in job if a.startswith("s3:")} == set(ours["Action"])


def test_endpoints_let_through_what_instances_may_do_and_our_account_alone(
    private: Deployment,
) -> None:
    allowed = set(private.policy("instance"))
    policies = {
        e.inputs["serviceName"].split(".", 3)[3]: json.loads(e.inputs["policy"])
        for e in private.of("VpcEndpoint")
        if "policy" in e.inputs
    }
    assert set(policies) == {"s3", *(s for s, actions in INTERFACES.items() if actions)}
    through: set[str] = set()
    for service, document in policies.items():
        findings = policy_findings(document)
        # an endpoint says who may call through it; on what, the caller's role says
        assert [f for f in findings if not f.startswith("RESOURCE_STAR")] == [], service
        if service != "s3":
            (statement,) = document["Statement"]
            assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
            through |= set(statement["Action"])
    channels = {"ecs:Poll", "ecs:StartTelemetrySession"}
    assert through | channels == allowed - {"ec2:DescribeTags"}


@pytest.mark.parametrize(
    ("setting", "traffic"), [("off", []), ("rejected", ["REJECT"]), ("all", ["ALL"])]
)
def test_flow_logs_keep_what_the_setting_says(setting: str, traffic: list[str]) -> None:
    stack = variant("dev", f"flow_logs={setting}")
    logs = stack.of("FlowLog")
    assert [f.inputs["trafficType"] for f in logs] == traffic
    for log in logs:
        assert log.inputs["logDestination"] == stack.one("LogGroup", "flow-log").arn
        assert log.inputs["iamRoleArn"] == stack.one("Role", "flow-log").arn
