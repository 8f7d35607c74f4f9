"""Imports run one way, between rooms and inside them; docs/architecture.md draws the same order."""

import sys
from collections.abc import Mapping

import pytest

from tools.source import PACKAGES, REPOSITORY, files, imports, module_of, sources

AROUND = {"tests", "tools", "benchmarks"}
OURS = {*PACKAGES, *AROUND}
EVERYWHERE = (*PACKAGES, *sorted(AROUND), "registry")
MOST_FILES = 12

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

FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "containers.common": (("runtime",), ("confined",), ("film",)),
    "containers.media": (("labels",), ("extract", "recompose")),
    "containers.media.extract": (("judge", "fields"), ("index", "plan")),
    "containers.media.recompose": (("mux",), ("proof",)),
    "containers.upscaler": (("host", "device", "weights"), ("models",), ("inspection",)),
    "containers.upscaler.models": (("networks",), ("engines",)),
    "components": (("common",), ("storage", "messaging", "images", "deployers")),
}
"""Rooms inside a room, the lowest floor first: a room imports what stands on a lower floor, never
its neighbours. What stands in no room of its own is above them all."""

WORKERS = {
    "containers.media.extract.worker",
    "containers.media.recompose.worker",
    "containers.upscaler.worker",
}
STARTERS = {"containers.media.__main__", "containers.upscaler.__main__"}

THIRD_PARTY: dict[str, set[str]] = {
    "contracts": {"pydantic"},
    "components": {"pulumi", "pulumi_aws", "pulumi_docker_build", "pydantic"},
    "lambdas": {"aws_lambda_powertools", "boto3", "botocore", "pydantic"},
    "policy": {"pulumi_policy"},
}
"""Where what a package may use from outside is decided by where it runs."""


