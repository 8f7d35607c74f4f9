"""Workers on a Spot Fleet; Batch's own role; and what is known of interruptions."""

import base64
import json

import pytest

from components.compute.interruptions import delivery_policy
from contracts.names import Stage
from tests.infra.support.recorder import (
    ACCOUNT,
    REGION,
    Deployment,
    variant,
)

ON = ("spot_fleet=true", "fleet_instances=6", "fleet_on_demand_instances=1")


@pytest.fixture
def fleet() -> Deployment:
    return variant("prod", *ON)


def test_there_is_no_fleet_unless_it_is_wanted(stack: Deployment) -> None:
    assert not stack.of("SpotFleetRequest")
    assert {e.inputs["type"] for e in stack.of("ComputeEnvironment")} == {"MANAGED"}


def test_workers_go_to_the_fleets_own_queue_and_nobody_else_does(fleet: Deployment) -> None:
    queue, unmanaged = fleet.one("JobQueue", "fleet"), fleet.one("ComputeEnvironment", "fleet")
    (order,) = queue.inputs["computeEnvironmentOrders"]
    assert order["computeEnvironment"] == unmanaged.arn
    assert unmanaged.inputs["type"] == "UNMANAGED"
    assert "computeResources" not in unmanaged.inputs
    assert fleet.outputs["process_queue_arn"] == queue.arn
    submits = {
        stage: fleet.policy(role)["batch:SubmitJob"][0]
        for stage, role in (
            (Stage.EXTRACT, "extract-frames"),
            (Stage.PROCESS, "process-frames"),
            (Stage.RECOMPOSE, "recompose-video"),
        )
    }
    media = fleet.one("JobQueue", "media").arn
    assert submits == {Stage.EXTRACT: media, Stage.PROCESS: queue.arn, Stage.RECOMPOSE: media}


def test_the_ends_of_the_fleets_jobs_are_heard(fleet: Deployment) -> None:
    pattern = json.loads(fleet.one("EventRule", "job-state").inputs["eventPattern"])
    assert fleet.one("JobQueue", "fleet").arn in pattern["detail"]["jobQueue"]


def test_the_fleet_is_spread_over_families_and_zones(fleet: Deployment) -> None:
    request = fleet.one("SpotFleetRequest", "fleet").inputs
    (config,) = request["launchTemplateConfigs"]
    pools = {(o["instanceType"], o["subnetId"]) for o in config["overrides"]}
    families = {kind.split(".")[0] for kind, _ in pools}
    assert families == {"g4dn", "g5", "g6"}
    assert {subnet for _, subnet in pools} == {f"superres-prod-{n}" for n in range(3)}
    assert len(pools) == len(config["overrides"]) == 15
    assert request["allocationStrategy"] == "priceCapacityOptimized"
    assert (request["targetCapacity"], request["onDemandTargetCapacity"]) == (6, 1)


def test_the_fleet_keeps_its_size_and_goes_with_the_stack(fleet: Deployment) -> None:
    request = fleet.one("SpotFleetRequest", "fleet").inputs
    assert request["fleetType"] == "maintain"
    assert request["instanceInterruptionBehaviour"] == "terminate"
    assert request["terminateInstancesOnDelete"] == "true"
    assert request["waitForFulfillment"] is False
    assert "spotMaintenanceStrategies" not in request


def test_the_fleets_instances_join_the_cluster_of_their_environment(fleet: Deployment) -> None:
    template = fleet.one("LaunchTemplate", "fleet").inputs
    script = base64.b64decode(template["userData"]).decode()
    cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/superres-prod-fleet"
    assert f"\nECS_CLUSTER={cluster}\n" in script
    assert "\nECS_ENABLE_GPU_SUPPORT=true\n" in script
    assert template["imageId"] == "ami-0000000000000a000"
    assert template["vpcSecurityGroupIds"] == ["superres-prod"]
    (profile,) = fleet.of("InstanceProfile")
    assert template["iamInstanceProfile"] == {"arn": profile.arn}
    managed = fleet.one("LaunchTemplate", "process").inputs
    for same in ("metadataOptions", "blockDeviceMappings"):
        assert template[same] == managed[same]


