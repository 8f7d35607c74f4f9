"""The role by which Batch manages compute environments."""

import pulumi
import pulumi_aws as aws

from components.common.identity import Location
from components.common.policy import to_json, trust

SERVICE = "batch.amazonaws.com"
MANAGED_POLICY = "service-role/AWSBatchServiceRole"
"""AWS's own, and the one exception to roles with policies of ours: Batch's documentation asks for
it, and what Batch does grows with Batch.
https://docs.aws.amazon.com/batch/latest/userguide/service_IAM_role.html"""


def service_linked_role(location: Location) -> pulumi.Output[str]:
    """Batch makes it with an account's first managed environment.

    https://docs.aws.amazon.com/batch/latest/userguide/using-service-linked-roles.html
    """
    return pulumi.Output.format(
        "arn:{0}:iam::{1}:role/aws-service-role/{2}/AWSServiceRoleForBatch",
        location.partition,
        location.account,
        SERVICE,
    )


class ServiceRole(pulumi.ComponentResource):
    """A role of the stack's own, for accounts that allow no other.

    Environments under it cannot be updated in place: each change makes a new one.
    """

    arn: pulumi.Output[str]
    """Known only when the policy is attached, so that whoever uses the role waits for it."""

    def __init__(
        self, name: str, location: Location, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:machine:ServiceRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            assume_role_policy=location.account.apply(lambda own: to_json(trust(SERVICE, own))),
            opts=child,
        )
        attachment = aws.iam.RolePolicyAttachment(
            name,
            role=role.name,
            policy_arn=pulumi.Output.format(
                "arn:{0}:iam::aws:policy/{1}", location.partition, MANAGED_POLICY
            ),
            opts=child,
        )
        self.arn = pulumi.Output.all(arn=role.arn, attachment=attachment.id).apply(
            lambda known: known["arn"]
        )
        self.register_outputs({"arn": self.arn})
