"""Renaming a component moves what it made, and destroys nothing."""

import pulumi
import pytest

from components.common.identity import Location
from components.common.options import formerly
from components.storage.component import (
    Retention,
    Storage,
    StorageArgs,
)
from tests.infra.support.recorder import (
    ACCOUNT,
    REGION,
    Deployment,
    record,
)

DAYS = Retention(noncurrent=30, source=None, intermediate=21, final=None, access_logs=90)


def _storage(name: str, *former: str) -> Deployment:
    def program() -> None:
        location = Location(
            partition=pulumi.Output.from_input("aws"),
            region=pulumi.Output.from_input(REGION),
            account=pulumi.Output.from_input(ACCOUNT),
            invoke=pulumi.InvokeOutputOptions(),
        )
        args = StorageArgs(
            location=location,
            namespace="superres-prod",
            key=None,
            days=DAYS,
            final_class="STANDARD",
            final_class_days=30,
            intermediate_versioned=False,
            final_versioned=True,
            protect=True,
        )
        Storage(name, args, formerly(pulumi.ResourceOptions(), *former))

    return record("prod", {}, program)


@pytest.fixture(scope="module")
def before() -> Deployment:
    return _storage("films")


def _former_urns(deployment: Deployment) -> set[str]:
    """What the engine looks for in its records, by the rule by which it hands aliases down: a
    child whose name begins with its parent's had a name that began with the parent's former one.
    https://www.pulumi.com/docs/iac/concepts/resources/options/aliases/
    """
    former: dict[str, str] = {}
    by_urn = {r.urn: r for r in deployment.resources}
    for resource in deployment.resources:
        parent = by_urn.get(resource.parent)
        if resource.former_names:
            (former[resource.urn],) = resource.former_names
        elif parent and parent.urn in former and resource.name.startswith(parent.name):
            former[resource.urn] = former[parent.urn] + resource.name.removeprefix(parent.name)
    return {f"{urn.rpartition('::')[0]}::{name}" for urn, name in former.items()}


def test_a_renamed_component_and_all_in_it_answer_to_their_former_urns(before: Deployment) -> None:
    after = _storage("archive", "films")
    old = {r.urn for r in before.resources if r.type != "pulumi:pulumi:Stack"}
    assert len(old) > 20
    assert not old & {r.urn for r in after.resources}
    assert _former_urns(after) == old


def test_a_bucket_keeps_its_physical_name_when_its_component_is_renamed(
    before: Deployment,
) -> None:
    """So that a rename without alias meets the old bucket, and is refused by S3, instead of
    making an empty one."""
    after = _storage("archive")
    names = [{b.inputs["bucket"] for b in d.of("Bucket")} for d in (before, after)]
    assert names[0] == names[1]
    assert not _former_urns(after)
    assert all(b.protect and b.retain for b in (*before.of("Bucket"), *after.of("Bucket")))
