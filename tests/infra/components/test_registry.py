"""The shared registry's program: repositories, and the roles that GitHub's workflows take."""

import json
import re
from fnmatch import fnmatch
from typing import Any

import pulumi
import pytest

from components.deployers.policies import (
    ISSUER,
    PASSED_TO,
    WORKLOAD_SERVICES,
)
from contracts.stack.images import (
    ImageName,
    build_tag,
    promoted_tag,
)
from tests.infra.support.linting import policy_findings
from tests.infra.support.recorder import (
    ACCOUNT,
    DIGEST,
    deployment,
    run_program,
    stack_config,
    variant,
)
from tests.infra.support.registry import run_registry, shared_registry

STACKS = ("dev", "staging", "prod")
WIDE = "RESOURCE_"
"""Findings about a service's other resources, where the whole service is allowed on the stack's."""


def role_statements(role: str) -> list[dict[str, Any]]:
    attached = {
        a.inputs["policyArn"]
        for a in shared_registry().of("RolePolicyAttachment")
        if a.inputs["role"] == f"github-superres-{role}"
    }
    found = [
        s
        for policy in shared_registry().of("Policy")
        if policy.arn in attached
        for s in json.loads(policy.inputs["policy"])["Statement"]
    ]
    assert found, role
    return found


def allowed(role: str, action: str, resource: str) -> bool:
    """Whether a role may do this, conditions set aside."""
    return any(
        any(fnmatch(action, a) for a in s["Action"])
        and any(fnmatch(resource, r) for r in s["Resource"])
        for s in role_statements(role)
    )


def test_there_is_a_repository_for_each_image() -> None:
    names = {r.inputs["name"] for r in shared_registry().of("Repository")}
    assert (
        names
        == {image.repository for image in ImageName}
        == {
            "superres/media",
            "superres/upscaler",
        }
    )
    for repository in shared_registry().of("Repository"):
        assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert repository.inputs["encryptionConfigurations"] == [{"encryptionType": "AES256"}]
        assert (repository.protect, repository.retain) == (True, True)


