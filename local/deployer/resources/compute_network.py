"""EC2: network and launch templates. Nothing runs on them locally, but they must be accepted."""

from typing import Any

from local.deployer.resource import Aws, Created, DeployError, RequestedResource, pascal

_RULE_NAMES = {
    "protocol": "IpProtocol",
    "fromPort": "FromPort",
    "toPort": "ToPort",
}


def _vpc(aws: Aws, r: RequestedResource) -> Created:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=r["cidrBlock"])["Vpc"]["VpcId"]
    for parameter, key in (
        ("EnableDnsSupport", "enableDnsSupport"),
        ("EnableDnsHostnames", "enableDnsHostnames"),
    ):
        if (value := r.get(key)) is not None:
            ec2.modify_vpc_attribute(VpcId=vpc, **{parameter: {"Value": value}})
    return Created(vpc, {"arn": aws.arn("ec2", f"vpc/{vpc}"), "ownerId": aws.account})


def _subnet(aws: Aws, r: RequestedResource) -> Created:
    ec2 = aws.client("ec2")
    subnet = ec2.create_subnet(
        VpcId=r["vpcId"],
        CidrBlock=r["cidrBlock"],
        **r.pick(AvailabilityZone="availabilityZone"),
    )["Subnet"]["SubnetId"]
    if (public := r.get("mapPublicIpOnLaunch")) is not None:
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": public})
    return Created(subnet, {"arn": aws.arn("ec2", f"subnet/{subnet}")})


def _internet_gateway(aws: Aws, r: RequestedResource) -> Created:
    ec2 = aws.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    if vpc := r.get("vpcId"):
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return Created(gateway, {"arn": aws.arn("ec2", f"internet-gateway/{gateway}")})


def _route_table(aws: Aws, r: RequestedResource) -> Created:
    answer = aws.client("ec2").create_route_table(VpcId=r["vpcId"])
    table = answer["RouteTable"]["RouteTableId"]
    return Created(table, {"arn": aws.arn("ec2", f"route-table/{table}")})


def _route(aws: Aws, r: RequestedResource) -> Created:
    aws.client("ec2").create_route(
        RouteTableId=r["routeTableId"],
        DestinationCidrBlock=r["destinationCidrBlock"],
        **r.pick(GatewayId="gatewayId", NatGatewayId="natGatewayId"),
    )
    return Created(f"r-{r['routeTableId']}-{r['destinationCidrBlock']}", {"state": "active"})


def _route_table_association(aws: Aws, r: RequestedResource) -> Created:
    answer = aws.client("ec2").associate_route_table(
        RouteTableId=r["routeTableId"], SubnetId=r["subnetId"]
    )
    return Created(answer["AssociationId"], {})


def _vpc_endpoint(aws: Aws, r: RequestedResource) -> Created:
    ec2 = aws.client("ec2")
    answer = ec2.create_vpc_endpoint(
        VpcId=r["vpcId"],
        ServiceName=r["serviceName"],
        **r.pick(
            VpcEndpointType="vpcEndpointType",
            RouteTableIds="routeTableIds",
            SubnetIds="subnetIds",
            SecurityGroupIds="securityGroupIds",
            PolicyDocument="policy",
            PrivateDnsEnabled="privateDnsEnabled",
        ),
    )
    endpoint = answer["VpcEndpoint"]["VpcEndpointId"]
    outputs = {"arn": aws.arn("ec2", f"vpc-endpoint/{endpoint}"), "state": "available"}
    if r["vpcEndpointType"] == "Gateway":
        lists = ec2.describe_prefix_lists(
            Filters=[{"Name": "prefix-list-name", "Values": [r["serviceName"]]}]
        )["PrefixLists"]
        outputs["prefixListId"] = lists[0]["PrefixListId"]
    return Created(endpoint, outputs)


def _security_group(aws: Aws, r: RequestedResource) -> Created:
    ec2 = aws.client("ec2")
    name = r.physical_name()
    group = ec2.create_security_group(
        GroupName=name,
        Description=r.get("description") or "Managed by Pulumi",
        **r.pick(VpcId="vpcId"),
    )["GroupId"]
    # AWS allows all egress of a new group; a Pulumi group states its own egress.
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everything])
    if ingress := r.get("ingress"):
        ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[_permission(rule) for rule in ingress]
        )
    if egress := r.get("egress"):
        ec2.authorize_security_group_egress(
            GroupId=group, IpPermissions=[_permission(rule) for rule in egress]
        )
    return Created(group, {"name": name, "arn": aws.arn("ec2", f"security-group/{group}")})


