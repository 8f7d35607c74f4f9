"""`superres promote`, against the embedded AWS's ECR. Clients get their endpoint explicitly: what
other tests left in the environment decides nothing here."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from cli.commands.promote import summarise
from cli.errors import UserError
from cli.promotion.image_registry import ImageRegistry, ScannedImage, ecr_repository
from cli.promotion.plan import ORDER, MakeRegistry, Promotion, carry_out, plan_promotion
from cli.promotion.stack_outputs import RunningImages, read_stack_outputs, running_images
from contracts.stack.images import (
    EcrRepository,
    ImageName,
    ImageReference,
)
from tests.support.local_aws import (
    REPOSITORY,
    Server,
    registry_server,
)
from tests.unit.cli.support import invoke

ECR = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "f" * 40
NOWHERE = f"sha256:{'9' * 64}"


@pytest.fixture(scope="module")
def server() -> Server:
    return registry_server()


def reach(server: Server) -> MakeRegistry:
    """All repositories are in the embedded AWS, whatever account they name."""

    def registry(repository: str) -> ImageRegistry:
        name = ecr_repository(repository).name
        account = server.ready["account"]
        return ImageRegistry(
            server.client("ecr"), EcrRepository(account=account, region="us-east-1", name=name)
        )

    return registry


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The repository's own stack files, to write to."""
    for stack in ORDER:
        shutil.copy(REPOSITORY / f"Pulumi.{stack}.yaml", tmp_path)
    return tmp_path


def push(server: Server, content: str) -> dict[ImageName, ImageReference]:
    """Both images, built from the same content."""
    pushed = {}
    for image in ImageName:
        answer = server.client("ecr").put_image(
            repositoryName=image.repository,
            imageManifest=json.dumps({"image": image.value, "content": content}),
            imageTag="build-dev",
        )
        digest = answer["image"]["imageId"]["imageDigest"]
        pushed[image] = ImageReference(repository=f"{ECR}/{image.repository}", digest=digest)
    return pushed


def outputs(images: dict[ImageName, ImageReference], commit: str = COMMIT) -> dict[str, str]:
    return {**{image.setting: str(ref) for image, ref in images.items()}, "commit": commit}


def promote(
    server: Server, project: Path, source: str, target: str, said: dict[str, str]
) -> Promotion:
    running = running_images(source, said, None)
    promotion = plan_promotion(running, target, project, registry=reach(server))
    carry_out(promotion, reach(server))
    return promotion


def settings(project: Path, stack: str) -> dict[str, Any]:
    return yaml.safe_load((project / f"Pulumi.{stack}.yaml").read_text())["config"]


def test_staging_gets_what_dev_runs_and_prod_what_staging_runs(
    server: Server, project: Path
) -> None:
    images = push(server, "first")
    promote(server, project, "dev", "staging", outputs(images))
    promote(server, project, "staging", "prod", outputs(images))
    for stack in ("staging", "prod"):
        written = settings(project, stack)
        assert written["superres:commit"] == COMMIT
        for image, reference in images.items():
            assert written[f"superres:{image.setting}"] == str(reference)
    for image, reference in images.items():
        (details,) = server.client("ecr").describe_images(
            repositoryName=image.repository, imageIds=[{"imageDigest": reference.digest}]
        )["imageDetails"]
        kept = {f"promoted-{s}-{COMMIT[:12]}-{reference.digest[7:19]}" for s in ("staging", "prod")}
        assert kept <= set(details["imageTags"])


def test_a_promotion_changes_three_lines_and_no_comment(server: Server, project: Path) -> None:
    file = project / "Pulumi.staging.yaml"
    before = file.read_text().splitlines()
    promote(server, project, "dev", "staging", outputs(push(server, "lines")))
    after = file.read_text().splitlines()
    added = [line.split(":")[1] for line in after if line not in before]
    removed = [line.split(":")[1] for line in before if line not in after]
    assert sorted(added) == ["commit", "media_image", "upscaler_image"]
    assert sorted(removed) == ["media_image", "upscaler_image"]
    assert [line for line in after if "#" in line] == [line for line in before if "#" in line]


