"""The roles that GitHub's workflows take through OIDC: one that looks, one for each stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.encryption import key_policy
from components.common.identity import Location
from components.common.policy import Document, to_json
from components.deployers import policies
from contracts.names import PROJECT

STATE_KEY = f"alias/{PROJECT}-state"
SESSION_SECONDS = 2 * 3600
"""A first deployment waits long for compute environments and image builds."""


@dataclass(frozen=True, kw_only=True)
class DeployersArgs:
    location: Location
    github_repository: str
    """OWNER/NAME."""
    state_bucket: str
    """Holds Pulumi's state; it exists."""
    stacks: Sequence[str]
    provider_arn: str | None
    """GitHub's identity provider, where the account has one."""


class Deployers(pulumi.ComponentResource):
    """No long-lived secret: GitHub vouches for the workflow, the environment and the branch."""

    boundary_arn: pulumi.Output[str]
    preview_role_arn: pulumi.Output[str]
    role_arns: dict[str, pulumi.Output[str]]
    """By stack."""
    secrets_provider: str
    """For `pulumi stack init --secrets-provider`."""

    def __init__(
        self, name: str, args: DeployersArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:deployers:Deployers", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._location = args.location.known()
        self._key_arn = self._state_key()
        self._provider_arn = pulumi.Output.from_input(
            args.provider_arn or self._identity_provider()
        )
        self.boundary_arn = aws.iam.Policy(
            f"{name}-boundary",
            name=f"{name}-boundary",
            description="The most that any role of a stack can do",
            policy=self._location.apply(lambda at: to_json(policies.boundary_policy(at))),
            opts=self._child,
        ).arn
        self.preview_role_arn = self._preview_role()
        self.role_arns = {stack: self._deploy_role(stack) for stack in args.stacks}
        self.secrets_provider = f"awskms://{STATE_KEY}"
        self.register_outputs({"role_arns": self.role_arns})

    def _state_key(self) -> pulumi.Output[str]:
        key = aws.kms.Key(
            f"{self._name}-state",
            description="Secrets in Pulumi's state",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=self._location.apply(lambda at: to_json(key_policy(at))),
            # without the key no stack's state can be read
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        aws.kms.Alias(
            f"{self._name}-state", name=STATE_KEY, target_key_id=key.key_id, opts=self._child
        )
        return key.arn

    def _identity_provider(self) -> pulumi.Output[str]:
        provider = aws.iam.OpenIdConnectProvider(
            f"{self._name}-github",
            url=f"https://{policies.ISSUER}",
            client_id_lists=[policies.AUDIENCE],
            opts=self._child,
        )
        return provider.arn

    def _preview_role(self) -> pulumi.Output[str]:
        bucket = self._args.state_bucket
        known = pulumi.Output.all(at=self._location, key_arn=self._key_arn)
        documents = {
            "look": known.apply(lambda known: policies.preview_policy(bucket=bucket, **known)),
        }
        return self._role("preview", "pull_request", documents)

    def _deploy_role(self, stack: str) -> pulumi.Output[str]:
        bucket = self._args.state_bucket
        known = pulumi.Output.all(at=self._location, key_arn=self._key_arn)
        made = known.apply(
            lambda known: policies.deploy_policies(stack=stack, bucket=bucket, **known)
        )
        parts = ("own", "unnamed", "identities")
        documents = {part: made.apply(lambda made, part=part: made[part]) for part in parts}
        return self._role(stack, f"environment:{stack}", documents)

    def _role(
        self, name: str, context: str, documents: Mapping[str, pulumi.Output[Document]]
    ) -> pulumi.Output[str]:
        subject = f"repo:{self._args.github_repository}:{context}"
        full = f"github-{self._name}-{name}"  # no stack's own names begin so
        role = aws.iam.Role(
            full,
            name=full,
            max_session_duration=SESSION_SECONDS,
            assume_role_policy=self._provider_arn.apply(
                lambda arn: to_json(policies.github_trust(arn, subject))
            ),
            opts=self._child,
        )
        for part, document in documents.items():
            policy = aws.iam.Policy(
                f"{full}-{part}",
                name=f"{full}-{part}",
                policy=document.apply(to_json),
                opts=self._child,
            )
            aws.iam.RolePolicyAttachment(
                f"{full}-{part}", role=role.name, policy_arn=policy.arn, opts=self._child
            )
        return role.arn
