"""The picture of the architecture: complete, readable, and the same every time."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.infra.support.recorder import (
    deployment,
    run_program,
    stack_config,
)
from tools.diagram import STACK, architecture
from tools.diagram.model import Diagram, Node, diagram_of
from tools.diagram.svg import HEIGHT, WIDTH, draw, left, tall, top

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
