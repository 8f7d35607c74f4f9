"""Imports run one way: contracts <- components, lambdas, containers, cli, policy <- local."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("contracts", "components", "lambdas", "containers", "cli", "local", "policy")
AROUND = {"tests", "tools", "benchmarks"}
OURS = {*PACKAGES, *AROUND}

MAY_IMPORT: dict[str, set[str]] = {
    "contracts": {"contracts"},
    "components": {"components", "contracts"},
    "lambdas": {"lambdas", "contracts"},
    "containers/common": {"containers.common", "contracts"},
    "containers/media": {"containers.media", "containers.common", "contracts"},
    "containers/upscaler": {"containers.upscaler", "containers.common", "contracts"},
    "cli": {"cli", "contracts"},
    "local": {"contracts", "components", "lambdas", "containers", "cli", "local"},
    "policy": {"policy", "contracts"},
    "__main__.py": {"components", "contracts"},
    "registry/__main__.py": {"components", "contracts"},
}
"""Of our own packages; a name stands for all that is below it."""

THIRD_PARTY: dict[str, set[str]] = {
    "contracts": {"pydantic"},
    "components": {"pulumi", "pulumi_aws", "pulumi_docker_build", "pydantic"},
    "lambdas": {"aws_lambda_powertools", "boto3", "botocore", "pydantic"},
    "policy": {"pulumi_policy"},
}
"""Where what a package may use from outside is decided by where it runs."""


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of everything that a module imports, wherever it stands."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def files(room: str) -> list[Path]:
    place = REPOSITORY / room
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def below(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def trespasses(source: str, module: str, room: str) -> list[str]:
    """Imports of our own packages that the room may not have."""
    return [
        f"{module}:{line} imports {name}"
        for line, name in imports(source, module)
        if name.split(".")[0] in OURS and not below(name, MAY_IMPORT[room])
    ]


def test_every_package_has_its_rule() -> None:
    rooms = {room.split("/")[0] for room in MAY_IMPORT} - {"__main__.py", "registry"}
    found = {p.parent.name for p in REPOSITORY.glob("*/__init__.py")} - {
        "tests",
        "tools",
        "benchmarks",
    }
    assert found == rooms == set(PACKAGES)
    containers = {p.parent.name for p in (REPOSITORY / "containers").glob("*/__init__.py")}
    assert {f"containers/{name}" for name in containers} < set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_stands_below_it(room: str) -> None:
    found = [t for path in files(room) for t in trespasses(path.read_text(), module_of(path), room)]
    assert found == []


@pytest.mark.parametrize("room", THIRD_PARTY)
def test_a_room_uses_only_what_is_there_where_it_runs(room: str) -> None:
    allowed = THIRD_PARTY[room] | OURS | sys.stdlib_module_names
    found = [
        f"{module_of(path)}:{line} imports {name}"
        for path in files(room)
        for line, name in imports(path.read_text(), module_of(path))
        if name.split(".")[0] not in allowed
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "module", "room"),
    [
        ("import local.serve", "components.storage", "components"),
        ("from lambdas.stage import decide", "components.storage", "components"),
        ("from containers.media import plan", "containers.upscaler.process", "containers/upscaler"),
        ("from ..upscaler import tiling", "containers.media.plan", "containers/media"),
        ("from containers import upscaler", "containers.media.plan", "containers/media"),
        ("def f():\n    import cli.main", "contracts.keys", "contracts"),
        ("from components import policy", "cli.run", "cli"),
        ("from tests.infra import recorder", "local.serve", "local"),
    ],
)
def test_a_forbidden_import_is_seen(source: str, module: str, room: str) -> None:
    assert trespasses(source, module, room)


@pytest.mark.parametrize(
    ("source", "module", "room"),
    [
        ("from ..common import media", "containers.media.plan", "containers/media"),
        ("from . import plan", "containers.media.extract", "containers/media"),
        ("import json\nfrom contracts import keys", "lambdas.stage.decide", "lambdas"),
    ],
)
def test_an_allowed_import_is_left_alone(source: str, module: str, room: str) -> None:
    assert not trespasses(source, module, room)
