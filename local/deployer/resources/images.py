"""ECR, and images that `pulumi up` would build."""

import json
from typing import Any

from botocore.exceptions import ClientError

from contracts.stack.images import EcrRepository
from local.deployer.resource import Aws, Created, DeployError, RequestedResource

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
}
"""https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor"""


def _repository(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("forceDelete")
    name = r.physical_name()
    parameters = r.pick(
        imageTagMutability="imageTagMutability",
        imageTagMutabilityExclusionFilters="imageTagMutabilityExclusionFilters",
        imageScanningConfiguration="imageScanningConfiguration",
    )
    if encryption := r.get("encryptionConfigurations"):
        parameters["encryptionConfiguration"] = encryption[0]
    found = aws.client("ecr").create_repository(repositoryName=name, **parameters)["repository"]
    outputs = {
        "name": name,
        "arn": found["repositoryArn"],
        "repositoryUrl": found["repositoryUri"],
        "registryId": found["registryId"],
    }
    return Created(name, outputs)


def _lifecycle_policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("ecr").put_lifecycle_policy(
        repositoryName=r["repository"], lifecyclePolicyText=r["policy"]
    )
    return Created(r["repository"], {"registryId": aws.account})


def _repository_policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("ecr").set_repository_policy(repositoryName=r["repository"], policyText=r["policy"])
    return Created(r["repository"], {"registryId": aws.account})


def _image(aws: Aws, r: RequestedResource) -> Created:
    """Push a placeholder: nothing can be built here, and jobs run the repository's code.

    Its manifest says so. The digest is the one of that manifest, so whoever pulls it finds out.
    """
    r.ignore("context", "dockerfile", "platforms", "registries", "network", "buildOnPreview")
    if r["push"] is not True:
        raise DeployError(f"{r}: the local stack knows only images that are pushed.")
    (reference,) = r["tags"]
    repository, _, tag = reference.rpartition(":")
    found = EcrRepository.find(repository)
    if found is None:
        raise DeployError(f"{r}: {repository} is no private ECR repository.")
    digest = _push(aws.client("ecr"), found.name, tag, _placeholder(r.name))
    return Created(
        f"{repository}@{digest}",
        {"digest": digest, "ref": f"{reference}@{digest}", "contextHash": digest},
    )


def _placeholder(name: str) -> str:
    annotations = {"superres.placeholder": f"{name} was not built: the embedded AWS runs no images"}
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": EMPTY,
        "layers": [EMPTY],
        "annotations": annotations,
    }
    return json.dumps(manifest)


def _push(ecr: Any, name: str, tag: str, manifest: str) -> str:
    """The repository is another program's (registry/), which need not be deployed here."""
    try:
        ecr.create_repository(repositoryName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryAlreadyExistsException":
            raise
    image = ecr.put_image(
        repositoryName=name,
        imageManifest=manifest,
        imageManifestMediaType=MANIFEST_TYPE,
        imageTag=tag,
    )["image"]
    return image["imageId"]["imageDigest"]


HANDLERS = {
    "aws:ecr/repository:Repository": _repository,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _lifecycle_policy,
    "aws:ecr/repositoryPolicy:RepositoryPolicy": _repository_policy,
    "docker-build:index:Image": _image,
}
