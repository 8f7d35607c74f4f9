"""What a program may ask AWS about, by Pulumi's token."""

import base64
from collections.abc import Callable
from typing import Any

from local.deployer.resource import Aws

_AMI_PARAMETERS = "/aws/service/"
_AMI = "ami-0123456789abcdef0"


def _caller_identity(aws: Aws, _: dict[str, Any]) -> dict[str, Any]:
    found = aws.client("sts").get_caller_identity()
    return {
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
        "id": found["Account"],
    }


def _region(aws: Aws, _: dict[str, Any]) -> dict[str, Any]:
    return {"region": aws.region, "name": aws.region, "id": aws.region, "description": aws.region}


def _partition(_: Aws, __: dict[str, Any]) -> dict[str, Any]:
    suffix = "amazonaws.com"
    return {
        "partition": "aws",
        "dnsSuffix": suffix,
        "reverseDnsPrefix": "com.amazonaws",
        "id": "aws",
    }


def _availability_zones(aws: Aws, _: dict[str, Any]) -> dict[str, Any]:
    zones = aws.client("ec2").describe_availability_zones()["AvailabilityZones"]
    return {
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
        "groupNames": sorted({zone.get("GroupName", aws.region) for zone in zones}),
        "id": aws.region,
    }


def _parameter(aws: Aws, args: dict[str, Any]) -> dict[str, Any]:
    name = args["name"]
    if name.startswith(_AMI_PARAMETERS):
        value = _AMI
    else:
        value = aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    values = {"value": value, "insecureValue": value}
    return {"name": name, **values, "type": "String", "version": 1, "id": name}


def _registry_login(aws: Aws, args: dict[str, Any]) -> dict[str, Any]:
    found = aws.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return {
        "authorizationToken": found["authorizationToken"],
        "expiresAt": found["expiresAt"].isoformat(),
        "proxyEndpoint": found["proxyEndpoint"],
        "userName": user,
        "password": password,
        "registryId": args.get("registryId", aws.account),
        "region": aws.region,
        "id": aws.region,
    }


INVOKES: dict[str, Callable[[Aws, dict[str, Any]], dict[str, Any]]] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": _registry_login,
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _availability_zones,
    "aws:ssm/getParameter:getParameter": _parameter,
}
