"""RequestSpotFleet, which ministack lacks: a request is checked, and starts nothing.

Jobs of a fleet's queue run on this machine like all others.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RequestSpotFleet.html
"""

import uuid
from collections.abc import Mapping
from typing import Any

from ministack.services import ec2

NEEDS = {"ministack.services.ec2": ("_ACTION_MAP", "_error", "_launch_templates", "_p", "_xml")}

Answer = tuple[int, dict[str, str], bytes]
_PREFIX = "SpotFleetRequestConfig."


def apply() -> None:
    actions: dict[str, Any] = ec2._ACTION_MAP
    actions["RequestSpotFleet"] = _request_spot_fleet


def _request_spot_fleet(parameters: Mapping[str, Any]) -> Answer:
    def value(name: str) -> str:
        return ec2._p(parameters, _PREFIX + name) or ""

    template = value("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId")
    if template not in ec2._launch_templates:
        message = f"The specified launch template, with template ID {template}, does not exist."
        return ec2._error("InvalidLaunchTemplateId.NotFound", message, 400)
    if int(value("OnDemandTargetCapacity") or 0) > int(value("TargetCapacity")):
        message = "OnDemandTargetCapacity must not be greater than TargetCapacity."
        return ec2._error("InvalidSpotFleetRequestConfig", message, 400)
    identifier = f"<spotFleetRequestId>sfr-{uuid.uuid4()}</spotFleetRequestId>"
    return ec2._xml(200, "RequestSpotFleetResponse", identifier)
