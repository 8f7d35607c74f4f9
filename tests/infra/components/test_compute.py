"""Batch: environments, queues, job definitions, instances."""

import json

import pytest

from components.compute.batch import CONTAINER_USER, exit_rules
from contracts.limits import BATCH_EXIT_RULES_MAX
from contracts.names import ExitCode, Stage
from tests.infra.support.recorder import (
    ACCOUNT,
    REGION,
    REPOSITORY,
    Deployment,
    variant,
)

COMMANDS = {
    "extract": ["python", "-m", "containers.media", "extract"],
    "process": ["python", "-m", "containers.upscaler", "process"],
    "recompose": ["python", "-m", "containers.media", "recompose"],
}


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
    resources = prod.compute_resources("process-spot")
    families = {kind.split(".")[0] for kind in resources["instanceTypes"]}
    assert families == {"g4dn", "g5", "g6"}
    assert resources["ec2Configurations"] == [
        {"imageType": "ECS_AL2023_NVIDIA", "imageIdOverride": "ami-0000000000000a000"}
    ]
    assert {"type": "GPU", "value": "1"} in prod.job_container("process")["resourceRequirements"]


@pytest.mark.parametrize("name", ["process-spot", "process-on-demand"])
def test_workers_without_gpu_get_cpu_instances(local: Deployment, name: str) -> None:
    resources = local.compute_resources(name)
    assert resources["instanceTypes"] == local.compute_resources("media-on-demand")["instanceTypes"]
    assert resources["ec2Configurations"] == [
        {"imageType": "ECS_AL2023", "imageIdOverride": "ami-0000000000000c000"}
    ]
    kinds = {r["type"] for r in local.job_container("process")["resourceRequirements"]}
    assert kinds == {"VCPU", "MEMORY"}


def test_each_stage_runs_its_own_command_in_its_own_image(stack: Deployment) -> None:
    for stage, command in COMMANDS.items():
        properties = stack.job_container(stage)
        assert properties["command"] == command
        assert ("upscaler" in properties["image"]) == (stage == "process")


def test_jobs_write_nowhere_but_to_their_scratch_folder_and_our_log(stack: Deployment) -> None:
    for stage in Stage:
        properties = stack.job_container(stage.value)
        assert properties["readonlyRootFilesystem"] is True
        assert properties["privileged"] is False
        assert [m["containerPath"] for m in properties["mountPoints"]] == ["/tmp"]
        assert properties["volumes"] == [{"name": "scratch", "host": {}}]
        assert properties["user"] == CONTAINER_USER
        assert properties["linuxParameters"] == {"initProcessEnabled": True}
        assert "ulimits" not in properties
        options = properties["logConfiguration"]["options"]
        assert options["awslogs-group"] == stack.one("LogGroup", "jobs").inputs["name"]
        assert options["awslogs-stream-prefix"] == stage.value
        assert options["mode"] == "non-blocking"


def test_a_job_is_told_its_region_for_ecs_does_not_tell_it(stack: Deployment) -> None:
    for stage in Stage:
        properties = stack.job_container(stage.value)
        given = {one["name"]: one["value"] for one in properties["environment"]}
        logged = properties["logConfiguration"]["options"]["awslogs-region"]
        assert given["AWS_DEFAULT_REGION"] == logged == "us-east-1"


def test_each_stage_has_a_job_role_of_its_own(stack: Deployment) -> None:
    roles = [stack.job_container(stage.value)["jobRoleArn"] for stage in Stage]
    assert roles == [stack.one("Role", f"{stage.value}-job").arn for stage in Stage]