def _default_security_group(aws: Aws, r: RequestedResource) -> Created:
    """Takes over the group that every VPC has; only one that lets nothing through is known."""
    if r.get("ingress") or r.get("egress"):
        raise DeployError(f"{r}: the local stack only knows a default group without rules.")
    ec2 = aws.client("ec2")
    (group,) = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [r["vpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"]
    known = {"GroupId": group["GroupId"]}
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(**known, IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(**known, IpPermissions=group["IpPermissionsEgress"])
    arn = aws.arn("ec2", f"security-group/{group['GroupId']}")
    return Created(group["GroupId"], {"arn": arn, "name": "default"})


def _ingress_rule(aws: Aws, r: RequestedResource) -> Created:
    described = r.pick(Description="description")
    permission: dict[str, Any] = r.pick(
        IpProtocol="ipProtocol", FromPort="fromPort", ToPort="toPort"
    )
    if group := r.get("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": group, **described}]
    if cidr := r.get("cidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": cidr, **described}]
    (rule,) = aws.client("ec2").authorize_security_group_ingress(
        GroupId=r["securityGroupId"], IpPermissions=[permission]
    )["SecurityGroupRules"]
    return Created(
        rule["SecurityGroupRuleId"], {"securityGroupRuleId": rule["SecurityGroupRuleId"]}
    )


def _flow_log(aws: Aws, r: RequestedResource) -> Created:
    answer = aws.client("ec2").create_flow_logs(
        ResourceIds=[r["vpcId"]],
        ResourceType="VPC",
        **r.pick(
            TrafficType="trafficType",
            LogDestinationType="logDestinationType",
            LogDestination="logDestination",
            DeliverLogsPermissionArn="iamRoleArn",
            MaxAggregationInterval="maxAggregationInterval",
        ),
    )
    (flow_log,) = answer["FlowLogIds"]
    return Created(flow_log, {"arn": aws.arn("ec2", f"vpc-flow-log/{flow_log}")})


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    described = {"Description": rule["description"]} if "description" in rule else {}
    permission: dict[str, Any] = {_RULE_NAMES[k]: v for k, v in rule.items() if k in _RULE_NAMES}
    permission["IpRanges"] = [{"CidrIp": c, **described} for c in rule.get("cidrBlocks", [])]
    permission["PrefixListIds"] = [
        {"PrefixListId": one, **described} for one in rule.get("prefixListIds", [])
    ]
    permission["UserIdGroupPairs"] = [
        {"GroupId": one, **described} for one in rule.get("securityGroups", [])
    ]
    return permission


def _launch_template(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("updateDefaultVersion")
    name = r.physical_name()
    data = r.pick(UserData="userData", ImageId="imageId", InstanceType="instanceType")
    if metadata := r.get("metadataOptions"):
        data["MetadataOptions"] = pascal(metadata)
    if profile := r.get("iamInstanceProfile"):
        data["IamInstanceProfile"] = pascal(profile)
    if groups := r.get("vpcSecurityGroupIds"):
        data["SecurityGroupIds"] = groups
    data["BlockDeviceMappings"] = [_device(one) for one in r.get("blockDeviceMappings", [])]
    data["TagSpecifications"] = [
        {
            "ResourceType": one["resourceType"],
            "Tags": [{"Key": key, "Value": value} for key, value in one["tags"].items()],
        }
        for one in r.get("tagSpecifications", [])
    ]
    answer = aws.client("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData=data,
        **r.pick(VersionDescription="description"),
    )
    template = answer["LaunchTemplate"]["LaunchTemplateId"]
    outputs = {
        "name": name,
        "arn": aws.arn("ec2", f"launch-template/{template}"),
        "latestVersion": 1,
        "defaultVersion": 1,
    }
    return Created(template, outputs)


def _spot_fleet(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("terminateInstancesOnDelete", "waitForFulfillment")
    request = r.pick(
        IamFleetRole="iamFleetRole",
        Type="fleetType",
        AllocationStrategy="allocationStrategy",
        OnDemandAllocationStrategy="onDemandAllocationStrategy",
        TargetCapacity="targetCapacity",
        OnDemandTargetCapacity="onDemandTargetCapacity",
        InstanceInterruptionBehavior="instanceInterruptionBehaviour",
        ExcessCapacityTerminationPolicy="excessCapacityTerminationPolicy",
        ReplaceUnhealthyInstances="replaceUnhealthyInstances",
    )
    request["LaunchTemplateConfigs"] = [_fleet_template(one) for one in r["launchTemplateConfigs"]]
    answer = aws.client("ec2").request_spot_fleet(SpotFleetRequestConfig=request)
    return Created(answer["SpotFleetRequestId"], {"spotRequestState": "submitted"})


def _fleet_template(config: dict[str, Any]) -> dict[str, Any]:
    known = config["launchTemplateSpecification"]
    return {
        "LaunchTemplateSpecification": {
            "LaunchTemplateId": known["id"],
            "Version": known["version"],
        },
        "Overrides": [pascal(one) for one in config.get("overrides", [])],
    }


def _device(mapping: dict[str, Any]) -> dict[str, Any]:
    """Pulumi has texts where EC2 has booleans."""
    converted = pascal(mapping)
    for key in ("Encrypted", "DeleteOnTermination"):
        if key in converted.get("Ebs", {}):
            converted["Ebs"][key] = str(converted["Ebs"][key]).lower() == "true"
    return converted


HANDLERS = {
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/internetGateway:InternetGateway": _internet_gateway,
    "aws:ec2/routeTable:RouteTable": _route_table,
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _vpc_endpoint,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _default_security_group,
    "aws:ec2/flowLog:FlowLog": _flow_log,
    "aws:ec2/spotFleetRequest:SpotFleetRequest": _spot_fleet,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ingress_rule,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
}
