"""What GitHub's workflows may do in the account: pure functions from names to policy documents.

Pulumi makes, changes and removes whole resources, so within a stack's own names these policies
allow services as a whole. What a role of the stack may do is bounded once more, by the boundary
that every role must carry: whoever deploys gains nothing by making a role.
"""

from components.common.identity import KnownLocation
from components.common.policy import (
    ANY,
    Document,
    policy_document,
)
from contracts.names import PROJECT
from contracts.stack.images import ImageName

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
"""https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws"""

WORKLOAD_SERVICES = (
    "autoscaling", "batch", "cloudwatch", "dynamodb", "ec2", "ecr", "ecs", "events", "kms",
    "lambda", "logs", "s3", "sns", "sqs", "ssm", "states", "xray",
)  # fmt: skip
"""All that any role of a stack touches; IAM, STS and the account's own affairs are not among it."""
PASSED_TO = (
    "batch.amazonaws.com", "ec2.amazonaws.com", "ecs-tasks.amazonaws.com",
    "lambda.amazonaws.com", "spotfleet.amazonaws.com",
    "states.amazonaws.com", "vpc-flow-logs.amazonaws.com",
)  # fmt: skip
LINKED_SERVICES = (
    "batch.amazonaws.com", "ecs.amazonaws.com", "spot.amazonaws.com", "spotfleet.amazonaws.com",
)  # fmt: skip
"""Their roles are made at a service's first use in an account."""


def _allow(
    sid: str,
    actions: list[str],
    resources: list[str],
    condition: dict[str, dict[str, str | list[str]]] | None = None,
) -> Document:
    statement: Document = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources,
    }
    return {**statement, "Condition": condition} if condition else statement


def github_trust(provider_arn: str, subject: str) -> Document:
    """Only workflows with exactly this subject, e.g. repo:OWNER/NAME:environment:prod."""
    return policy_document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
        }
    )


def boundary_policy(at: KnownLocation) -> Document:
    """The most that any role of a stack can do. It grants nothing by itself."""
    passed: dict[str, str | list[str]] = {
        "iam:PassedToService": ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com"]
    }
    handed_over = [
        at.arn("iam", f"{kind}/{PROJECT}-*-{which}*", region=False)
        for kind, which in (("role", "instance"), ("role", "job"), ("instance-profile", "instance"))
    ]
    return policy_document(
        _allow("Workloads", [f"{service}:*" for service in WORKLOAD_SERVICES], [ANY]),
        # a Spot Fleet's role hands over the instances' role, and so does a Batch role of our own,
        # which looks at it first and hands over the jobs' roles too
        _allow("HandOverRoles", ["iam:PassRole"], handed_over, {"StringEquals": passed}),
        _allow("LookAtRoles", ["iam:GetInstanceProfile", "iam:GetRole"], handed_over),
    )


def state_access(at: KnownLocation, bucket: str, key_arn: str, stack: str) -> list[Document]:
    """Pulumi's state of one stack in its own bucket, and the key of its secrets.

    https://www.pulumi.com/docs/iac/concepts/state-and-backends/#aws-s3
    """
    root = f"arn:{at.partition}:s3:::{bucket}"
    own = [
        f"{root}/.pulumi/stacks/{PROJECT}/{stack}.json*",
        f"{root}/.pulumi/history/{PROJECT}/{stack}/*",
        f"{root}/.pulumi/backups/{PROJECT}/{stack}/*",
        f"{root}/.pulumi/locks/organization/{PROJECT}/{stack}/*",
    ]
    return [
        _allow("FindState", ["s3:ListBucket", "s3:GetBucketLocation"], [root]),
        _allow("ReadStateFormat", ["s3:GetObject"], [f"{root}/.pulumi/meta.yaml"]),
        _allow("UseState", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], own),
        _allow("UseSecrets", ["kms:Decrypt", "kms:Encrypt"], [key_arn]),
    ]


