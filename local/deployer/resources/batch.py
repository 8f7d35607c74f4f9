"""AWS Batch."""

import json
from typing import Any

from local.deployer.resource import Aws, Created, RequestedResource

_COMPUTE_NAMES = {
    "minVcpus": "minvCpus",
    "maxVcpus": "maxvCpus",
    "desiredVcpus": "desiredvCpus",
    "ec2Configurations": "ec2Configuration",
}


def _compute_environment(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("updatePolicy")
    name = r.physical_name()
    resources = r.get("computeResources")
    parameters: dict[str, Any] = r.pick(
        state="state", serviceRole="serviceRole", unmanagedvCpus="unmanagedvCpus"
    )
    if resources is not None:
        parameters["computeResources"] = {
            _COMPUTE_NAMES.get(key, key): value for key, value in resources.items()
        }
    batch = aws.client("batch")
    arn = batch.create_compute_environment(
        computeEnvironmentName=name, type=r["type"], **parameters
    )["computeEnvironmentArn"]
    (made,) = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    outputs = {"name": name, "arn": arn, "status": "VALID", "ecsClusterArn": made["ecsClusterArn"]}
    return Created(name, outputs)


def _job_queue(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    arn = aws.client("batch").create_job_queue(
        jobQueueName=name,
        priority=r["priority"],
        computeEnvironmentOrder=r["computeEnvironmentOrders"],
        **r.pick(
            state="state",
            schedulingPolicyArn="schedulingPolicyArn",
            jobStateTimeLimitActions="jobStateTimeLimitActions",
        ),
    )["jobQueueArn"]
    return Created(arn, {"name": name, "arn": arn})


def _job_definition(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("deregisterOnNewRevision")
    name = r.physical_name()
    parameters: dict[str, Any] = r.pick(
        timeout="timeout",
        parameters="parameters",
        platformCapabilities="platformCapabilities",
        propagateTags="propagateTags",
        schedulingPriority="schedulingPriority",
    )
    if retry := r.get("retryStrategy"):
        parameters["retryStrategy"] = {
            {"evaluateOnExits": "evaluateOnExit"}.get(key, key): value
            for key, value in retry.items()
        }
    answer = aws.client("batch").register_job_definition(
        jobDefinitionName=name,
        type=r["type"],
        containerProperties=json.loads(r["containerProperties"]),
        **parameters,
    )
    arn, revision = answer["jobDefinitionArn"], answer["revision"]
    outputs = {
        "name": name,
        "arn": arn,
        "revision": revision,
        "arnPrefix": arn.rpartition(":")[0],
    }
    return Created(arn, outputs)


HANDLERS = {
    "aws:batch/computeEnvironment:ComputeEnvironment": _compute_environment,
    "aws:batch/jobQueue:JobQueue": _job_queue,
    "aws:batch/jobDefinition:JobDefinition": _job_definition,
}
