"""Settings of the shared registry's own program (registry/)."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from components.common.tags import TagValue, required_tags
from components.settings.reading import STACK_NAME, read
from contracts.base import Contract
from contracts.names import PROJECT

Account = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
StackName = Annotated[str, StringConstraints(pattern=f"^{STACK_NAME}$")]

NAMESPACE = f"{PROJECT}-registry"


class RegistrySettings(Contract):
    """One of these for each account that stacks are deployed to."""

    owner: TagValue
    """Who is responsible for it; a tag of every resource."""
    cost_center: TagValue
    """Who pays for it; a tag of every resource."""
    protect: bool = True
    """Keep the repositories, and what is in them, when the program is destroyed."""

    repositories: bool = True
    """Whether the repositories are in this account; one account has them, the others pull."""
    readers: tuple[Account, ...] = ()
    """Other accounts whose stacks pull the images."""
    encryption: Literal["AES256", "KMS"] = "AES256"
    """Encryption of the images at rest: ECR's own keys, or the account's key `aws/ecr`."""
    kept_builds: int = Field(default=20, ge=1, le=1000)
    """How many images that were built but not promoted are kept; older ones expire."""

    github_repository: str | None = Field(default=None, pattern=r"^[\w.@-]+/[\w.@-]+$")
    """OWNER/NAME of the repository whose workflows deploy, as GitHub's tokens name it: with
    both ids where it was made, renamed or moved after June 18, 2026. None: no roles for them.
    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens
    """
    github_oidc_provider_arn: str | None = Field(default=None, pattern=r"^arn:.+:oidc-provider/.+$")
    """GitHub's identity provider, where the account has it already: there can be only one."""
    state_bucket: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """Bucket with Pulumi's state, made by hand before anything else."""
    stacks: tuple[StackName, ...] = Field(default=("dev", "staging", "prod"), min_length=1)
    """Stacks that workflows deploy, each in the GitHub environment of its name."""

    @model_validator(mode="after")
    def _names_a_bucket(self) -> Self:
        if (self.github_repository is None) != (self.state_bucket is None):
            raise ValueError(
                f"state_bucket: got {self.state_bucket!r} with github_repository "
                f"{self.github_repository!r}, must be both or neither"
            )
        return self

    def tags(self) -> dict[str, str]:
        """Tags of every resource."""
        return required_tags(
            project=PROJECT, stack="shared", owner=self.owner, cost_center=self.cost_center
        )


def read_registry_settings() -> RegistrySettings:
    """Raises pulumi.RunError."""
    return read(RegistrySettings, NAMESPACE)
