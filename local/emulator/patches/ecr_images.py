"""ECR as promotions need it: immutable tags, scans, and an error for a missing image.

The embedded AWS has no scanner. A scan answers COMPLETE, says in its description that nothing was
scanned, and has no findings. Repositories without scan on push have no scan at all.
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
"""

import json
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import ecr

from local.emulator.patching import wrap

NEEDS = {
    "ministack.services.ecr": (
        "_create_repository",
        "_describe_images",
        "_find_image",
        "_images",
        "_put_image",
        "_repositories",
        "handle_request",
    ),
}

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[dict[str, Any]], Answer]

NOT_SCANNED = "the embedded AWS has no scanner: nothing was looked at"


def apply() -> None:
    wrap(ecr, "_create_repository", _with_exclusions)
    wrap(ecr, "_put_image", _with_immutable_tags)
    wrap(ecr, "_describe_images", _with_missing_images)
    wrap(ecr, "handle_request", _with_scans)


def _with_exclusions(original: Handler) -> Handler:
    def create_repository(data: dict[str, Any]) -> Answer:
        answer = original(data)
        repository = ecr._repositories.get(data.get("repositoryName", ""))
        if answer[0] == 200 and repository is not None:
            filters = data.get("imageTagMutabilityExclusionFilters", [])
            repository["imageTagMutabilityExclusionFilters"] = filters
        return answer

    return create_repository


def _with_immutable_tags(original: Handler) -> Handler:
    def put_image(data: dict[str, Any]) -> Answer:
        name, tag = data.get("repositoryName", ""), data.get("imageTag")
        repository = ecr._repositories.get(name)
        if repository is not None and tag and _immutable(repository, tag):
            holders = [i for i in ecr._images[name] if tag in i.get("imageTags", [])]
            if holders:
                sentence = f"The image tag '{tag}' already exists and cannot be overwritten"
                return error_response_json("ImageTagAlreadyExistsException", sentence, 400)
        return original(data)

    return put_image


def _immutable(repository: dict[str, Any], tag: str) -> bool:
    if repository["imageTagMutability"] != "IMMUTABLE_WITH_EXCLUSION":
        return False  # ministack knows IMMUTABLE
    filters = repository.get("imageTagMutabilityExclusionFilters", [])
    return not any(fnmatchcase(tag, one["filter"]) for one in filters)


def _with_missing_images(original: Handler) -> Handler:
    def describe_images(data: dict[str, Any]) -> Answer:
        return _missing(data, data.get("imageIds") or []) or original(data)

    return describe_images


def _missing(data: dict[str, Any], image_ids: list[dict[str, str]]) -> Answer | None:
    name = data.get("repositoryName", "")
    if name in ecr._repositories:
        for image in image_ids:
            if ecr._find_image(name, image) is None:
                sentence = f"The image with imageId {json.dumps(image)} does not exist"
                return error_response_json("ImageNotFoundException", sentence, 400)
    return None


def _with_scans(
    original: Callable[..., Awaitable[Answer]],
) -> Callable[..., Awaitable[Answer]]:
    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: Any
    ) -> Answer:
        if headers.get("x-amz-target", "").endswith(".DescribeImageScanFindings"):
            return _scan(json.loads(body))
        return await original(method, path, headers, body, query)

    return handle_request


def _scan(data: dict[str, Any]) -> Answer:
    name, image = data["repositoryName"], data["imageId"]
    repository = ecr._repositories.get(name)
    if repository is None:
        sentence = f"The repository with name '{name}' does not exist"
        return error_response_json("RepositoryNotFoundException", sentence, 400)
    if missing := _missing(data, [image]):
        return missing
    if not repository["imageScanningConfiguration"].get("scanOnPush"):
        sentence = f"Image scan does not exist for the image with {json.dumps(image)}"
        return error_response_json("ScanNotFoundException", sentence, 400)
    return json_response(
        {
            "registryId": repository["registryId"],
            "repositoryName": name,
            "imageId": image,
            "imageScanStatus": {"status": "COMPLETE", "description": NOT_SCANNED},
            "imageScanFindings": {"findings": [], "findingSeverityCounts": {}},
        }
    )
