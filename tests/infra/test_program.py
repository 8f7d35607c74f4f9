"""The whole program, under each stack's file."""

import json

import pytest

from tests.infra.support.recorder import (
    PROJECT,
    Deployment,
    deployment,
    run_program,
    stack_config,
    variant,
)

EXPORTS = {
    "source_bucket", "intermediate_bucket", "final_bucket", "access_log_bucket",
    "state_machine_arn", "registry_table", "notification_topic_arn", "email_topic_arn",
    "process_queue_arn", "media_queue_arn", "media_image", "upscaler_image", "commit",
}  # fmt: skip


def test_the_exports_are_the_agreed_ones(stack: Deployment) -> None:
    assert set(stack.outputs) == EXPORTS
    assert all(stack.outputs.values())


def test_every_resource_stands_below_a_component(stack: Deployment) -> None:
    root = f"urn:pulumi:{stack.stack}::{PROJECT}::pulumi:pulumi:Stack::{PROJECT}-{stack.stack}"
    loose = {r.type for r in stack.resources if r.custom and r.parent in ("", root)}
    assert loose == {"pulumi:providers:aws"}


def test_every_component_registers_its_outputs(stack: Deployment) -> None:
    components = {r.urn for r in stack.resources if r.type.startswith(f"{PROJECT}:")}
    assert components
    assert components <= stack.registered_outputs


def test_every_resource_gets_the_default_tags_by_the_one_provider(stack: Deployment) -> None:
    (provider,) = [r for r in stack.resources if r.type == "pulumi:providers:aws"]
    tags = json.loads(provider.inputs["defaultTags"])["tags"]
    assert set(tags) == {"project", "stack", "owner", "cost-center"}
    assert tags["project"] == PROJECT
    assert tags["stack"] == stack.stack
    assert {r.provider.split("::")[-2] for r in stack.resources if r.type.startswith("aws:")} == {
        provider.name
    }


def test_logical_names_are_unique_within_a_type(stack: Deployment) -> None:
    names = [(r.type, r.name) for r in stack.resources if r.custom]
    assert len(set(names)) == len(names)


def test_physical_names_fit_with_the_longest_stack_name() -> None:
    """Pulumi adds a hyphen and seven characters to a logical name."""
    longest = run_program("a" * 16, stack_config("prod"))
    limits = {"Bucket": 63, "Role": 64, "RolePolicy": 128, "Function": 64, "Queue": 80,
              "Topic": 256, "StateMachine": 80, "EventRule": 64, "JobQueue": 128}  # fmt: skip
    for kind, limit in limits.items():
        for resource in longest.of(kind):
            assert len(resource.name) + 8 <= limit, resource


@pytest.mark.parametrize(
    ("name", "kept"), [("prod", True), ("dev", False), ("staging", False), ("local", False)]
)
def test_what_holds_data_survives_the_stack_where_it_is_protected(name: str, kept: bool) -> None:
    stack = deployment(name)
    stateful = [*stack.of("Bucket"), *stack.of("Table"), *stack.of("Key")]
    assert len(stateful) == 6
    for resource in stateful:
        assert (resource.protect, resource.retain) == (kept, kept), resource
    assert {b.inputs["forceDestroy"] for b in stack.of("Bucket")} == {not kept}
    assert stack.one("Table", "").inputs["deletionProtectionEnabled"] is kept


def test_every_log_group_forgets(stack: Deployment) -> None:
    groups = stack.of("LogGroup")
    days = {g.inputs["retentionInDays"] for g in groups}
    assert len(groups) == 12
    assert days == {int(stack_config(stack.stack)["superres:log_retention_days"])}


def test_the_local_stack_is_the_same_program_with_other_settings() -> None:
    """But for who is told by mail, and for the network."""
    shape = ("network", "zones", "endpoint_zones")
    settings = stack_config("prod")
    local = variant("local", *(f"{name}={settings[f'superres:{name}']}" for name in shape))
    prod = deployment("prod")
    kinds = [
        sorted(
            r.urn.replace(f"-{d.stack}", "")
            for r in d.resources
            if r.inputs.get("protocol") != "email"
        )
        for d in (local, prod)
    ]
    assert kinds[0] == [urn.replace(":prod::", ":local::") for urn in kinds[1]]
    providers = [d.of("aws")[0].inputs for d in (local, prod)]
    assert providers[0].keys() == providers[1].keys()
