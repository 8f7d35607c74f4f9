"""The image repositories that all stacks share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.common.identity import Location
from components.common.options import stateful
from components.common.policy import (
    Document,
    policy_document,
    to_json,
)
from contracts.stack.images import (
    BUILD_TAG_PREFIX,
    PROMOTED_TAG_PREFIX,
    ImageName,
)

MOST_IMAGES = 1000
"""Where a lifecycle rule must name a number and none is wanted."""
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def lifecycle(kept_builds: int) -> Document:
    """Promoted images stay; of the others the newest stay.

    An image that matches one rule's tags cannot be expired by a rule of lower priority, whatever
    its other tags are, and `any` must come last.
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
    """
    promoted = {
        "tagStatus": "tagged",
        "tagPrefixList": [PROMOTED_TAG_PREFIX],
        "countType": "imageCountMoreThan",
        "countNumber": MOST_IMAGES,
    }
    others = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": kept_builds}
    return {
        "rules": [
            _expire(1, "What a stack was given stays", promoted),
            _expire(2, "Of all other builds the newest stay", others),
        ]
    }


def _expire(priority: int, description: str, selection: dict[str, Any]) -> dict[str, Any]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": selection,
        "action": {"type": "expire"},
    }


def pull_policy(partition: str, accounts: Sequence[str]) -> Document:
    """Accounts whose own policies then decide which of their roles pull."""
    principals = [f"arn:{partition}:iam::{account}:root" for account in accounts]
    return policy_document(
        {
            "Sid": "PullByStacks",
            "Effect": "Allow",
            "Principal": {"AWS": principals},
            "Action": list(PULL),
        }
    )


@dataclass(frozen=True, kw_only=True)
class RepositoriesArgs:
    location: Location
    readers: Sequence[str]
    """Accounts that pull, besides the one that the repositories are in."""
    encryption: Literal["AES256", "KMS"]
    kept_builds: int
    """Images to keep that were not promoted."""
    protect: bool


class Repositories(pulumi.ComponentResource):
    """One private repository for each image; scanned on push, encrypted, tags immutable.

    But for the one tag that a building stack moves to its newest image: that a build is the
    newest is no promise, and whatever runs is named by digest.
    """

    urls: dict[ImageName, pulumi.Output[str]]

    def __init__(
        self, name: str, args: RepositoriesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:images:Repositories", name, None, opts)
        self._args = args
        self.urls = {image: self._repository(f"{name}-{image.value}", image) for image in ImageName}
        self.register_outputs({"urls": self.urls})

    def _repository(self, name: str, image: ImageName) -> pulumi.Output[str]:
        args, child = self._args, pulumi.ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            name,
            name=image.repository,
            image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
            image_tag_mutability_exclusion_filters=[
                {"filter": f"{BUILD_TAG_PREFIX}*", "filter_type": "WILDCARD"}
            ],
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": args.encryption}],
            force_delete=not args.protect,
            opts=stateful(self, protect=args.protect),
        )
        aws.ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=to_json(lifecycle(args.kept_builds)),
            opts=child,
        )
        policy = args.location.known().apply(
            lambda at: to_json(pull_policy(at.partition, sorted({at.account, *args.readers})))
        )
        aws.ecr.RepositoryPolicy(name, repository=repository.name, policy=policy, opts=child)
        return repository.repository_url