def test_only_lost_hosts_failed_pulls_and_our_own_codes_are_retried(stack: Deployment) -> None:
    rules = exit_rules()
    assert len(rules) <= BATCH_EXIT_RULES_MAX
    assert rules[-1] == {"on_reason": "*", "action": "EXIT"}
    retried = {r.get("on_exit_code") for r in rules if r["action"] == "RETRY"}
    assert retried == {None, str(ExitCode.TRANSIENT.value), str(ExitCode.INTERRUPTED.value)}
    for definition in stack.of("JobDefinition"):
        strategy = definition.inputs["retryStrategy"]
        assert strategy["attempts"] == (5 if definition.name.endswith("process") else 3)
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
        metadata = template.inputs["metadataOptions"]
        assert (metadata["httpTokens"], metadata["httpProtocolIpv6"]) == ("required", "disabled")
        (disk,) = template.inputs["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true"
        assert "kmsKeyId" not in disk["ebs"]


def test_volumes_use_the_stacks_key_where_it_has_one(kms: Deployment) -> None:
    (key,) = [k for k in kms.of("Key") if k.name.endswith("-data")]
    for template in kms.of("LaunchTemplate"):
        (disk,) = template.inputs["blockDeviceMappings"]
        assert disk["ebs"]["kmsKeyId"] == key.arn
    statements = {s["Sid"]: s for s in json.loads(key.inputs["policy"])["Statement"]}
    assert statements["AllowVolumes"]["Condition"]["StringEquals"] == {
        "kms:CallerAccount": ACCOUNT,
        "kms:ViaService": f"ec2.{REGION}.amazonaws.com",
    }


def test_a_machine_image_can_be_pinned() -> None:
    stack = variant("prod", "gpu_image_id=ami-0abcdef12", "cpu_image_id=ami-0abcdef34")
    images = {
        name: stack.compute_resources(name)["ec2Configurations"][0]["imageIdOverride"]
        for name in ("media-on-demand", "process-spot", "process-on-demand")
    }
    assert images == {
        "media-on-demand": "ami-0abcdef34",
        "process-spot": "ami-0abcdef12",
        "process-on-demand": "ami-0abcdef12",
    }


def test_who_heads_a_queue_in_vain_is_cancelled_after_a_while() -> None:
    stack = variant("dev", "capacity_wait_seconds=7200", "misfit_wait_seconds=900")
    for queue in stack.of("JobQueue"):
        actions = queue.inputs["jobStateTimeLimitActions"]
        assert {a["reason"]: a["maxTimeSeconds"] for a in actions} == {
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": 7200,
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": 900,
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 900,
        }
        assert {(a["state"], a["action"]) for a in actions} == {("RUNNABLE", "CANCEL")}


@pytest.mark.parametrize("image", ["media", "upscaler"])
def test_jobs_run_as_the_user_that_their_image_was_made_for(image: str) -> None:
    dockerfile = (REPOSITORY / "containers" / image / "Dockerfile").read_text()
    assert f"\nUSER {CONTAINER_USER}\n" in dockerfile
    assert CONTAINER_USER.split(":")[0] != "0"


def test_instances_and_volumes_carry_the_tags_that_providers_do_not_give_them(
    prod: Deployment,
) -> None:
    for template in prod.of("LaunchTemplate"):
        tags = {s["resourceType"]: s["tags"] for s in template.inputs["tagSpecifications"]}
        assert set(tags) == {"instance", "volume"}
        assert tags["instance"] == tags["volume"]
        assert tags["instance"]["cost-center"] == "video"


@pytest.mark.parametrize(
    ("changes", "children"),
    [
        ((), 1),
        (("worker_gpus=4", 'gpu_instance_types=["g5.12xlarge"]'), 4),
        (("worker_gpus=0", "device=cpu", "inference_dtype=float32"), 1),
    ],
)
def test_a_worker_has_a_child_for_each_gpu(changes: tuple[str, ...], children: int) -> None:
    stack = variant("prod", *changes, "worker_dollars_per_hour=1")
    variables = {v["name"]: v["value"] for v in stack.job_container("process")["environment"]}
    assert variables["SUPERRES_CHILDREN"] == str(children)
