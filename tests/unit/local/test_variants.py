"""The whole program in the embedded AWS with other settings than the local stack's own."""

import base64
from collections.abc import Iterator

import pytest

from tests.support.local_aws import (
    REPOSITORY,
    Server,
    eventually,
    serve,
)

SIZES = 'fleet_instance_types=["c7i.2xlarge", "m7i.2xlarge"]'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A fleet in a private network, with Batch's own role beside: every kind of resource once."""
    started = serve(
        REPOSITORY,
        tmp_path_factory.mktemp("variants"),
        "--set=spot_fleet=true",
        "--set",
        SIZES,
        "--set=batch_service_role=own",
        "--set=network=private",
    )
    yield started
    assert started.stop() == 0


def test_a_fleet_is_requested_and_its_queue_runs_jobs(server: Server) -> None:
    batch = server.client("batch")
    environments = batch.describe_compute_environments()["computeEnvironments"]
    (unmanaged,) = [e for e in environments if e["type"] == "UNMANAGED"]
    ec2 = server.client("ec2")
    (name,) = [
        template["LaunchTemplateName"]
        for template in ec2.describe_launch_templates()["LaunchTemplates"]
        if "-fleet-" in template["LaunchTemplateName"]
    ]
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=name)
    template = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert unmanaged["ecsClusterArn"] in base64.b64decode(template["UserData"]).decode()
    (definition,) = [
        one
        for one in batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        if "-process-" in one["jobDefinitionName"]
    ]
    job = batch.submit_job(
        jobName="hello",
        jobQueue=server.outputs["process_queue_arn"],
        jobDefinition=definition["jobDefinitionArn"],
        containerOverrides={"command": ["python", "-c", "print('hello')"]},
    )["jobId"]
    (ended,) = eventually(
        lambda: [
            one
            for one in batch.describe_jobs(jobs=[job])["jobs"]
            if one["status"] in ("SUCCEEDED", "FAILED")
        ]
    )
    assert ended["status"] == "SUCCEEDED"
    assert "-fleet-" in ended["jobQueue"]


def test_the_private_network_is_deployed_with_its_endpoints(server: Server) -> None:
    ec2 = server.client("ec2")
    endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert len(endpoints) == 7
    (ours,) = {endpoint["VpcId"] for endpoint in endpoints}
    of_vpc = [{"Name": "vpc-id", "Values": [ours]}]
    groups = {
        group["GroupName"]: (group["IpPermissions"], group["IpPermissionsEgress"])
        for group in ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
    }
    assert groups.pop("default") == ([], [])
    assert len(groups) == 2
    assert (
        ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [ours]}])[
            "InternetGateways"
        ]
        == []
    )
    (flow_log,) = ec2.describe_flow_logs()["FlowLogs"]
    assert (flow_log["ResourceId"], flow_log["TrafficType"]) == (ours, "REJECT")
