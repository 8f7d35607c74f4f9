"""The registry's program, and a stack that builds, on the embedded AWS."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.emulator.patches.ecr_images import NOT_SCANNED
from tests.support.local_aws import (
    Server,
    deploy,
    registry_server,
)

BUILDS = """
import pulumi, pulumi_docker_build as docker_build
image = docker_build.Image("media", push=True,
    tags=["123456789012.dkr.ecr.us-east-1.amazonaws.com/superres/media:build-dev"],
    context={"location": "."}, dockerfile={"location": "Dockerfile"})
pulumi.export("digest", image.digest)
"""


@pytest.fixture(scope="module")
def server() -> Server:
    return registry_server()


def put(server: Server, manifest: str, tag: str) -> str:
    """Push an image; returns its digest."""
    image = server.client("ecr").put_image(
        repositoryName="superres/upscaler", imageManifest=manifest, imageTag=tag
    )
    return image["image"]["imageId"]["imageDigest"]


def test_the_registry_deploys_with_lifecycle_and_policy(server: Server) -> None:
    ecr = server.client("ecr")
    for name in ("superres/media", "superres/upscaler"):
        lifecycle = ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
        assert json.loads(lifecycle)["rules"]
        assert json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"])


def test_a_build_leaves_a_placeholder_that_says_what_it_is(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: builds\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text(BUILDS)
    digest = deploy(server, tmp_path, "dev")["digest"]
    found = server.client("ecr").batch_get_image(
        repositoryName="superres/media", imageIds=[{"imageDigest": digest}]
    )["images"]
    (image,) = found
    assert image["imageId"]["imageTag"] == "build-dev"
    annotation = json.loads(image["imageManifest"])["annotations"]["superres.placeholder"]
    assert annotation == "media was not built: the embedded AWS runs no images"


def test_the_tag_of_builds_moves_and_no_other(server: Server) -> None:
    first, second = put(server, '{"n": 1}', "build-x"), put(server, '{"n": 2}', "build-x")
    assert first != second
    put(server, '{"n": 1}', "promoted-staging-1")
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        put(server, '{"n": 2}', "promoted-staging-1")


def test_a_scan_says_that_nothing_was_looked_at(server: Server) -> None:
    digest = put(server, '{"n": 3}', "build-y")
    scan = server.client("ecr").describe_image_scan_findings(
        repositoryName="superres/upscaler", imageId={"imageDigest": digest}
    )
    assert scan["imageScanStatus"] == {"status": "COMPLETE", "description": NOT_SCANNED}


@pytest.mark.parametrize("call", ["describe_images", "describe_image_scan_findings"])
def test_a_missing_image_is_named(server: Server, call: str) -> None:
    image = {"imageDigest": f"sha256:{'0' * 64}"}
    which = {"imageIds": [image]} if call == "describe_images" else {"imageId": image}
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        getattr(server.client("ecr"), call)(repositoryName="superres/upscaler", **which)