def below(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def trespasses(source: str, module: str, room: str) -> list[str]:
    """Imports of our own packages that the room may not have."""
    return [
        f"{module}:{line} imports {name}"
        for line, name in imports(source, module)
        if name.split(".")[0] in OURS and not below(name, MAY_IMPORT[room])
    ]


def floor_of(name: str, house: str) -> tuple[int, str] | None:
    """(floor, room) of a module within a house; None for what is not in a room of its own."""
    if not name.startswith(f"{house}."):
        return None
    room = name.removeprefix(f"{house}.").split(".")[0]
    for number, rooms in enumerate(FLOORS[house]):
        if room in rooms:
            return number, room
    return None


def climbs(source: str, module: str, house: str) -> list[str]:
    """Imports of a module in a room that lead upstairs, next door, or out onto the landing."""
    here = floor_of(module, house)
    if here is None:
        return []
    found = []
    for line, name in imports(source, module):
        if name == house or not name.startswith(f"{house}."):
            continue
        there = floor_of(name, house)
        if there is None or (there[1] != here[1] and there[0] >= here[0]):
            found.append(f"{module}:{line} imports {name}")
    return found


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """From each module to those of ours that it imports."""
    known = {name.removesuffix(".__init__"): name for name in sources}
    arrows: dict[str, set[str]] = {}
    for module, source in sources.items():
        targets = {
            known.get(name) or known.get(name.rpartition(".")[0])
            for _, name in imports(source, module)
        }
        arrows[module] = {target for target in targets if target} - {module}
    return arrows


def circles(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Modules that import each other, in however many steps."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [*arrows[start]]
        while todo:
            if (name := todo.pop()) not in seen:
                seen.add(name)
                todo.extend(arrows[name])
        return seen

    reached = {name: reach(name) for name in arrows}
    found: list[set[str]] = []
    for name, others in reached.items():
        if name in others and not any(name in circle for circle in found):
            found.append({other for other in others if name in reached[other]})
    return found


def test_every_package_has_its_rule() -> None:
    rooms = {room.split("/")[0] for room in MAY_IMPORT} - {"__main__.py", "registry"}
    found = {p.parent.name for p in REPOSITORY.glob("*/__init__.py")} - AROUND
    assert found == rooms == set(PACKAGES)
    containers = {p.parent.name for p in (REPOSITORY / "containers").glob("*/__init__.py")}
    assert {f"containers/{name}" for name in containers} < set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_stands_below_it(room: str) -> None:
    found = [t for path in files(room) for t in trespasses(path.read_text(), module_of(path), room)]
    assert found == []


@pytest.mark.parametrize("house", FLOORS)
def test_inside_a_room_too_imports_run_one_way(house: str) -> None:
    found = [
        climb
        for name, source in sources(*EVERYWHERE).items()
        for climb in climbs(source, name, house)
    ]
    assert found == []


@pytest.mark.parametrize("house", [house for house in FLOORS if house != "components"])
def test_every_room_of_a_house_has_its_floor(house: str) -> None:
    place = REPOSITORY / house.replace(".", "/")
    assert {p.parent.name for p in place.glob("*/__init__.py")} == {
        room for rooms in FLOORS[house] for room in rooms
    }


def test_nothing_imports_a_worker_but_what_starts_it() -> None:
    found = [
        f"{module}:{line} imports {name}"
        for module, source in sources(*EVERYWHERE).items()
        if module.split(".")[0] in PACKAGES and module not in STARTERS
        for line, name in imports(source, module)
        if below(name, WORKERS)
    ]
    assert found == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(graph(sources(*EVERYWHERE))) == []


def test_a_folder_holds_a_dozen_files_at_most() -> None:
    full = {}
    for room in EVERYWHERE:
        for folder in (REPOSITORY / room, *(REPOSITORY / room).rglob("*/")):
            held = [p for p in folder.iterdir() if p.is_file() and p.suffix != ".pyc"]
            if len(held) > MOST_FILES:
                full[str(folder.relative_to(REPOSITORY))] = len(held)
    assert full == {}


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
        ("import local.serve", "components.workflow", "components"),
        ("from lambdas.stage import decide", "components.workflow", "components"),
        (
            "from containers.media import extract",
            "containers.upscaler.worker",
            "containers/upscaler",
        ),
        ("from ..upscaler import models", "containers.media.recompose", "containers/media"),
        ("from containers import upscaler", "containers.media.recompose", "containers/media"),
        ("def f():\n    import cli.main", "contracts.keys", "contracts"),
        ("from components import common", "cli.main", "cli"),
        ("from tests.infra import support", "local.serve", "local"),
    ],
)
def test_a_forbidden_import_is_seen(source: str, module: str, room: str) -> None:
    assert trespasses(source, module, room)


@pytest.mark.parametrize(
    ("source", "module", "room"),
    [
        ("from ..common import film", "containers.media.recompose", "containers/media"),
        ("from . import labels", "containers.media.recompose", "containers/media"),
        ("import json\nfrom contracts import keys", "lambdas.stage.decide", "lambdas"),
    ],
)
def test_an_allowed_import_is_left_alone(source: str, module: str, room: str) -> None:
    assert not trespasses(source, module, room)


@pytest.mark.parametrize(
    ("source", "module", "house"),
    [
        (
            "from containers.media.recompose.mux import clock",
            "containers.media.extract.export",
            "containers.media",
        ),
        (
            "from containers.media.extract.judge import probe",
            "containers.media.labels.hdr",
            "containers.media",
        ),
        (
            "from containers.upscaler.inference import DecodedBatch",
            "containers.upscaler.device.compositing",
            "containers.upscaler",
        ),
    ],
)
def test_an_import_upstairs_or_next_door_is_seen(source: str, module: str, house: str) -> None:
    assert climbs(source, module, house)


def test_an_import_downstairs_is_left_alone() -> None:
    source = "from containers.media.labels import hdr"
    assert not climbs(source, "containers.media.extract.judge.picture", "containers.media")


def test_a_circle_is_seen_however_long() -> None:
    arrows = graph(
        {
            "cli.a": "from cli.b import x",
            "cli.b": "def f():\n    from cli import c",
            "cli.c": "import cli.a",
            "cli.d": "import cli.a",
        }
    )
    assert circles(arrows) == [{"cli.a", "cli.b", "cli.c"}]
