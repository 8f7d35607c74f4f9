"""The pictures of the architecture: complete, readable, and the same every time."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.infra.support.recorder import (
    deployment,
    run_program,
    stack_config,
)
from tools.diagram import STACK, architecture
from tools.diagram.model import Diagram, Node, diagram_of
from tools.diagram.rooms import Room, floors, house, needed, place_rooms, rooms_of_repository
from tools.diagram.svg import HEIGHT, WIDTH, draw, left, tall, top
from tools.rooms import packages
from tools.source import PACKAGES, REPOSITORY

DRAWN = ("Bucket", "Function", "JobDefinition", "JobQueue", "StateMachine", "Table", "Topic")


@pytest.fixture(scope="module")
def drawn() -> Diagram:
    return diagram_of(deployment(STACK))


@pytest.mark.parametrize("kind", DRAWN)
def test_nothing_on_the_way_of_a_film_is_left_out(drawn: Diagram, kind: str) -> None:
    logs = {r.urn for r in deployment(STACK).of("Bucket") if "log" in r.name}
    wanted = {r.urn for r in deployment(STACK).of(kind)} - logs
    assert wanted <= {node.key for node in drawn.nodes}


def test_every_resource_is_counted(drawn: Diagram) -> None:
    counted = sum(sum(kinds.values()) for kinds in drawn.inventory.values())
    assert counted == len([r for r in deployment(STACK).resources if r.type.startswith("aws:")])
    assert "" not in drawn.inventory


def test_lines_join_boxes_that_are_there(drawn: Diagram) -> None:
    keys = [node.key for node in drawn.nodes]
    assert len(set(keys)) == len(keys)
    assert {end for edge in drawn.edges for end in (edge.start, edge.end)} <= set(keys)


def test_every_box_but_the_table_has_a_line(drawn: Diagram) -> None:
    joined = {end for edge in drawn.edges for end in (edge.start, edge.end)}
    assert {n.title for n in drawn.nodes if n.key not in joined} <= {"jobs"}


def overlap(a: Node, b: Node) -> bool:
    return (
        abs(left(a) - left(b)) < WIDTH and top(a) < top(b) + tall(b) and top(b) < top(a) + tall(a)
    )


def test_no_box_hides_another(drawn: Diagram) -> None:
    nodes = drawn.nodes
    assert not [(a.title, b.title) for i, a in enumerate(nodes) for b in nodes[:i] if overlap(a, b)]


def test_what_is_written_fits_into_its_box(drawn: Diagram) -> None:
    for node in drawn.nodes:
        assert len(node.lines) * 15 + 30 <= HEIGHT + 8, node.title
        assert all(len(line) <= 23 for line in node.lines), node.lines


def test_the_same_program_gives_the_same_picture() -> None:
    again = diagram_of(run_program(STACK, stack_config(STACK)))
    svg = architecture()
    assert draw(again, "Superres: what pulumi up makes") == svg
    ElementTree.fromstring(svg)


def houses(room: Room) -> list[Room]:
    return [room, *(house for inner in room.rooms for house in houses(inner))]


@pytest.fixture(scope="module")
def repository() -> Room:
    whole = rooms_of_repository()
    place_rooms(whole)
    return whole


def test_every_package_that_runs_is_a_room(repository: Room) -> None:
    found = {p.relative_to(REPOSITORY) for name in PACKAGES for p in packages(REPOSITORY / name)}
    assert {room.name for room in houses(repository) if room.name} == {
        ".".join(path.parts) for path in found
    }


def test_every_arrow_between_rooms_points_down(repository: Room) -> None:
    arrows = [arrow for room in houses(repository) for arrow in room.arrows]
    assert arrows
    for start, end in arrows:
        assert start.y + start.height < end.y, (start.name, end.name)


def test_a_room_lies_within_its_house_and_beside_no_other_rooms_ground(repository: Room) -> None:
    for outer in houses(repository):
        for inner in outer.rooms:
            assert outer.x <= inner.x
            assert inner.x + inner.width <= outer.x + outer.width + 0.01
            assert outer.y <= inner.y
            assert inner.y + inner.height <= outer.y + outer.height + 0.01
        for number, a in enumerate(outer.rooms):
            assert not [b.name for b in outer.rooms[:number] if meet(a, b)], a.name


def meet(a: Room, b: Room) -> bool:
    beside = a.x + a.width <= b.x or b.x + b.width <= a.x
    above = a.y + a.height <= b.y or b.y + b.height <= a.y
    return not beside and not above


def test_an_import_becomes_an_arrow_between_the_rooms_beside_each_other() -> None:
    whole = house(
        {
            "cli.__init__": "",
            "cli.main": "from cli.commands import run",
            "cli.commands.run": "from cli.promotion.plan import x\nfrom contracts import keys",
            "cli.promotion.plan": "import json",
            "contracts.keys": "",
        }
    )
    arrows = [(a.name, b.name) for room in houses(whole) for a, b in room.arrows]
    assert arrows == [("cli", "contracts"), ("cli.commands", "cli.promotion")]


def test_an_arrow_that_others_imply_is_left_out() -> None:
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert needed(arrows) == [("a", "b"), ("b", "c")]
    assert floors(arrows) == {"a": 2, "b": 1, "c": 0}


def test_rooms_that_import_each_other_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        floors({"a": {"b"}, "b": {"a"}, "c": set()})
