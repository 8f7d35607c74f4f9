"""The container images: their names, references to them, and the user that containers run as."""

import re
from enum import StrEnum
from typing import Self

from contracts.base import Contract, ContractError
from contracts.names import PROJECT

CONTAINER_UID = 10001
CONTAINER_GID = 10001
"""The user that containers run as; instances block their metadata address for it."""

PROMOTED_TAG_PREFIX = "promoted-"
"""Begins the tags of promoted images, which the repositories' lifecycle rules never expire."""
BUILD_TAG_PREFIX = "build-"
"""Begins the one tag that a stack which builds its images moves along; no other tag may move."""

_ECR_HOST = r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REFERENCE = re.compile(rf"(?P<repository>[^\s:@]+(?::\d+)?(?:/[^\s:@]+)+)@(?P<digest>{_DIGEST})")
_ECR_REGISTRY = re.compile(_ECR_HOST)
_ECR_REPOSITORY = re.compile(rf"{_ECR_HOST}/(?P<name>[^\s:@]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class ImageName(StrEnum):
    """The images that a stack runs, each built from its folder in containers/."""

    MEDIA = "media"
    UPSCALER = "upscaler"

    @property
    def repository(self) -> str:
        """Name of its repository in the shared registry."""
        return f"{PROJECT}/{self.value}"

    @property
    def setting(self) -> str:
        """Name of the stack's setting, and of the stack's output."""
        return f"{self.value}_image"


class EcrRegistry(Contract):
    """A private registry: one for each account and region."""

    host: str
    account: str
    region: str

    @classmethod
    def parse(cls, host: str) -> Self:
        """Raises ContractError."""
        match = _ECR_REGISTRY.fullmatch(host)
        if match is None:
            raise ContractError(
                f"got {host!r}, must be ACCOUNT.dkr.ecr.REGION.amazonaws.com, such as "
                "111122223333.dkr.ecr.us-east-1.amazonaws.com"
            )
        return cls(host=host, **match.groupdict())


class EcrRepository(Contract):
    """A repository in a private registry."""

    account: str
    region: str
    name: str

    @classmethod
    def find(cls, repository: str) -> Self | None:
        """None for a repository of any other kind of registry."""
        match = _ECR_REPOSITORY.fullmatch(repository)
        return cls(**match.groupdict()) if match else None

    @property
    def arn_rest(self) -> str:
        """The repository's ARN from the service on."""
        return f"ecr:{self.region}:{self.account}:repository/{self.name}"


class ImageReference(Contract):
    """An image by digest: always the same bytes."""

    repository: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ContractError; for a tag too, since a tag may move."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ContractError(
                f"got {text!r}, must be an image by digest, REPOSITORY@sha256:<64 hex digits>"
            )
        return cls(**match.groupdict())

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


def is_commit(text: str) -> bool:
    """Whether `text` is the full hash of a git commit."""
    return _COMMIT.fullmatch(text) is not None


def build_tag(stack: str) -> str:
    return f"{BUILD_TAG_PREFIX}{stack}"


def promoted_tag(stack: str, commit: str, digest: str) -> str:
    """The tag of one promotion. Tags are immutable, so it holds stack, commit and digest."""
    return f"{PROMOTED_TAG_PREFIX}{stack}-{commit[:12]}-{digest.removeprefix('sha256:')[:12]}"
