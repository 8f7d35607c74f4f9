"""Batch: environments, queues, job definitions, instances."""

import base64
import email
import json
from typing import Any

import pytest

from components.batch import exit_rules, user_data
from contracts.limits import BATCH_EXIT_RULES_MAX
from contracts.names import ExitCode, Stage
from tests.infra.recorder import Deployment

COMMANDS = {
    "extract": ["python", "-m", "containers.media", "extract"],
    "process": ["python", "-m", "containers.upscaler", "process"],
    "recompose": ["python", "-m", "containers.media", "recompose"],
}


def container(stack: Deployment, stage: str) -> dict[str, Any]:
    return json.loads(stack.one("JobDefinition", stage).inputs["containerProperties"])


def environment(stack: Deployment, name: str) -> dict[str, Any]:
    return stack.one("ComputeEnvironment", name).inputs["computeResources"]


def test_workers_ask_for_spot_first_and_media_jobs_for_on_demand(stack: Deployment) -> None:
    environments = {
        e.arn: e.inputs["computeResources"]["type"] for e in stack.of("ComputeEnvironment")
    }
    order = {
        name: [
            environments[o["computeEnvironment"]]
            for o in stack.one("JobQueue", name).inputs["computeEnvironmentOrders"]
        ]
        for name in ("media", "process")
    }
    assert order == {"media": ["EC2"], "process": ["SPOT", "EC2"]}


def test_environments_scale_to_zero_and_can_be_updated_in_place(stack: Deployment) -> None:
    for one in stack.of("ComputeEnvironment"):
        resources = one.inputs["computeResources"]
        assert resources["minVcpus"] == 0
        assert "serviceRole" not in one.inputs
        assert one.inputs["updatePolicy"]["terminateJobsOnUpdate"] is False
        assert resources["launchTemplate"]["version"] == "3"
    strategies = {
        e.inputs["computeResources"]["type"]: e.inputs["computeResources"]["allocationStrategy"]
        for e in stack.of("ComputeEnvironment")
    }
    assert strategies == {"SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED", "EC2": "BEST_FIT_PROGRESSIVE"}


def test_gpu_workers_get_gpu_instances_of_several_families(prod: Deployment) -> None:
    resources = environment(prod, "process-spot")
    families = {kind.split(".")[0] for kind in resources["instanceTypes"]}
    assert families == {"g4dn", "g5", "g6"}
    assert resources["ec2Configurations"] == [{"imageType": "ECS_AL2023_NVIDIA"}]
    assert {"type": "GPU", "value": "1"} in container(prod, "process")["resourceRequirements"]


@pytest.mark.parametrize("name", ["process-spot", "process-on-demand"])
def test_workers_without_gpu_get_cpu_instances(local: Deployment, name: str) -> None:
    resources = environment(local, name)
    assert resources["instanceTypes"] == environment(local, "media-on-demand")["instanceTypes"]
    assert resources["ec2Configurations"] == [{"imageType": "ECS_AL2023"}]
    kinds = {r["type"] for r in container(local, "process")["resourceRequirements"]}
    assert kinds == {"VCPU", "MEMORY"}


def test_each_stage_runs_its_own_command_in_its_own_image(stack: Deployment) -> None:
    for stage, command in COMMANDS.items():
        properties = container(stack, stage)
        assert properties["command"] == command
        assert ("upscaler" in properties["image"]) == (stage == "process")


def test_jobs_write_nowhere_but_to_their_scratch_folder_and_our_log(stack: Deployment) -> None:
    for stage in Stage:
        properties = container(stack, stage.value)
        assert properties["readonlyRootFilesystem"] is True
        assert properties["privileged"] is False
        assert [m["containerPath"] for m in properties["mountPoints"]] == ["/tmp"]
        assert properties["volumes"] == [{"name": "scratch", "host": {}}]
        assert "ulimits" not in properties
        options = properties["logConfiguration"]["options"]
        assert options["awslogs-group"] == stack.one("LogGroup", "jobs").inputs["name"]
        assert options["awslogs-stream-prefix"] == stage.value


def test_each_stage_has_a_job_role_of_its_own(stack: Deployment) -> None:
    roles = [container(stack, stage.value)["jobRoleArn"] for stage in Stage]
    assert roles == [stack.one("Role", f"{stage.value}-job").arn for stage in Stage]


def test_only_lost_hosts_failed_pulls_and_our_own_codes_are_retried(stack: Deployment) -> None:
    rules = exit_rules()
    assert len(rules) <= BATCH_EXIT_RULES_MAX
    assert rules[-1] == {"on_reason": "*", "action": "EXIT"}
    retried = {r.get("on_exit_code") for r in rules if r["action"] == "RETRY"}
    assert retried == {None, str(ExitCode.TRANSIENT.value), str(ExitCode.INTERRUPTED.value)}
    for definition in stack.of("JobDefinition"):
        strategy = definition.inputs["retryStrategy"]
        assert strategy["attempts"] == 3
        assert strategy["evaluateOnExits"][0] == {
            "onStatusReason": "Host EC2*",
            "action": "RETRY",
        }
        assert len(strategy["evaluateOnExits"]) == len(rules)
        assert definition.inputs["timeout"]["attemptDurationSeconds"] > 0


def test_a_new_definition_leaves_the_old_one_usable(stack: Deployment) -> None:
    assert {d.inputs["deregisterOnNewRevision"] for d in stack.of("JobDefinition")} == {False}


def test_instances_ask_metadata_by_token_and_encrypt_their_disk(stack: Deployment) -> None:
    templates = stack.of("LaunchTemplate")
    assert len(templates) == 2
    for template in templates:
        assert template.inputs["metadataOptions"]["httpTokens"] == "required"
        (disk,) = template.inputs["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true"


def test_instances_and_volumes_carry_the_tags_that_providers_do_not_give_them(
    prod: Deployment,
) -> None:
    for template in prod.of("LaunchTemplate"):
        tags = {s["resourceType"]: s["tags"] for s in template.inputs["tagSpecifications"]}
        assert set(tags) == {"instance", "volume"}
        assert tags["instance"] == tags["volume"]
        assert tags["instance"]["cost-center"] == "video"


def test_instances_drain_when_spot_takes_them_back() -> None:
    message = email.message_from_bytes(base64.b64decode(user_data()))
    (part,) = [p for p in message.walk() if not p.is_multipart()]
    script = str(part.get_payload())
    assert part.get_content_type() == "text/x-shellscript"
    assert script.startswith("#!/bin/bash\n")
    assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in script
    assert "ECS_CONTAINER_STOP_TIMEOUT=110s" in script
