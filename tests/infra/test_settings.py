"""Stack settings: what is allowed, and what a person reads who got one wrong."""

import re

import pulumi
import pytest

from components.common.tags import required_tags
from components.settings import StackSettings, parse_settings
from components.settings.observability import LOG_RETENTION_DAYS
from components.settings.reading import check_stack_name
from contracts.base import ContractError
from tests.infra.support.recorder import (
    STACKS,
    run_program,
    stack_config,
)

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
LEAST = {
    "owner": "video-team",
    "cost_center": "research",
    "media_image": f"example/media@{DIGEST}",
    "upscaler_image": f"example/upscaler@{DIGEST}",
}
BUILD = {"media_image": None, "upscaler_image": None, "images": "build"}
ECR = "111122223333.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize("name", STACKS)
def test_stack_files_say_nothing_that_is_not_a_setting(name: str) -> None:
    ours = {k.removeprefix("superres:") for k in stack_config(name) if k.startswith("superres:")}
    assert ours <= set(StackSettings.model_fields)


def test_text_becomes_numbers_flags_and_lists() -> None:
    settings = parse_settings(
        {
            **LEAST,
            "worker_vcpus": "8",
            "protect": "false",
            "progress_seconds": "0.5",
            "email_addresses": '["a@example.com", "b@example.com"]',
        }
    )
    assert settings.worker_vcpus == 8
    assert settings.protect is False
    assert settings.progress_seconds == 0.5
    assert settings.email_addresses == ("a@example.com", "b@example.com")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"lambda_architecture": "arm"},
            "superres:lambda_architecture: got 'arm', must be 'arm64' or 'x86_64'",
        ),
        (
            {"worker_vcpus": "many"},
            "superres:worker_vcpus: got 'many', must be a whole number",
        ),
        (
            {"worker_gflops": "0"},
            "superres:worker_gflops: got '0', must be greater than 0",
        ),
        (
            {"log_retention_days": "10"},
            "superres:log_retention_days: got '10', must be one of "
            + ", ".join(map(str, LOG_RETENTION_DAYS)),
        ),
        (
            {"email_addresses": '["a@example.com", "nobody"]'},
            (
                "superres:email_addresses.1: got 'nobody', "
                "expected an address such as film@example.com"
            ),
        ),
        (
            {"media_image": f"{ECR}/superres/media:1.0"},
            (
                f"superres:media_image: got '{ECR}/superres/media:1.0', must be an image by "
                "digest, REPOSITORY@sha256:<64 hex digits>"
            ),
        ),
        (
            {"upscaler_image": None},
            (
                "superres:upscaler_image: got '', must be an image by digest, "
                "REPOSITORY@sha256:<64 hex digits>"
            ),
        ),
        (
            BUILD,
            (
                "superres:image_registry: got '', must be "
                f"ACCOUNT.dkr.ecr.REGION.amazonaws.com, such as {ECR}"
            ),
        ),
        (
            {"images": "build", "image_registry": ECR},
            (
                f"superres:media_image: got 'example/media@{DIGEST}', but images is 'build', which "
                "makes the image; leave it out, or set images to 'digest'"
            ),
        ),
        (
            {**BUILD, "image_registry": "docker.io"},
            (
                "superres:image_registry: got 'docker.io', must be "
                f"ACCOUNT.dkr.ecr.REGION.amazonaws.com, such as {ECR}"
            ),
        ),
        (
            {"commit": "main"},
            "superres:commit: got 'main', string should match pattern '^[0-9a-f]{40}$'",
        ),
        (
            {"vpc_cidr": "10.0.0.0/28"},
            "superres:vpc_cidr: got '10.0.0.0/28', must be a network from /16 to /24",
        ),
        (
            {"vpc_cidr": "10.0.0.1/20"},
            (
                "superres:vpc_cidr: got '10.0.0.1/20', expected a network such as 10.42.0.0/20: "
                "10.0.0.1/20 has host bits set"
            ),
        ),
        (
            {"zones": "2", "endpoint_zones": "3"},
            "superres:endpoint_zones: got 3, must be 1 to zones (2)",
        ),
        (
            {"network": "hidden"},
            "superres:network: got 'hidden', must be 'public' or 'private'",
        ),
        (
            {"network": "private"},
            (
                f"superres:media_image: got 'example/media@{DIGEST}', must be an image in ECR "
                "where network is private: no other registry can be reached from there"
            ),
        ),
        (
            {"gpu_image_id": "al2023"},
            (
                "superres:gpu_image_id: got 'al2023', "
                "string should match pattern '^ami-[0-9a-f]{8,17}$'"
            ),
        ),
        (
            {"capacity_wait_seconds": "60"},
            ("superres:capacity_wait_seconds: got '60', must be greater than or equal to 600"),
        ),
        (
            {"worker_attempts": "11"},
            "superres:worker_attempts: got '11', must be less than or equal to 10",
        ),
        (
            {"spot_fleet": "true", "fleet_on_demand_instances": "3"},
            "superres:fleet_on_demand_instances: got 3, must be 0 to fleet_instances (2)",
        ),
        (
            {"spot_fleet": "true", "worker_gpus": "0"},
            (
                "superres:fleet_instance_types: is missing; without worker_gpus the sizes of the "
                "fleet's instances must be named, such as c7i.2xlarge"
            ),
        ),
        (
            {"spot_fleet": "true", "fleet_instance_types": '["g5.xlarge", "g6"]'},
            (
                "superres:fleet_instance_types: got 'g6', must be sizes such as g5.xlarge: "
                "a fleet starts no families"
            ),
        ),
        (
            {"spot_fleet": "true", "worker_parallelism": "3"},
            (
                "superres:worker_parallelism: got 3, must be 1 to 2: "
                "so many workers fit onto fleet_instances"
            ),
        ),
        (
            {"worker_vcpu": "4"},
            "superres:worker_vcpu: is not a known field; did you mean superres:worker_vcpus?",
        ),
        (
            {"nothing_like_it": "4"},
            "superres:nothing_like_it: is not a known field",
        ),
        (
            {"protect": "maybe"},
            "superres:protect: got 'maybe', must be true or false",
        ),
        (
            {"progress_seconds": "soon"},
            "superres:progress_seconds: got 'soon', must be a number",
        ),
        (
            {"email_addresses": "a@example.com"},
            (
                "superres:email_addresses: got 'a@example.com', must be a list "
                'such as ["one", "two"]'
            ),
        ),
        (
            {"email_addresses": '["a@example.com"'},
            (
                "superres:email_addresses: got '[\"a@example.com\"', must be a list "
                'such as ["one", "two"]'
            ),
        ),
        (
            {"gpu_instance_types": "[]"},
            "superres:gpu_instance_types: got [], must be a list of 1 or more",
        ),
        (
            {"cpu_instance_types": '["C7i large"]'},
            (
                "superres:cpu_instance_types.0: got 'C7i large', expected a family or a size of "
                "instances, such as g5 or g5.xlarge; superres:cpu_instance_types: got "
                "['C7i large'], must be a list of 1 or more"
            ),
        ),
        (
            {"owner": ""},
            (
                "superres:owner: got '', must be 1 to 256 letters, digits, spaces and "
                "_ . : / = + - @"
            ),
        ),
        (
            {"cost_center": " "},
            (
                "superres:cost_center: got ' ', must be 1 to 256 letters, digits, spaces and "
                "_ . : / = + - @"
            ),
        ),
        (
            {"worker_vcpus": "32", "on_demand_max_vcpus": "16"},
            "superres:worker_vcpus: got 32, must be 1 to on_demand_max_vcpus (16)",
        ),
        (
            {"media_vcpus": "64"},
            "superres:media_vcpus: got 64, must be 1 to media_max_vcpus (16)",
        ),
        (
            {"device": "cuda", "worker_gpus": "0"},
            "superres:device: got 'cuda', but worker_gpus is 0; must be auto or cpu",
        ),
        (
            {"worker_gpus": "0"},
            (
                "superres:inference_dtype: got 'float16', must be float32 or bfloat16 for "
                "workers without a GPU"
            ),
        ),
        (
            {"worker_gpus": "0", "inference_dtype": "float32", "video_encoders": "nvenc"},
            ("superres:video_encoders: got 'nvenc', must be software for workers without a GPU"),
        ),
        (
            {"inference_engine": "ncnn", "inference_dtype": "float32"},
            (
                "superres:inference_engine: got 'ncnn', must be torch for workers with a GPU; "
                "on processors worker_gpus is 0"
            ),
        ),
        (
            {"gpu_instance_types": '["g4dn.xlarge"]', "worker_vcpus": "8"},
            (
                "superres:worker_dollars_per_hour: is missing, and no list price is known of any "
                "of the instance types that have room for such a job"
            ),
        ),
        (
            {"worker_parallelism": "99"},
            (
                "superres:worker_parallelism: got 99, must be 1 to 20: so many workers of 4 "
                "vCPUs fit into spot_max_vcpus and on_demand_max_vcpus together"
            ),
        ),
        (
            {"encryption": "aes"},
            "superres:encryption: got 'aes', must be 's3' or 'kms'",
        ),
        (
            {"encryption": "kms", "kms_key_arn": "alias/films"},
            (
                "superres:kms_key_arn: got 'alias/films', expected a key's ARN (no alias), such "
                "as arn:aws:kms:us-east-1:111122223333:key/..."
            ),
        ),
        (
            {"kms_key_arn": "arn:aws:kms:us-east-1:111122223333:key/1-2"},
            "superres:encryption: got 's3' with kms_key_arn, must be 'kms'",
        ),
        (
            {"email_addresses": '["a@b.c"]', "alarm_email_addresses": '["a@b.c"]'},
            (
                "superres:email_addresses: got a@b.c more than once, must be listed "
                "once; film+alarms@example.com reaches the same person"
            ),
        ),
        (
            {"final_storage_class": "STANDARD_IA", "final_storage_days": "7"},
            "superres:final_storage_days: got 7, must be at least 30 for STANDARD_IA",
        ),
        (
            {"final_storage_class": "COLD"},
            (
                "superres:final_storage_class: got 'COLD', must be 'STANDARD', "
                "'INTELLIGENT_TIERING', 'STANDARD_IA', 'ONEZONE_IA', 'GLACIER_IR', 'GLACIER' or "
                "'DEEP_ARCHIVE'"
            ),
        ),
        (
            {"final_storage_class": "GLACIER_IR", "final_days": "20"},
            (
                "superres:final_days: got 20, must be more than final_storage_days (30), "
                "because a result moves before it is deleted"
            ),
        ),
        (
            {"intermediate_days": "7"},
            "superres:intermediate_days: got '7', must be greater than or equal to 15",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_got_and_what_is_allowed(
    wrong: dict[str, str | None], sentence: str
) -> None:
    with pytest.raises(ContractError) as caught:
        parse_settings({k: v for k, v in {**LEAST, **wrong}.items() if v is not None})
    assert str(caught.value) == f"stack settings: {sentence}"


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ContractError, match=re.escape("superres:owner: is missing")):
        parse_settings({k: v for k, v in LEAST.items() if k != "owner"})


