"""The policy pack, asked over the wire as `pulumi preview --policy-pack policy` asks it."""

from collections.abc import Iterator

import pytest
import yaml
from pulumi.runtime import proto
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policy.rule import Graph
from policy.rules import RULES
from tests.infra.support.analyzer import Analyzer, analyzer
from tests.infra.support.graphs import graph
from tests.infra.support.planting import props, without
from tests.infra.support.recorder import REPOSITORY


@pytest.fixture(scope="module")
def pack() -> Iterator[Analyzer]:
    with analyzer() as running:
        yield running


def test_the_pack_offers_every_rule_and_insists(pack: Analyzer) -> None:
    offered = {p.name: p for p in pack.info().policies}
    assert set(offered) == {rule.name for rule in RULES}
    assert {p.enforcementLevel for p in offered.values()} == {proto.MANDATORY}
    for rule in RULES:
        wanted = proto.POLICY_TYPE_RESOURCE if rule.alone else proto.POLICY_TYPE_STACK
        assert offered[rule.name].policy_type == wanted


def test_the_pack_lets_production_pass(pack: Analyzer) -> None:
    resources = graph("prod")
    assert [d for r in resources.resources for d in pack.analyze(r)] == []
    assert pack.analyze_stack(resources) == []


def test_the_pack_stops_a_resource_before_it_is_made(pack: Analyzer) -> None:
    damaged = props("Queue", "-processing", sqsManagedSseEnabled=False)(graph("prod"))
    (queue,) = [q for q in damaged.of("Queue") if q.name.endswith("-processing")]
    (said,) = pack.analyze(queue)
    assert said.policyName == "queue-is-encrypted"
    assert said.enforcementLevel == proto.MANDATORY
    assert said.message == (
        "A queue encrypts its messages\n"
        "superres-prod-processing: sets neither sqsManagedSseEnabled nor kmsMasterKeyId"
    )


def test_the_pack_names_the_resource_that_lacks_something(pack: Analyzer) -> None:
    damaged = without("BucketPublicAccessBlock", "-final")(graph("prod"))
    (said,) = pack.analyze_stack(damaged)
    assert said.policyName == "bucket-blocks-public-access"
    assert said.urn.endswith("Bucket::superres-prod-final")


def test_what_a_preview_cannot_know_is_no_violation(pack: Analyzer) -> None:
    """Before the first update no bucket has a name, so no policy can be read."""
    unknown = props("BucketPolicy", "", policy=UNKNOWN_STRING_VALUE)(graph("prod"))
    assert pack.analyze_stack(unknown) == []
    both = without("BucketPublicAccessBlock", "-final")(unknown)
    assert [d.policyName for d in pack.analyze_stack(both)] == ["bucket-blocks-public-access"]


def test_an_empty_stack_breaks_nothing(pack: Analyzer) -> None:
    assert pack.analyze_stack(Graph([])) == []


def test_the_pack_runs_in_the_projects_own_environment() -> None:
    project = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["runtime"]["options"]
    own = yaml.safe_load((REPOSITORY / "policy" / "PulumiPolicy.yaml").read_text())["runtime"]
    assert own["options"]["virtualenv"] == f"../{project['virtualenv']}"
    assert own["options"]["toolchain"] == project["toolchain"]
