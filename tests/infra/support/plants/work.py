"""What does the work: network, roles, functions, workflow, jobs, instances, images."""

from tests.infra.support.planting import (
    Damage,
    no_longer_uses,
    plus,
    props,
    within,
    within_json,
    without,
)
from tests.infra.support.plants.data import first


def variable(name: str, value: str) -> Damage:
    """One more environment variable of a job."""
    return within_json(
        "JobDefinition",
        "-extract",
        "containerProperties",
        lambda c: c["environment"].append({"name": name, "value": value}),
    )


NETWORK = [
    (
        "group-lets-nobody-in",
        props("SecurityGroup", "prod", ingress=[{"cidrBlocks": ["10.0.0.0/8", "0.0.0.0/0"]}]),
        "lets 0.0.0.0/0 in",
    ),
    (
        "group-lets-nobody-in",
        props("SecurityGroup", "prod", ingress=[{"ipv6CidrBlocks": ["::/0"]}]),
        "lets ::/0 in",
    ),
    (
        "group-lets-nobody-in",
        props("SecurityGroup", "prod", ingress=[{"cidrBlocks": ["10.0.0.0/8", "128.0.0.0/1"]}]),
        "lets 128.0.0.0/1 in",
    ),
    (
        "ingress-rule-lets-nobody-in",
        plus(
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "ssh",
            {"cidrIpv4": "0.0.0.0/0"},
        ),
        "lets 0.0.0.0/0 in",
    ),
    (
        "group-rule-lets-nobody-in",
        plus(
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            "ssh",
            {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"]},
        ),
        "lets 0.0.0.0/0 in",
    ),
    ("network-default-group-is-closed", without("DefaultSecurityGroup"), "as AWS makes it"),
    (
        "network-default-group-is-closed",
        props("DefaultSecurityGroup", "", egress=[{"cidrBlocks": ["0.0.0.0/0"]}]),
        "its default group has rules for egress",
    ),
]

IDENTITY = [
    ("role-has-one-user", no_longer_uses("Function", "-trigger", "role"), "is used by nothing"),
    (
        "role-has-one-user",
        plus("aws:lambda/function:Function", "second", {}, role=("Role", "-trigger")),
        "is used by Function superres-prod-trigger, Function second",
    ),
    ("role-has-its-own-policy", without("RolePolicy", "-trigger"), "has no policy"),
    (
        "role-has-its-own-policy",
        plus(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "admin",
            {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            role=("Role", "-trigger"),
        ),
        "gets arn:aws:iam::aws:policy/AdministratorAccess",
    ),
    (
        "role-has-its-own-policy",
        plus(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "batch",
            {"policyArn": "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"},
            role=("Role", "-trigger"),
        ),
        None,
    ),
    (
        "role-trusts-one",
        within_json("Role", "-workflow", "assumeRolePolicy", lambda d: first(d).pop("Condition")),
        "lets states.amazonaws.com take it on behalf of any account",
    ),
    (
        "role-trusts-one",
        within_json(
            "Role", "-trigger", "assumeRolePolicy", lambda d: first(d).update(Principal="*")
        ),
        "trusts * instead of one service",
    ),
    (
        "role-trusts-one",
        within_json(
            "Role",
            "-trigger",
            "assumeRolePolicy",
            lambda d: first(d).update(Principal={"AWS": "arn:aws:iam::210987654321:root"}),
        ),
        "instead of one service",
    ),
    *(
        (
            "role-trusts-one",
            within_json(
                "Role",
                "-trigger",
                "assumeRolePolicy",
                lambda d, c=condition: first(d).update(
                    Principal={"Federated": "github"}, Condition={"StringEquals": c}
                ),
            ),
            says,
        )
        for condition, says in (
            ({"github:aud": "us", "github:sub": "repo:example:ref:main"}, None),
            ({"github:sub": "repo:example:ref:main"}, "take it whatever the token's aud is"),
            ({"github:aud": "us", "github:sub": "repo:*"}, "take it whatever the token's sub is"),
        )
    ),
    *(
        (
            "policy-has-no-unexplained-wildcard",
            within_json("RolePolicy", "-trigger", "policy", lambda d, c=change: first(d).update(c)),
            says,
        )
        for change, says in (
            ({"Action": ["s3:*"]}, "allows s3:*"),
            ({"Action": "s3:GetObject", "Resource": "*"}, "allows s3:GetObject on everything"),
            ({"Resource": ["arn:aws:s3:::*"]}, "reaches beyond the stack: arn:aws:s3:::*"),
            ({"Resource": ["arn:aws:s3:::superres-dev-final/*"]}, "reaches beyond the stack"),
            ({"Resource": ["arn:aws:batch:us-east-1:*:job/*"]}, "reaches beyond the stack"),
            ({"NotAction": ["iam:*"]}, "allows everything but something"),
        )
    ),
]

FUNCTIONS = [
    ("log-group-forgets", props("LogGroup", "-trigger", retentionInDays=0.0), "for ever"),
    (
        "function-has-its-own-log",
        no_longer_uses("Function", "-trigger", "loggingConfig"),
        "which never forgets",
    ),
    (
        "function-has-its-own-log",
        plus(
            "aws:lambda/function:Function",
            "second",
            {"timeout": 3},
            loggingConfig=("LogGroup", "-trigger"),
        ),
        "shares the log group superres-prod-trigger",
    ),
    (
        "function-keeps-what-failed",
        without("FunctionEventInvokeConfig", "-trigger"),
        "superres-prod-trigger: has neither",
    ),
    (
        "function-keeps-what-failed",
        without("EventSourceMapping", "-process-frames"),
        "superres-prod-process-frames: has neither",
    ),
    ("function-has-a-time-limit", props("Function", "-trigger", timeout=900), "set timeout below"),
    (
        "function-is-traced-like-the-workflow",
        props("Function", "-trigger", tracingConfig=None),
        "superres-prod-trigger: is not traced, unlike superres-prod",
    ),
    (
        "function-is-traced-like-the-workflow",
        props("StateMachine", "", tracingConfiguration={"enabled": False}),
        "superres-prod-trigger: is traced, unlike superres-prod",
    ),
    ("permission-names-its-source", props("Permission", "-trigger", sourceArn=None), "sourceArn"),
    (
        "workflow-logs",
        within("StateMachine", "", "loggingConfiguration", lambda c: c.update(level="OFF")),
        "logs nothing",
    ),
    (
        "workflow-logs",
        within(
            "StateMachine",
            "",
            "loggingConfiguration",
            lambda c: c.update(includeExecutionData=True),
        ),
        "task tokens",
    ),
]

COMPUTE = [
    ("job-environment-is-its-model", variable("SUPERRES_SPEED", "1"), "gets SUPERRES_SPEED, which"),
    (
        "job-environment-is-its-model",
        variable("SUPERRES_MAX_FRAMES", "1"),
        "gets SUPERRES_MAX_FRAMES twice",
    ),
    (
        "job-environment-is-its-model",
        within_json(
            "JobDefinition", "-extract", "containerProperties", lambda c: c.pop("environment")
        ),
        "does not get SUPERRES_INTERMEDIATE_BUCKET",
    ),
    (
        "job-environment-is-its-model",
        within_json(
            "JobDefinition", "-extract", "containerProperties", lambda c: c.update(command=["sh"])
        ),
        "which is no stage",
    ),
    ("job-has-no-secrets", variable("API_TOKEN", "x"), "API_TOKEN looks like a secret"),
    ("job-has-no-secrets", variable("SUPERRES_KEY", "AKIAABCDEFGHIJKLMNOP"), "looks like a secret"),
    (
        "job-has-no-secrets",
        within_json(
            "JobDefinition",
            "-extract",
            "containerProperties",
            lambda c: c.update(secrets=[{"name": "A", "valueFrom": "arn"}]),
        ),
        "gets secrets",
    ),
    *(
        (
            "job-is-confined",
            within_json(
                "JobDefinition",
                "-process",
                "containerProperties",
                lambda c, change=change: c.update(change),
            ),
            says,
        )
        for change, says in (
            ({"readonlyRootFilesystem": False}, "root file system"),
            ({"privileged": True}, "is privileged"),
            ({"volumes": [{"name": "a", "host": {"sourcePath": "/"}}]}, "sees / of its host"),
        )
    ),
    ("job-has-limits", props("JobDefinition", "-process", timeout=None), "has no time limit"),
    (
        "job-has-limits",
        within("JobDefinition", "-process", "retryStrategy", lambda s: s["evaluateOnExits"].pop()),
        "EXIT *",
    ),
    (
        "instance-asks-by-token",
        within("LaunchTemplate", "-media", "metadataOptions", lambda m: m.update(httpTokens="no")),
        "IMDSv2",
    ),
    (
        "instance-disks-are-encrypted",
        within(
            "LaunchTemplate",
            "-media",
            "blockDeviceMappings",
            lambda disks: disks[0]["ebs"].pop("encrypted"),
        ),
        "/dev/xvda is not encrypted",
    ),
    (
        "instance-is-tagged",
        within("LaunchTemplate", "-media", "tagSpecifications", lambda tags: tags.pop()),
        "gives its volumes no tag owner",
    ),
    (
        "environment-scales-to-zero",
        within(
            "ComputeEnvironment",
            "-media-on-demand",
            "computeResources",
            lambda r: r.update(minVcpus=2),
        ),
        "set minVcpus to 0",
    ),
    (
        "repository-is-safe",
        plus("aws:ecr/repository:Repository", "media", {"imageTagMutability": "MUTABLE"}),
        "lets a tag move",
    ),
    (
        "repository-is-safe",
        plus(
            "aws:ecr/repository:Repository",
            "media",
            {
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filter": "release-*"}],
            },
        ),
        "lets a tag move",
    ),
    (
        "repository-is-safe",
        plus("aws:ecr/repository:Repository", "media", {"imageTagMutability": "IMMUTABLE"}),
        "does not scan",
    ),
]

PLANTS = [*NETWORK, *IDENTITY, *FUNCTIONS, *COMPUTE]
