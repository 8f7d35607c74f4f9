"""The whole program in the embedded AWS with other settings than the local stack's own."""

from pathlib import Path

from tests.local_support import REPOSITORY, serve


def test_the_private_network_is_deployed_with_its_endpoints(tmp_path: Path) -> None:
    server = serve(REPOSITORY, tmp_path, "--set=network=private")
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
    assert server.stop() == 0
