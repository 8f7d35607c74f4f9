"""The documents name only what exists, and what is made from the program is up to date."""

import re
import shlex
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from cli.main import cli
from components.settings import StackSettings
from contracts.job import Settings
from contracts.names import METADATA_PREFIX
from tests.infra.support.recorder import REPOSITORY, deployment
from tools import docs
from tools.rooms import AROUND, packages
from tools.settings import settings
from tools.source import PACKAGES, docstring

FOLDERS = (REPOSITORY / "docs", REPOSITORY / ".github")
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(p for f in FOLDERS for p in f.rglob("*.md"))])
GLOBAL_OPTIONS = {"query", "output", "region", "profile", "no-cli-pager"}
HIGH_LEVEL = {("s3", "cp"), ("s3", "ls"), ("s3", "rm"), ("s3", "sync"), ("logs", "tail")}
"""Commands that AWS's command line makes of several calls."""
CONVENIENCES = {("ecr", "get-login-password")}


def commands(document: Path) -> list[list[str]]:
    """Every command in the document's shell blocks, as words."""
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", document.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r"\s(?:\||&&)\s", line)]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


ALL = [words for document in DOCUMENTS for words in commands(document)]


def of(program: str) -> list[list[str]]:
    return [words for words in ALL if words[0].endswith(program)]


def shown(words: list[str]) -> str:
    return " ".join(words)[:60]


def test_there_are_commands_to_look_at() -> None:
    assert min(len(of(program)) for program in ("make", "aws", "pulumi", "superres")) >= 2


@pytest.mark.parametrize("words", of("make"), ids=shown)
def test_every_make_target_exists(words: list[str]) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    lines = re.findall(r"^([a-z][\w -]*):", makefile, re.MULTILINE)
    targets = {target for line in lines for target in line.split()}
    named = {word for word in words[1:] if "=" not in word}
    assert named <= targets


@pytest.mark.parametrize("words", of("aws"), ids=shown)
def test_every_aws_command_exists_with_its_options(words: list[str]) -> None:
    service, command, *rest = words[1:]
    if (service, command) in HIGH_LEVEL | CONVENIENCES:
        return
    model: Any = botocore.session.get_session().get_service_model(
        {"s3api": "s3"}.get(service, service)
    )
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert command in operations
    shape = model.operation_model(operations[command]).input_shape
    known = {xform_name(name, "-") for name in (shape.members if shape else ())}
    options = {word[2:].split("=")[0] for word in rest if word.startswith("--")}
    assert options <= known | GLOBAL_OPTIONS


@pytest.mark.parametrize("words", of("superres"), ids=shown)
def test_every_command_of_ours_exists_with_its_options(words: list[str]) -> None:
    command = cli.commands[words[1]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words[2:] if word.startswith("-")} <= known


@pytest.mark.parametrize("words", of("pulumi"), ids=shown)
def test_every_setting_that_is_set_exists(words: list[str]) -> None:
    if words[1:3] == ["config", "set"] and "-C" not in words:
        name = words[3].removeprefix("superres:")
        assert name in StackSettings.model_fields or name == "aws:region"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_output_that_is_asked_for_exists(document: Path) -> None:
    asked = set(re.findall(r"pulumi stack output (\w+)", document.read_text()))
    assert asked <= set(deployment("dev").outputs)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_piece_of_metadata_is_a_jobs_setting(document: Path) -> None:
    named = set(re.findall(rf"`?{METADATA_PREFIX}([a-z-]+)(?:=|`)", document.read_text()))
    fields = {name.replace("_", "-") for name in Settings.model_fields}
    assert named - {"result"} <= fields


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def current() -> dict[str, str]:
    return docs.current()


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in docs.UPDATES))
def test_what_is_made_from_the_program_is_up_to_date(name: str, current: dict[str, str]) -> None:
    assert (REPOSITORY / name).read_text() == current[name], f"{name} is stale: run make docs"


@pytest.mark.parametrize("top", [*PACKAGES, *AROUND])
def test_every_room_says_what_it_holds(top: str) -> None:
    mirrors = REPOSITORY / "tests" / "unit"
    silent = [p for p in packages(REPOSITORY / top) if not docstring(p)]
    assert [str(p) for p in silent if mirrors not in p.parents] == []


def test_every_setting_is_described() -> None:
    assert [s.name for s in settings() if not s.description] == []