def _own_resources(at: KnownLocation, name: str) -> list[Document]:
    """Services whose resources carry the stack's name."""
    named = {
        "Batch": ("batch", ["compute-environment/{}-*", "job-queue/{}-*", "job-definition/{}-*"]),
        "Tables": ("dynamodb", ["table/{}*"]),
        "Rules": ("events", ["rule/{}-*"]),
        "Functions": ("lambda", ["function:{}-*"]),
        "Logs": ("logs", ["log-group:*{}*", "log-stream:*{}*"]),
        "Topics": ("sns", ["{}-*"]),
        "Queues": ("sqs", ["{}-*"]),
        "Workflows": ("states", ["stateMachine:{}-*"]),
        "Alarms": ("cloudwatch", ["alarm:{}-*"]),
    }
    regional = [
        _allow(sid, [f"{service}:*"], [at.arn(service, rest.format(name)) for rest in rests])
        for sid, (service, rests) in named.items()
    ]
    return [
        *regional,
        _allow("Buckets", ["s3:*"], [f"arn:{at.partition}:s3:::{name}-*"]),
        _allow(
            "Dashboards",
            ["cloudwatch:*"],
            [at.arn("cloudwatch", f"dashboard/{name}*", region=False)],
        ),
        _allow("Budgets", ["budgets:*"], [at.arn("budgets", f"budget/{name}*", region=False)]),
    ]


def _unnamed_resources(at: KnownLocation, stack: str, name: str) -> list[Document]:
    """What AWS names itself: made freely, changed and removed only with the stack's own tag."""
    ours: dict[str, dict[str, str | list[str]]] = {"StringEquals": {"aws:ResourceTag/stack": stack}}
    new: dict[str, dict[str, str | list[str]]] = {"StringEquals": {"aws:RequestTag/stack": stack}}
    functions: dict[str, str | list[str]] = {
        "lambda:FunctionArn": at.arn("lambda", f"function:{name}-*")
    }
    network = at.arn("ec2", ANY)
    image = f"arn:{at.partition}:ec2:{at.region}::image/*"  # of AWS, hence of no account
    return [
        _allow(
            "Look",
            [
                "batch:Describe*", "batch:List*", "budgets:View*", "cloudwatch:Describe*",
                "cloudwatch:List*", "ec2:Describe*", "ec2:Get*", "ecr:GetAuthorizationToken",
                "events:List*", "kms:List*", "lambda:Get*", "lambda:List*", "logs:Describe*",
                "logs:List*", "sns:List*", "sqs:List*",
                "ssm:GetParameter*", "states:List*", "states:ValidateStateMachineDefinition",
                "tag:Get*",
            ],
            [ANY],
        ),
        _allow("MakeNetwork", ["ec2:Create*"], [network]),
        _allow(
            "ChangeNetwork",
            [
                "ec2:Associate*", "ec2:Attach*", "ec2:Authorize*", "ec2:Delete*", "ec2:Detach*",
                "ec2:Disassociate*", "ec2:Modify*", "ec2:Replace*",
                "ec2:Revoke*", "ec2:CancelSpotFleetRequests",
            ],
            [network],
            ours,
        ),
        # a rule that is made has no tag yet, unlike the group that it is made for
        _allow(
            "MakeRules",
            ["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress"],
            [at.arn("ec2", "security-group-rule/*")],
        ),
        # EC2 asks for it in the caller's name, where an interface endpoint has private names:
        # docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
        _allow("NameEndpoints", ["route53:AssociateVPCWithHostedZone"], [ANY]),
        _allow("MakeFleet", ["ec2:RequestSpotFleet", "ec2:RunInstances"], [network, image]),
        _allow("MakeKeys", ["kms:CreateKey", "kms:TagResource"], [ANY], new),
        _allow(
            "NameKeys",
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            [at.arn("kms", f"alias/{name}*")],
        ),
        _allow("ChangeKeys", ["kms:*"], [at.arn("kms", "key/*")], ours),
        # a key's tag counts after up to five minutes; these follow its making and do no harm:
        # docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html
        _allow(
            "FinishKeys",
            [
                "kms:CreateAlias", "kms:DescribeKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus", "kms:ListResourceTags",
            ],
            [at.arn("kms", "key/*")],
        ),
        _allow(
            "FeedFunctions",
            [
                "lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping",
                "lambda:UpdateEventSourceMapping",
            ],
            [ANY],
            {"ArnLike": functions},
        ),
        _allow(
            "TagSources",
            ["lambda:TagResource", "lambda:UntagResource"],
            [at.arn("lambda", "event-source-mapping:*")],
        ),
        # delivery of Step Functions' and the network's logs has no resource level
        _allow(
            "DeliverLogs",
            [
                "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:GetLogDelivery",
                "logs:PutResourcePolicy", "logs:DeleteResourcePolicy", "logs:UpdateLogDelivery",
            ],
            [ANY],
        ),
    ]  # fmt: skip


