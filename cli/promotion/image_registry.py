"""ECR as a promotion uses it: is the image there, was it scanned, and a tag that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import UserError
from contracts.stack.images import EcrRepository, ImageReference

SCANNED = ("COMPLETE", "ACTIVE")
"""Basic scanning ends with the first, continuous scanning stays at the second."""
UNFINISHED = ("IN_PROGRESS", "PENDING")


@dataclass(frozen=True, kw_only=True)
class ScannedImage:
    """An image that is in the registry and was scanned."""

    tags: tuple[str, ...]
    scan: str
    """The scanner's remark on its own work; may be empty."""
    findings: Mapping[str, int] = field(default_factory=dict)
    """How many, by severity."""

    @property
    def critical(self) -> int:
        return self.findings.get("CRITICAL", 0)


class ImageRegistry:
    """The calls to one repository; every refusal becomes a sentence."""

    def __init__(self, ecr: Any, repository: EcrRepository) -> None:
        """`ecr` is a client in the repository's region."""
        self._ecr = ecr
        self._name = {"registryId": repository.account, "repositoryName": repository.name}

    @classmethod
    def of(cls, repository: str) -> "ImageRegistry":
        """The registry of an ECR repository, with the caller's own credentials.

        Raises UserError.
        """
        place = ecr_repository(repository)
        try:
            client = boto3.Session().client("ecr", region_name=place.region)
        except BotoCoreError as error:
            raise UserError(f"no session with AWS: {error}") from error
        return cls(client, place)

    def inspect(self, image: ImageReference) -> ScannedImage:
        """Look the image and its scan up. Raises UserError where either is missing."""
        digest = {"imageDigest": image.digest}
        details = self._call(
            "describe_images", image, {"ImageNotFoundException": "is not in the registry"},
            imageIds=[digest],
        )["imageDetails"]  # fmt: skip
        scan = self._call(
            "describe_image_scan_findings", image,
            {"ScanNotFoundException": "was never scanned; start a scan and try again"},
            imageId=digest,
        )  # fmt: skip
        status = scan.get("imageScanStatus", {})
        if status.get("status") in UNFINISHED:
            raise UserError(f"{image} is still being scanned; try again in a minute")
        if status.get("status") not in SCANNED:
            reason = status.get("description") or "no reason given"
            raise UserError(f"the scan of {image} ended {status.get('status')}: {reason}")
        return ScannedImage(
            tags=tuple(details[0].get("imageTags", ())),
            scan=status.get("description", ""),
            findings=scan.get("imageScanFindings", {}).get("findingSeverityCounts", {}),
        )

    def tag(self, image: ImageReference, scanned: ScannedImage, tag: str) -> None:
        """Add a tag, unless the image has it. Raises UserError."""
        if tag in scanned.tags:
            return
        images = self._call("batch_get_image", image, {}, imageIds=[{"imageDigest": image.digest}])[
            "images"
        ]
        if not images:
            raise UserError(f"{image} is no longer in the registry")
        self._call(
            "put_image", image,
            {"ImageTagAlreadyExistsException": f"cannot be tagged: another image is {tag}"},
            imageManifest=images[0]["imageManifest"],
            imageManifestMediaType=images[0]["imageManifestMediaType"],
            imageTag=tag,
        )  # fmt: skip

    def _call(
        self, name: str, image: ImageReference, refusals: Mapping[str, str], **parameters: Any
    ) -> Any:
        try:
            return getattr(self._ecr, name)(**self._name, **parameters)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "RepositoryNotFoundException":
                raise UserError(f"{image}: there is no such repository") from error
            if code in refusals:
                raise UserError(f"{image} {refusals[code]}") from error
            raise UserError(f"ECR refused {name}: {error.response['Error']['Message']}") from error
        except BotoCoreError as error:
            raise UserError(f"ECR cannot be reached: {' '.join(str(error).split())}") from error


def ecr_repository(repository: str) -> EcrRepository:
    """The ECR repository of that name. Raises UserError for a repository of any other kind."""
    place = EcrRepository.find(repository)
    if place is None:
        raise UserError(f"{repository} is not in ECR; only images in ECR can be promoted")
    return place
