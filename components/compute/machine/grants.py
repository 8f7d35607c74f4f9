"""What Batch's instances may do: join their cluster, pull our images, write our log."""

from collections.abc import Sequence

import pulumi

from components.common.identity import Location
from components.common.policy import ANY, Grant
from contracts.stack.images import EcrRepository

ECS_REFERENCE = (
    "https://docs.aws.amazon.com/service-authorization/latest/reference/"
    "list_amazonelasticcontainerservice.html"
)

AGENT_ACTIONS = (
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:RegisterContainerInstance",
    "ecs:SubmitAttachmentStateChanges",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitTaskStateChange",
    "ecs:TagResource",
    "ecs:UpdateContainerInstancesState",
)
"""What the ECS agent asks of the ECS API; it polls for work on channels of its own."""
LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")
LOGIN_ACTION = "ecr:GetAuthorizationToken"
PULL_ACTIONS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    LOGIN_ACTION,
    "ecr:GetDownloadUrlForLayer",
)


def instance_grants(
    location: Location, repositories: Sequence[str], log_group_arn: pulumi.Input[str]
) -> tuple[Grant, ...]:
    """What the ECS agent and Docker do on an instance, and no more.

    Jobs use the host's network and so could ask for these credentials: AWS's own policy for
    instances would let them write to any log and pull any image. Batch makes the cluster and
    names it, hence the pattern.
    """
    cluster = location.arn("ecs", "cluster/*")
    members = location.arn("ecs", "container-instance/*")
    grants = [
        Grant(
            sid="FindAgentEndpoint",
            actions=("ecs:DiscoverPollEndpoint",),
            resources=(ANY,),
            reason=f"DiscoverPollEndpoint has no resource level: {ECS_REFERENCE}",
        ),
        Grant(
            sid="ReadOwnTags",
            actions=("ec2:DescribeTags",),
            resources=(ANY,),
            reason="DescribeTags has no resource level: https://docs.aws.amazon.com/"
            "service-authorization/latest/reference/list_amazonec2.html",
        ),
        Grant(
            sid="JoinCluster",
            actions=(
                "ecs:DeregisterContainerInstance",
                "ecs:RegisterContainerInstance",
                "ecs:SubmitAttachmentStateChanges",
                "ecs:SubmitContainerStateChange",
                "ecs:SubmitTaskStateChange",
            ),
            resources=(cluster,),
        ),
        Grant(
            sid="ServeCluster",
            actions=("ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"),
            resources=(members,),
        ),
        Grant(
            sid="TagSelf",
            actions=("ecs:TagResource",),
            resources=(members,),
            condition={"StringEquals": {"ecs:CreateAction": "RegisterContainerInstance"}},
        ),
        Grant(
            sid="WriteJobLogs",
            actions=LOG_ACTIONS,
            resources=(pulumi.Output.concat(log_group_arn, ":*"),),
        ),
    ]
    return (*grants, *_pull_grants(location, repositories))


def _pull_grants(location: Location, repositories: Sequence[str]) -> tuple[Grant, ...]:
    """None for public registries, which ask for no permission."""
    private = [found for name in repositories if (found := EcrRepository.find(name))]
    if not private:
        return ()
    arns = tuple(
        pulumi.Output.concat("arn:", location.partition, ":", repository.arn_rest)
        for repository in private
    )
    return (
        Grant(
            sid="LogInToRegistry",
            actions=(LOGIN_ACTION,),
            resources=(ANY,),
            reason="GetAuthorizationToken has no resource level: https://docs.aws.amazon.com/"
            "service-authorization/latest/reference/list_amazonelasticcontainerregistry.html",
        ),
        Grant(
            sid="PullImages",
            actions=tuple(action for action in PULL_ACTIONS if action != LOGIN_ACTION),
            resources=arns,
        ),
    )
