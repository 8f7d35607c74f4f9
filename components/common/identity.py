"""Roles, each with exactly the grants that it was given, and links that bring grants along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.common.policy import (
    Grant,
    grants_json,
    to_json,
    trust,
)


@dataclass(frozen=True, kw_only=True)
class KnownLocation:
    """Where the stack stands, as text: what policies are written from."""

    partition: str
    region: str
    account: str

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        """ARN of something in this account, and in this region unless the service has none."""
        where = self.region if region else ""
        return f"arn:{self.partition}:{service}:{where}:{self.account}:{resource}"


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where the stack stands, once AWS has been asked."""

    partition: pulumi.Output[str]
    region: pulumi.Output[str]
    account: pulumi.Output[str]
    invoke: pulumi.InvokeOutputOptions
    """With these, questions to AWS are asked in this account and region."""

    @classmethod
    def of(cls, provider: aws.Provider) -> "Location":
        """Asked of AWS with the provider's credentials."""
        options = pulumi.InvokeOutputOptions(provider=provider)
        return cls(
            invoke=options,
            partition=aws.get_partition_output(opts=options).partition,
            region=aws.get_region_output(opts=options).region,
            account=aws.get_caller_identity_output(opts=options).account_id,
        )

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """ARN of something in this account and region."""
        return pulumi.Output.format(
            "arn:{0}:{1}:{2}:{3}:{4}", self.partition, service, self.region, self.account, resource
        )

    def known(self) -> pulumi.Output[KnownLocation]:
        """The same as text, for documents that are written from it."""
        return pulumi.Output.all(
            partition=self.partition, region=self.region, account=self.account
        ).apply(lambda known: KnownLocation(**known))


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a workload needs to use a resource: settings, and the permissions that go with them."""

    values: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """By field of the workload's environment model (contracts.stack.environ)."""
    grants: tuple[Grant, ...] = ()


def join_links(*links: Link) -> Link:
    """All of them in one. Raises ValueError where two give one setting different values."""
    values: dict[str, pulumi.Input[str]] = {}
    for link in links:
        for name, value in link.values.items():
            if values.setdefault(name, value) is not value:
                raise ValueError(f"two links give {name} different values")
    return Link(values=values, grants=tuple(g for link in links for g in link.grants))


@dataclass(frozen=True, kw_only=True)
class RoleArgs:
    service: str
    """Service principal that takes the role, e.g. lambda.amazonaws.com."""
    grants: Sequence[Grant]
    account: pulumi.Input[str] | None = None
    """Only on behalf of this account; for services that name the source account."""


class Role(pulumi.ComponentResource):
    """A role with one inline policy."""

    arn: pulumi.Output[str]
    """Known only when the policy stands, so that whoever uses the role waits for it."""
    name: pulumi.Output[str]

    def __init__(
        self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:identity:Role", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = pulumi.Output.from_input(args.account)
        role = aws.iam.Role(
            name,
            assume_role_policy=account.apply(lambda a: to_json(trust(args.service, a))),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            name, role=role.name, policy=grants_json(args.grants), opts=child
        )
        ready = pulumi.Output.all(arn=role.arn, name=role.name, policy=policy.id)
        self.arn = ready.apply(lambda known: known["arn"])
        self.name = ready.apply(lambda known: known["name"])
        self.register_outputs({"arn": self.arn})


def bound_roles(boundary_arn: str) -> None:
    """Give every role of the program that follows a permissions boundary.

    Whoever deploys may then create roles only within it, and so gain nothing by creating one.
    """

    def bound(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != "aws:iam/role:Role":
            return None
        props = {**args.props, "permissions_boundary": boundary_arn}
        return pulumi.ResourceTransformationResult(props=props, opts=args.opts)

    pulumi.runtime.register_stack_transformation(bound)