def test_promoting_the_same_again_changes_nothing(server: Server, project: Path) -> None:
    said = outputs(push(server, "again"))
    assert promote(server, project, "dev", "staging", said).changed
    text = (project / "Pulumi.staging.yaml").read_text()
    planned = promote(server, project, "dev", "staging", said)
    assert not planned.changed
    assert summarise(planned, dry_run=False)[0]["status"] == "UNCHANGED"
    assert (project / "Pulumi.staging.yaml").read_text() == text


def test_planning_changes_nothing(server: Server, project: Path) -> None:
    images = push(server, "dry")
    text = (project / "Pulumi.staging.yaml").read_text()
    running = running_images("dev", outputs(images), None)
    planned = plan_promotion(running, "staging", project, registry=reach(server))
    data, rows = summarise(planned, dry_run=True)
    assert data["status"] == "DRY_RUN"
    assert data["images"]["media"]["new"] == str(images[ImageName.MEDIA])
    assert data["commit"] == {"old": "none", "new": COMMIT}
    assert rows["file"].endswith("(not written: dry run)")
    assert (project / "Pulumi.staging.yaml").read_text() == text
    (details,) = server.client("ecr").describe_images(
        repositoryName="superres/media",
        imageIds=[{"imageDigest": images[ImageName.MEDIA].digest}],
    )["imageDetails"]
    assert details["imageTags"] == ["build-dev"]


def test_prod_is_not_given_what_staging_does_not_run(server: Server, project: Path) -> None:
    promote(server, project, "dev", "staging", outputs(push(server, "tried")))
    untried = outputs(push(server, "untried"))
    with pytest.raises(UserError, match=r"staging does not run what Pulumi.staging.yaml says"):
        promote(server, project, "staging", "prod", untried)


def test_prod_is_not_given_another_commit_than_staging_runs(server: Server, project: Path) -> None:
    images = push(server, "commit")
    promote(server, project, "dev", "staging", outputs(images))
    with pytest.raises(UserError, match=f"staging runs commit {OTHER_COMMIT}, but"):
        promote(server, project, "staging", "prod", outputs(images, OTHER_COMMIT))


def test_an_image_that_is_gone_is_named(server: Server, project: Path) -> None:
    images = {
        image: ImageReference(repository=f"{ECR}/{image.repository}", digest=NOWHERE)
        for image in ImageName
    }
    with pytest.raises(UserError, match=f"media@{NOWHERE} is not in the registry"):
        promote(server, project, "dev", "staging", outputs(images))


def test_an_image_that_was_never_scanned_is_refused(server: Server) -> None:
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName="unscanned")
    digest = ecr.put_image(repositoryName="unscanned", imageManifest="{}", imageTag="a")["image"][
        "imageId"
    ]["imageDigest"]
    image = ImageReference(repository=f"{ECR}/unscanned", digest=digest)
    with pytest.raises(UserError, match="was never scanned; start a scan"):
        reach(server)(image.repository).inspect(image)