def test_only_the_tags_of_builds_may_move() -> None:
    for repository in shared_registry().of("Repository"):
        assert repository.inputs["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        (moving,) = repository.inputs["imageTagMutabilityExclusionFilters"]
        assert moving["filterType"] == "WILDCARD"
        assert fnmatch(build_tag("dev"), moving["filter"])
        assert not fnmatch(promoted_tag("prod", "0" * 40, DIGEST), moving["filter"])


def test_promoted_images_do_not_expire() -> None:
    """An image that a rule's tags match is out of reach for rules of lower priority."""
    for policy in shared_registry().of("LifecyclePolicy"):
        first, last = json.loads(policy.inputs["policy"])["rules"]
        assert first["rulePriority"] < last["rulePriority"]
        (prefix,) = first["selection"]["tagPrefixList"]
        assert promoted_tag("prod", "0" * 40, DIGEST).startswith(prefix)
        assert not build_tag("dev").startswith(prefix)
        assert first["selection"]["countNumber"] == 1000
        assert last["selection"]["tagStatus"] == "any"
        assert last["selection"]["countNumber"] == 20


def test_the_stacks_accounts_pull_and_no_others() -> None:
    registry = run_registry(readers='["444455556666"]')
    for policy in registry.of("RepositoryPolicy"):
        document = json.loads(policy.inputs["policy"])
        (statement,) = document["Statement"]
        accounts = [f"arn:aws:iam::{account}:root" for account in (ACCOUNT, "444455556666")]
        assert statement["Principal"] == {"AWS": accounts}
        assert "ecr:PutImage" not in statement["Action"]


def test_each_role_trusts_one_environment_of_one_repository() -> None:
    subjects = {}
    for role in shared_registry().of("Role"):
        (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        condition = statement["Condition"]["StringEquals"]
        assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
        subjects[role.name] = condition["token.actions.githubusercontent.com:sub"]
    assert subjects == {
        "github-superres-preview": "repo:example/superres:pull_request",
        **{f"github-superres-{s}": f"repo:example/superres:environment:{s}" for s in STACKS},
    }


@pytest.mark.parametrize("name", ["octocat-123456/my-repo-456789", "octocat@1/my-repo@2"])
def test_a_repository_may_be_named_with_its_ids(name: str) -> None:
    """As GitHub names newer ones in its tokens."""
    roles = run_registry(github_repository=name).of("Role")
    trusts = [json.loads(role.inputs["assumeRolePolicy"])["Statement"][0] for role in roles]
    subjects = {t["Condition"]["StringEquals"][f"{ISSUER}:sub"] for t in trusts}
    assert f"repo:{name}:environment:prod" in subjects
    assert f"repo:{name}:pull_request" in subjects


@pytest.mark.parametrize("stack", STACKS)
def test_a_deployer_reaches_its_own_stack_only(stack: str) -> None:
    for other in {*STACKS} - {stack}:
        assert allowed(stack, "s3:DeleteObject", f"arn:aws:s3:::superres-{stack}-final-1/x")
        assert not allowed(stack, "s3:DeleteObject", f"arn:aws:s3:::superres-{other}-final-1/x")
        role = f"arn:aws:iam::{ACCOUNT}:role/superres-{other}-trigger"
        assert not allowed(stack, "iam:PassRole", role)
        state = "arn:aws:s3:::example-superres-state/.pulumi/stacks/superres"
        assert allowed(stack, "s3:PutObject", f"{state}/{stack}.json")
        assert not allowed(stack, "s3:GetObject", f"{state}/{other}.json")


@pytest.mark.parametrize("stack", STACKS)
def test_a_deployer_cannot_widen_what_it_may(stack: str) -> None:
    for role in (*STACKS, "preview"):
        arn = f"arn:aws:iam::{ACCOUNT}:role/github-superres-{role}"
        for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole"):
            assert not allowed(stack, action, arn)
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/superres-boundary"
    for action in ("iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:SetDefaultPolicyVersion"):
        assert not allowed(stack, action, boundary)
    own = f"arn:aws:iam::{ACCOUNT}:role/superres-{stack}-trigger"
    assert not allowed(stack, "iam:DeleteRolePermissionsBoundary", own)
    (making,) = [s for s in role_statements(stack) if "iam:CreateRole" in s["Action"]]
    assert making["Condition"] == {"ArnEquals": {"iam:PermissionsBoundary": boundary}}


IAM_SERVICES = {
    "batch": {"batch"}, "budgets": {"budgets"}, "cloudwatch": {"cloudwatch", "events", "logs"},
    "dynamodb": {"dynamodb"}, "ec2": {"ec2"}, "iam": {"iam"}, "kms": {"kms"}, "lambda": {"lambda"},
    "s3": {"s3"}, "sfn": {"states"}, "sns": {"sns"}, "sqs": {"sqs"},
    "vpc": {"ec2"},
}  # fmt: skip
"""By module of Pulumi's AWS provider: the services whose actions make its resources."""
ASKED_BESIDE = {"ecr", "route53", "ssm", "tag"}
"""What makes no resource of a stack: images, endpoints' names, the newest machine image, tags."""


@pytest.mark.parametrize("stack", STACKS)
def test_a_deployer_knows_every_service_of_its_stack(stack: str) -> None:
    modules = {r.type.split(":")[1].split("/")[0] for r in deployment(stack).resources
               if r.type.startswith("aws:")}  # fmt: skip
    wanted = {service for module in modules for service in IAM_SERVICES[module]}
    granted = {a.split(":")[0] for s in role_statements(stack) for a in s["Action"]}
    assert wanted <= granted
    assert granted - wanted <= ASKED_BESIDE


def test_a_role_is_handed_over_to_no_service_that_takes_none() -> None:
    runs = (variant("prod", "spot_fleet=true", "batch_service_role=own"), deployment("dev"))
    roles = [json.loads(r.inputs["assumeRolePolicy"]) for run in runs for r in run.of("Role")]
    assert {s["Principal"]["Service"] for one in roles for s in one["Statement"]} == {*PASSED_TO}


@pytest.mark.parametrize("stack", STACKS)
def test_a_deployer_may_do_what_ec2_asks_for_beside_the_call_itself(stack: str) -> None:
    """Private names of endpoints; rules, images and new keys, which carry no tag or account of ours
    that counts already."""
    rule = f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group-rule/*"
    linked = "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
    free = [s for s in role_statements(stack) if "Condition" not in s]
    for action, resource in (
        ("route53:AssociateVPCWithHostedZone", "*"),
        ("ec2:AuthorizeSecurityGroupIngress", rule),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/*"),
        ("kms:EnableKeyRotation", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*"),
    ):
        assert any(action in s["Action"] and resource in s["Resource"] for s in free), action
    assert allowed(stack, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:{linked}")


def test_a_preview_changes_nothing() -> None:
    reading = re.compile(r"\w+:(Get|Describe|List)\w*|kms:Decrypt")
    for statement in role_statements("preview"):
        assert all(reading.fullmatch(action) for action in statement["Action"]), statement


def test_no_role_of_a_stack_needs_more_than_the_boundary() -> None:
    """Nor has one a trust that a deployer could not hand it over to."""
    for name in STACKS:
        for role, document in deployment(name).policies():
            for statement in document["Statement"]:
                services = {action.split(":")[0] for action in statement["Action"]}
                assert services <= {*WORKLOAD_SERVICES}, role
        for role in deployment(name).of("Role"):
            (trusted,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
            assert trusted["Principal"]["Service"] in PASSED_TO, role.name


def test_the_boundary_keeps_out_of_identities() -> None:
    (policy,) = [p for p in shared_registry().of("Policy") if p.name == "superres-boundary"]
    workloads, passing, looking = json.loads(policy.inputs["policy"])["Statement"]
    services = {action.split(":")[0] for action in workloads["Action"]}
    assert services.isdisjoint({"iam", "sts", "organizations", "account"})
    assert passing["Action"] == ["iam:PassRole"]
    assert all(action.startswith("iam:Get") for action in looking["Action"])
    assert all(":iam:" in arn and "/superres-" in arn for arn in passing["Resource"])


def test_the_boundary_leaves_room_for_a_fleet_and_for_a_batch_role_of_our_own() -> None:
    """What their roles hand over: the instances' role, and the jobs' roles."""
    stack = variant("prod", "spot_fleet=true", "batch_service_role=own")
    (policy,) = [p for p in shared_registry().of("Policy") if p.name == "superres-boundary"]
    _, passing, _ = json.loads(policy.inputs["policy"])["Statement"]
    roles = [r.arn for r in stack.of("Role") if r.name.endswith(("-job", "-instance"))]
    assert len(roles) == 4
    for role in roles:
        assert any(fnmatch(role, pattern) for pattern in passing["Resource"])


@pytest.mark.parametrize("name", STACKS)
def test_a_bounded_stack_bounds_every_role(name: str) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/superres-boundary"
    config = {**stack_config(name), "superres:permissions_boundary_arn": arn}
    roles = run_program(name, config).of("Role")
    assert roles
    assert {role.inputs.get("permissionsBoundary") for role in roles} == {arn}


def test_policies_fit_into_iams_limits() -> None:
    """Characters without blanks of a managed policy; names of roles and policies.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    for policy in shared_registry().of("Policy"):
        assert len(re.sub(r"\s", "", policy.inputs["policy"])) <= 6144, policy.name
        findings = policy_findings(json.loads(policy.inputs["policy"]))
        assert [f for f in findings if not f.startswith(WIDE)] == [], policy.name
    long = run_registry(stacks=json.dumps(["a" * 16]))
    assert all(len(role.name) <= 64 for role in long.of("Role"))


def test_the_identity_provider_of_an_account_is_used_where_there_is_one() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    assert len(shared_registry().of("OpenIdConnectProvider")) == 1
    assert run_registry(github_oidc_provider_arn=arn).of("OpenIdConnectProvider") == []


def test_another_accounts_program_has_roles_and_no_repositories() -> None:
    assert run_registry(repositories="false").of("Repository") == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"readers": '["12"]'}, "superres-registry:readers.0: got '12', string should match"),
        ({"encryption": "none"}, "superres-registry:encryption: got 'none', must be"),
        ({"bucket": "x"}, "superres-registry:bucket: is not a known field"),
        ({"state_bucket": "Bad"}, "superres-registry:state_bucket: got 'Bad', string should"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(pulumi.RunError, match=re.escape(sentence)):
        run_registry(**changes)
