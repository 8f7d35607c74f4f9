"""The images that a stack's jobs run: named by digest, or built and pushed by `pulumi up`."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from components.common.identity import Location
from contracts.stack.images import (
    EcrRegistry,
    ImageName,
    build_tag,
)

PLATFORM = docker_build.Platform.LINUX_AMD64
"""Of the instances in components/settings/compute.py."""


@dataclass(frozen=True, kw_only=True)
class ImagesArgs:
    location: Location
    named: Mapping[ImageName, str]
    """Images that exist. The others are built."""
    registry: str | None
    """Host of the private registry that built images are pushed to."""
    stack: str
    """Whose builds they are."""


class Images(pulumi.ComponentResource):
    """References by digest, so that a job definition means the same bytes forever."""

    references: dict[ImageName, pulumi.Output[str]]
    repositories: tuple[str, ...]
    """Where the images are, known before anything is built."""

    def __init__(
        self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:images:Images", name, None, opts)
        self._name, self._args = name, args
        self.references = {
            image: pulumi.Output.from_input(text) for image, text in args.named.items()
        }
        missing = [image for image in ImageName if image not in args.named]
        if missing:
            login = self._login(_target(args))
            self.references |= {image: self._build(image, login) for image in missing}
        self.repositories = tuple(self._repository(image) for image in ImageName)
        self.register_outputs({"references": self.references})

    def _repository(self, image: ImageName) -> str:
        if image in self._args.named:
            return self._args.named[image].partition("@")[0]
        return f"{self._args.registry}/{image.repository}"

    def _login(self, registry: EcrRegistry) -> docker_build.RegistryArgs:
        token = aws.ecr.get_authorization_token_output(
            registry_id=registry.account, region=registry.region, opts=self._args.location.invoke
        )
        return docker_build.RegistryArgs(
            address=registry.host,
            username=token.user_name,
            password=pulumi.Output.secret(token.password),
        )

    def _build(self, image: ImageName, login: docker_build.RegistryArgs) -> pulumi.Output[str]:
        """Built where Pulumi runs, from the repository, as its Dockerfile's own ignore file says.

        The provider adds no attestation, so the digest is that of an image, not of an index, and
        ECR can scan it. Destroying the stack leaves the image: another stack may run it.
        """
        repository = self._repository(image)
        built = docker_build.Image(
            f"{self._name}-{image.value}",
            context=docker_build.BuildContextArgs(location="."),
            dockerfile=docker_build.DockerfileArgs(location=f"containers/{image.value}/Dockerfile"),
            platforms=[PLATFORM],
            tags=[f"{repository}:{build_tag(self._args.stack)}"],
            push=True,
            registries=[login],
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return pulumi.Output.format("{0}@{1}", repository, built.digest)


def _target(args: ImagesArgs) -> EcrRegistry:
    if args.registry is None:
        raise ValueError("images to build need a registry to be pushed to")
    return EcrRegistry.parse(args.registry)