@pytest.fixture
def scanned() -> Iterator[Any]:
    """A function that answers both questions about an image with this scan."""
    ecr = boto3.client(
        "ecr", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    stub = Stubber(ecr)

    def registry(scan: dict[str, Any]) -> ImageRegistry:
        stub.add_response("describe_images", {"imageDetails": [{"imageTags": ["build-dev"]}]})
        stub.add_response("describe_image_scan_findings", scan)
        return ImageRegistry(ecr, ecr_repository(f"{ECR}/superres/media"))

    with stub:
        yield registry


IMAGE = ImageReference(repository=f"{ECR}/superres/media", digest=NOWHERE)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"status": "IN_PROGRESS"}, "is still being scanned; try again in a minute"),
        (
            {"status": "UNSUPPORTED_IMAGE", "description": "which system?"},
            "ended UNSUPPORTED_IMAGE: which system?",
        ),
    ],
)
def test_a_scan_without_result_is_refused(
    scanned: Any, status: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        scanned({"imageScanStatus": status}).inspect(IMAGE)


def test_critical_findings_stop_a_promotion_unless_accepted(scanned: Any, project: Path) -> None:
    scan = {
        "imageScanStatus": {"status": "COMPLETE"},
        "imageScanFindings": {"findingSeverityCounts": {"CRITICAL": 2, "LOW": 7}},
    }
    found = scanned(scan).inspect(IMAGE)
    assert found == ScannedImage(tags=("build-dev",), scan="", findings={"CRITICAL": 2, "LOW": 7})

    class Known:
        def inspect(self, _: ImageReference) -> ScannedImage:
            return found

    running = RunningImages(stack="dev", images=dict.fromkeys(ImageName, IMAGE), commit=COMMIT)
    registry: Any = lambda _: Known()  # noqa: E731
    with pytest.raises(UserError, match="has 2 critical findings; fix them, or pass"):
        plan_promotion(running, "staging", project, registry=registry)
    planned = plan_promotion(running, "staging", project, registry=registry, accept_critical=True)
    assert summarise(planned, dry_run=True)[1]["scan of media"] == "2 critical, 7 low"


def invoke_promote(project: Path, said: object, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a promotion whose stack has these outputs."""
    file = project / "outputs.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    result = invoke("promote", *arguments, "--outputs", file, "--project", project)
    return result.exit_code, result.stdout, result.stderr


GOOD = {f"{i.value}_image": f"{ECR}/{i.repository}@{NOWHERE}" for i in ImageName}


@pytest.mark.parametrize(
    ("said", "arguments", "sentence"),
    [
        (GOOD, ("dev", "prod"), "cannot promote 'dev' to 'prod'; choose dev to staging or"),
        (GOOD, ("prod", "dev"), "cannot promote 'prod' to 'dev'"),
        ("{", ("dev", "staging"), "outputs.json: not JSON"),
        ("[]", ("dev", "staging"), "expected an object with the stack's outputs"),
        ({}, ("dev", "staging"), "dev runs no image to promote: media_image: got ''"),
        (
            {**GOOD, "media_image": "superres/media:1"},
            ("dev", "staging"),
            "media_image: got 'superres/media:1', must be an image by digest",
        ),
        (
            {**GOOD, "commit": "unrecorded"},
            ("dev", "staging"),
            "dev does not say which commit it runs (got 'unrecorded')",
        ),
        (GOOD, ("dev", "staging", "--commit", "main"), "which commit it runs (got 'main')"),
        (
            {
                **{i.setting: f"example.org/{i.value}@{NOWHERE}" for i in ImageName},
                "commit": COMMIT,
            },
            ("dev", "staging"),
            "example.org/media is not in ECR; only images in ECR can be promoted",
        ),
    ],
)
def test_a_mistake_is_one_sentence(
    project: Path, said: object, arguments: tuple[str, ...], sentence: str
) -> None:
    code, stdout, stderr = invoke_promote(project, said, *arguments)
    assert code == 2
    assert stdout == ""
    assert sentence in stderr
    assert stderr.count("\n") == 1


def test_a_mistake_is_an_object_with_json(project: Path) -> None:
    code, stdout, _ = invoke_promote(project, {}, "dev", "staging", "--json")
    assert code == 2
    assert json.loads(stdout)["status"] == "FAILED"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no such file; name a stack that has one"),
        ("config: [", "cannot be read: while parsing"),
        ("name: superres\n", "has no config; it should be a stack's file"),
        ("config:\n  superres:images: build\n", "says images: build; only a stack that names"),
    ],
)
def test_a_file_that_cannot_take_a_promotion_is_named(
    project: Path, text: str | None, sentence: str
) -> None:
    file = project / "Pulumi.staging.yaml"
    file.unlink() if text is None else file.write_text(text)
    running = running_images("dev", {**GOOD, "commit": COMMIT}, None)
    registry: Any = None
    with pytest.raises(UserError, match=sentence):
        plan_promotion(running, "staging", project, registry=registry)


def test_without_pulumi_the_outputs_are_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(project))
    with pytest.raises(UserError, match="the pulumi command is not installed; install it, or pass"):
        read_stack_outputs(project, "dev")


def test_pulumis_own_words_come_through(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = project / "pulumi"
    pulumi.write_text(
        "#!/bin/sh\necho 'error: no stack named' >&2\necho \"'dev' found\" >&2\nexit 1\n"
    )
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{project}:/bin:/usr/bin")
    with pytest.raises(UserError, match="what dev runs: error: no stack named 'dev' found"):
        read_stack_outputs(project, "dev")