@pytest.mark.parametrize("tag", ["project", "stack", "owner", "cost_center"])
def test_nothing_is_made_without_its_tags(tag: str) -> None:
    given = {"project": "p", "stack": "s", "owner": "o", "cost_center": "c"}
    assert set(required_tags(**given)) == {"project", "stack", "owner", "cost-center"}
    with pytest.raises(ValueError, match=f"tag {tag.replace('_', '-')}: got '', must be 1 to 256"):
        required_tags(**{**given, tag: ""})


def test_the_plan_counts_on_what_fits_into_the_spot_environment() -> None:
    assert parse_settings({**LEAST, "spot_max_vcpus": "64"}).parallelism == 16
    assert parse_settings({**LEAST, "worker_parallelism": "3"}).parallelism == 3


@pytest.mark.parametrize("name", ["", "Dev", "1dev", "a-name-that-is-too-long", "dev_2"])
def test_a_stack_name_that_does_not_fit_into_names_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match=r"stack name: got .*, must be 1 to 16 lower-case"):
        check_stack_name(name)


@pytest.mark.parametrize(
    ("stack", "changes", "sentence"),
    [
        ("dev", {"superres:worker_vcpu": "4"}, "worker_vcpu: is not a known field"),
        ("dev", {"superres:device": "gpu"}, "superres:device: got 'gpu'"),
        ("Dev", {}, "stack name: got 'Dev'"),
        (
            "dev",
            {"superres:protect": "true"},
            "superres:images: got 'build', but protect is true; must be digest",
        ),
        (
            "dev",
            {
                "superres:images": "local",
                "superres:media_image": "a:1",
                "superres:upscaler_image": "b:1",
            },
            "superres:images: got 'local' in stack 'dev', which pulls images; must be digest",
        ),
        (
            "dev",
            {
                "superres:encryption": "kms",
                "superres:kms_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/1-2",
            },
            "superres:kms_key_arn: got a key in eu-west-1, must be a key in the stack's region",
        ),
    ],
)
def test_the_program_stops_with_one_sentence_and_no_traceback(
    stack: str, changes: dict[str, str], sentence: str
) -> None:
    """Pulumi prints a RunError's text alone."""
    with pytest.raises(pulumi.RunError, match=re.escape(sentence)):
        run_program(stack, {**stack_config("dev"), **changes})
