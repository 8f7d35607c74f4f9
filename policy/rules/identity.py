"""Rules on roles and what they may do."""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.names import PROJECT
from policy.rule import Graph, Problems, Resource, listed, rule, rule_alone, statements

WITHOUT_RESOURCE_LEVEL = frozenset(
    {
        "batch:DescribeJobs",
        "batch:ListJobs",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeSubnets",
        "ec2:DescribeTags",
        "ecr:GetAuthorizationToken",
        "ecs:DiscoverPollEndpoint",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
)
"""Actions that AWS's service authorization reference lists without a resource type; only these
may be allowed on "*". Beside the code that grants them stands why they are needed."""

NAMED_BY_AWS = (
    ":batch:*:job/*",  # ids are Batch's
    ":ecs:*:cluster/*",  # Batch makes the clusters of its environments, and names them
    ":ecs:*:container-instance/*",
    *(f":ec2:*:{k}/*" for k in ("instance", "volume", "network-interface")),  # a fleet's
    ":ec2:*:spot-instances-request/*",
    ":ec2:*:image/*",  # AWS's own images, of no account
)
"""Resources of which nobody knows the name beforehand, as service and resource."""

AWS_MANAGED = (":policy/service-role/AWSBatchServiceRole",)
"""Policies that AWS's documentation asks for by name; beside the code that attaches them stands
where."""

WITHOUT_SOURCE_ACCOUNT = ("ec2.amazonaws.com", "lambda.amazonaws.com")
"""Services that take a role without saying on whose behalf; they act for our account only, for
passing them the role takes a permission in it."""

USED_BY = {
    "ComputeEnvironment": ("serviceRole", "computeResources"),
    "EventTarget": ("roleArn",),
    "FlowLog": ("iamRoleArn",),
    "Function": ("role",),
    "InstanceProfile": ("role",),
    "JobDefinition": ("containerProperties",),
    "SpotFleetRequest": ("iamFleetRole",),
    "StateMachine": ("roleArn",),
}
"""Who takes a role, and by which property it is given."""


@rule("A role is somebody's, and nobody else's", "Role")
def role_has_one_user(role: Resource, graph: Graph) -> Problems:
    """Batch keeps all its environments by one role."""
    users = [u for kind, names in USED_BY.items() for u in graph.users(role, kind, *names)]
    users += [role] if _federated(role) else []  # somebody outside takes it
    if len(users) != 1 and {user.kind for user in users} != {"ComputeEnvironment"}:
        yield "is used by " + (", ".join(f"{u.kind} {u.name}" for u in users) or "nothing")


@rule("A role may do something, by policies of ours", "Role")
def role_has_its_own_policy(role: Resource, graph: Graph) -> Problems:
    attached = graph.users(role, "RolePolicyAttachment", "role")
    if not attached and not graph.users(role, "RolePolicy", "role"):
        yield "has no policy"
    for attachment in attached:
        asked_for = str(attachment.props["policyArn"]).endswith(AWS_MANAGED)
        if not asked_for and not graph.used(attachment, "Policy", "policyArn"):
            yield f"gets {attachment.props['policyArn']}, which allows more than it needs"


@rule_alone("A role is taken by one service or identity, on behalf of our account", "Role")
def role_trusts_one(role: Resource) -> Problems:
    for statement in statements(role.text("assumeRolePolicy"), "Allow"):
        principal = statement.get("Principal")
        only = principal if isinstance(principal, Mapping) and len(principal) == 1 else {}
        trusted = listed(only.get("Service") or only.get("Federated"))
        if len(trusted) != 1:
            yield f"trusts {principal} instead of one service"
        elif "Federated" in only:
            yield from (f"lets {trusted[0]} take it {p}" for p in _loosely(statement))
        elif trusted[0] not in WITHOUT_SOURCE_ACCOUNT and not _says_account(statement):
            yield f"lets {trusted[0]} take it on behalf of any account"


def _federated(role: Resource) -> bool:
    allowed = statements(role.text("assumeRolePolicy"), "Allow")
    return any("Federated" in (statement.get("Principal") or {}) for statement in allowed)


def _loosely(statement: Mapping[str, Any]) -> Iterator[str]:
    """Tokens of an identity provider must be for us, and of one subject each."""
    exact = (statement.get("Condition") or {}).get("StringEquals", {})
    for claim in ("aud", "sub"):
        values = [v for key, vs in exact.items() if key.endswith(f":{claim}") for v in listed(vs)]
        if not values or any("*" in value for value in values):
            yield f"whatever the token's {claim} is"


def _says_account(statement: Mapping[str, Any]) -> bool:
    conditions = statement.get("Condition") or {}
    return any("aws:SourceAccount" in keys for keys in conditions.values())


@rule_alone("A policy names each action, and each resource as far as AWS can", "RolePolicy")
def policy_has_no_unexplained_wildcard(policy: Resource) -> Problems:
    for statement in statements(policy.text("policy"), "Allow"):
        sid = statement.get("Sid", "a statement")
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{sid} allows everything but something"
        actions = listed(statement.get("Action"))
        yield from (f"{sid} allows {action}" for action in actions if "*" in action)
        for resource in listed(statement.get("Resource")):
            yield from (f"{sid} {p}" for p in _too_wide(resource, actions, policy.stack))


def _too_wide(resource: str, actions: list[str], stack: str) -> Iterator[str]:
    if resource == "*":
        for action in sorted(set(actions) - WITHOUT_RESOURCE_LEVEL):
            yield f"allows {action} on everything"
        return
    if "*" not in resource or _named_by_aws(resource):
        return
    if f"{PROJECT}-{stack}" not in resource.partition("*")[0]:
        yield f"reaches beyond the stack: {resource}"


def _named_by_aws(arn: str) -> bool:
    _, _, service, _, account, name = arn.split(":", 5)
    return "*" not in account and f":{service}:*:{name}" in NAMED_BY_AWS
