"""Where the images of the jobs come from, and where promoted ones stay."""

import pytest

from contracts.base import ContractError
from contracts.names import Stage
from contracts.stack.images import (
    EcrRepository,
    ImageName,
    ImageReference,
    promoted_tag,
)
from tests.infra.support.recorder import (
    DIGEST,
    Deployment,
    deployment,
    stack_config,
)

ECR = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
IMAGES = {
    Stage.EXTRACT: ImageName.MEDIA,
    Stage.PROCESS: ImageName.UPSCALER,
    Stage.RECOMPOSE: ImageName.MEDIA,
}


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_every_job_definition_names_its_image_by_digest(name: str) -> None:
    stack = deployment(name)
    for stage, image in IMAGES.items():
        reference = ImageReference.parse(stack.job_container(stage.value)["image"])
        assert reference.repository == f"{ECR}/{image.repository}"
        assert str(reference) == stack.outputs[image.setting]


def test_dev_builds_and_runs_what_was_built() -> None:
    dev = deployment("dev")
    built = {image.name.removeprefix("superres-dev-"): image for image in dev.of("Image")}
    assert set(built) == {image.value for image in ImageName}
    for name, image in built.items():
        assert image.inputs["push"] is True
        assert image.inputs["tags"] == [f"{ECR}/superres/{name}:build-dev"]
        assert image.inputs["dockerfile"] == {"location": f"containers/{name}/Dockerfile"}
        assert image.inputs["context"] == {"location": "."}
        assert image.inputs["platforms"] == ["linux/amd64"]
        assert image.retain, "another stack may run what this one built"
        assert dev.outputs[f"{name}_image"] == f"{ECR}/superres/{name}@{DIGEST}"


@pytest.mark.parametrize("name", ["staging", "prod", "local"])
def test_other_stacks_build_nothing(name: str) -> None:
    stack = deployment(name)
    assert stack.of("Image") == []
    assert stack.outputs["media_image"] == stack_config(name)["superres:media_image"]


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_instances_may_pull_these_images_and_no_others(name: str) -> None:
    granted = deployment(name).policy("instance")
    wanted = {f"arn:aws:ecr:us-east-1:111122223333:repository/{i.repository}" for i in ImageName}
    assert set(granted["ecr:BatchGetImage"]) == wanted


def test_images_that_nobody_pulls_need_no_permission(local: Deployment) -> None:
    assert not [action for action in local.policy("instance") if action.startswith("ecr:")]


@pytest.mark.parametrize(
    ("repository", "arn"),
    [
        (f"{ECR}/superres/media", "ecr:us-east-1:111122223333:repository/superres/media"),
        (
            "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/media",
            "ecr:cn-north-1:111122223333:repository/media",
        ),
    ],
)
def test_a_private_repository_is_known_by_its_name(repository: str, arn: str) -> None:
    found = EcrRepository.find(repository)
    assert found is not None
    assert found.arn_rest == arn


@pytest.mark.parametrize("repository", ["superres/media", "public.ecr.aws/superres/media"])
def test_any_other_repository_needs_no_permission(repository: str) -> None:
    assert EcrRepository.find(repository) is None


@pytest.mark.parametrize(
    "text",
    ["", "media", f"media@{DIGEST}", "a/media:1", f"a/media:1@{DIGEST}", f"a/media@{DIGEST}0",
     f"a/media@{DIGEST[:-1]}", f"a/ media@{DIGEST}", f"a/media@{DIGEST.upper()}"],
)  # fmt: skip
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="must be an image by digest"):
        ImageReference.parse(text)


def test_a_promotion_has_a_tag_of_its_own() -> None:
    tag = promoted_tag("prod", "0123456789abcdef" + "0" * 24, DIGEST)
    assert tag == "promoted-prod-0123456789ab-a1a1a1a1a1a1"