def _identities(at: KnownLocation, name: str) -> list[Document]:
    roles = [at.arn("iam", f"role/{name}-*", region=False)]
    profiles = [at.arn("iam", f"instance-profile/{name}-*", region=False)]
    boundary_arn = at.arn("iam", f"policy/{PROJECT}-boundary", region=False)
    bounded: dict[str, str | list[str]] = {"iam:PermissionsBoundary": boundary_arn}
    passed: dict[str, str | list[str]] = {"iam:PassedToService": list(PASSED_TO)}
    linked: dict[str, str | list[str]] = {"iam:AWSServiceName": list(LINKED_SERVICES)}
    # an environment that Batch does not manage is given Batch's service-linked role by name
    batch = at.arn(
        "iam", "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch", region=False
    )
    return [
        _allow(
            "MakeBoundedRoles",
            [
                "iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy",
            ],
            roles,
            {"ArnEquals": bounded},
        ),
        _allow(
            "KeepRoles",
            [
                "iam:DeleteRole", "iam:Get*", "iam:List*", "iam:TagRole", "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
            ],
            roles,
        ),
        _allow(
            "KeepProfiles",
            [
                "iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile", "iam:GetInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile",
                "iam:UntagInstanceProfile",
            ],
            profiles,
        ),
        _allow("HandOverRoles", ["iam:PassRole"], [*roles, batch], {"StringEquals": passed}),
        _allow(
            "FirstUseOfServices",
            ["iam:CreateServiceLinkedRole"],
            [at.arn("iam", "role/aws-service-role/*", region=False)],
            {"StringEquals": linked},
        ),
    ]  # fmt: skip


def image_access(at: KnownLocation) -> list[Document]:
    """Push a build, and look at, scan and promote what is there; nothing is ever deleted."""
    repositories = [at.arn("ecr", f"repository/{image.repository}") for image in ImageName]
    return [
        _allow(
            "Images",
            [
                "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload",
                "ecr:DescribeImageScanFindings", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
            ],
            repositories,
        )
    ]  # fmt: skip


def deploy_policies(
    at: KnownLocation, stack: str, bucket: str, key_arn: str
) -> dict[str, Document]:
    """What the workflow that deploys one stack may do, in parts that fit IAM's 6,144 characters."""
    name = f"{PROJECT}-{stack}"
    return {
        "own": policy_document(*_own_resources(at, name)),
        "unnamed": policy_document(*_unnamed_resources(at, stack, name)),
        "identities": policy_document(
            *_identities(at, name), *image_access(at), *state_access(at, bucket, key_arn, stack)
        ),
    }


def preview_policy(at: KnownLocation, bucket: str, key_arn: str) -> Document:
    """A preview reads state and asks a few questions; it must not be able to change anything.

    Code of a pull request runs with it, so it sees no state but the stacks' own.
    """
    root = f"arn:{at.partition}:s3:::{bucket}"
    return policy_document(
        _allow("FindState", ["s3:ListBucket", "s3:GetBucketLocation"], [root]),
        _allow(
            "ReadState",
            ["s3:GetObject"],
            [f"{root}/.pulumi/meta.yaml", f"{root}/.pulumi/stacks/{PROJECT}/*"],
        ),
        _allow("ReadSecrets", ["kms:Decrypt"], [key_arn]),
        _allow(
            "Ask",
            ["ec2:DescribeAvailabilityZones", "ecr:GetAuthorizationToken"],
            [ANY],
        ),
        _allow(
            "AskForImages",
            ["ssm:GetParameter"],
            [f"arn:{at.partition}:ssm:{at.region}::parameter/aws/service/*"],
        ),
    )