def test_the_fleet_starts_what_is_ours_and_ends_nothing_else(fleet: Deployment) -> None:
    granted = fleet.policy("fleet")
    assert granted["iam:PassRole"] == [fleet.one("Role", "instance").arn]
    started = granted["ec2:RunInstances"]
    assert fleet.one("LaunchTemplate", "fleet").arn in started
    assert [r for r in started if ":subnet/" in r] == [
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/superres-prod-{n}" for n in range(3)
    ]
    (end,) = [
        statement
        for role, document in fleet.policies()
        for statement in document["Statement"]
        if role == "superres-prod-fleet" and "ec2:TerminateInstances" in statement["Action"]
    ]
    tags = {"aws:ResourceTag/project": "superres", "aws:ResourceTag/stack": "prod"}
    assert end["Condition"] == {"StringEquals": tags}
    template = fleet.one("LaunchTemplate", "fleet").inputs
    given = {s["resourceType"]: s["tags"] for s in template["tagSpecifications"]}
    assert given["instance"].items() >= {"project": "superres", "stack": "prod"}.items()


def test_the_plan_counts_on_the_fleet(fleet: Deployment) -> None:
    properties = json.loads(fleet.one("JobDefinition", "extract").inputs["containerProperties"])
    values = {pair["name"]: pair["value"] for pair in properties["environment"]}
    assert values["SUPERRES_WORKER_PARALLELISM"] == "6"


def test_a_fleet_for_workers_without_gpu_names_its_sizes() -> None:
    stack = variant("staging", "spot_fleet=true", 'fleet_instance_types=["c7i.2xlarge"]')
    template = stack.one("LaunchTemplate", "fleet").inputs
    assert template["imageId"] == "ami-0000000000000c000"
    assert "ECS_ENABLE_GPU_SUPPORT" not in base64.b64decode(template["userData"]).decode()


def test_batch_keeps_the_fleets_environment_by_its_service_linked_role(
    fleet: Deployment,
) -> None:
    """AWS asks for a role by name where it does not manage the environment."""
    assert fleet.one("ComputeEnvironment", "fleet").inputs["serviceRole"] == (
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
    )
    assert "serviceRole" not in fleet.one("ComputeEnvironment", "process-spot").inputs


def test_batch_can_be_given_a_role_of_our_own() -> None:
    stack = variant("prod", *ON, "batch_service_role=own")
    role = stack.one("Role", "batch")
    (attachment,) = stack.of("RolePolicyAttachment")
    assert attachment.inputs["role"] == role.name
    assert attachment.inputs["policyArn"] == (
        "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"
    )
    assert {e.inputs["serviceRole"] for e in stack.of("ComputeEnvironment")} == {role.arn}
    assert stack.compute_resources("process-spot")["allocationStrategy"]


def test_interruptions_are_written_down_in_every_stack(stack: Deployment) -> None:
    group = stack.one("LogGroup", "spot")
    details = {
        name: json.loads(stack.one("EventRule", f"spot-{name}").inputs["eventPattern"])
        for name in ("interruption", "rebalance")
    }
    assert details == {
        "interruption": {
            "source": ["aws.ec2"],
            "detail-type": ["EC2 Spot Instance Interruption Warning"],
        },
        "rebalance": {
            "source": ["aws.ec2"],
            "detail-type": ["EC2 Instance Rebalance Recommendation"],
        },
    }
    for name in details:
        assert stack.one("EventTarget", f"spot-{name}").inputs["arn"] == group.arn
    rules = [stack.one("EventRule", f"spot-{name}").arn for name in details]
    (policy,) = stack.of("LogResourcePolicy")
    assert json.loads(policy.inputs["policyDocument"]) == delivery_policy(group.arn, rules)
