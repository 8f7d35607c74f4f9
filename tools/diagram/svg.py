"""Draws the picture as SVG, without a library: boxes in columns, lines between them."""

from collections import defaultdict
from collections.abc import Iterable
from html import escape

from tools.diagram.model import RESULTS, SOURCE, WORK, WORKFLOW, Diagram, Edge, Node

WIDTH, HEIGHT = 132, 68
"""Of a box that spans one row."""
GAP_X, GAP_Y = 40, 32
MARGIN, TOP = 22, 96
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"

COLOURS = {
    "Storage": "#2e7d32",
    "Functions": "#c2570c",
    "Workflow": "#ad1457",
    "Messaging": "#6a1b9a",
    "Compute": "#1565c0",
    "Registry": "#37474f",
}
PLAIN = "#546e7a"
LINES = {"hands on": "#263238", "data": "#2e7d32", "reports": "#ad1457"}
LEGEND = {
    "hands on": "hands work on",
    "data": "reads or writes objects",
    "reports": "reports how it ended",
}


def colour(component: str) -> str:
    return COLOURS.get(component, PLAIN)


class Canvas:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, line: str, fill: str, radius: int = 7
    ) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" '
            f'fill="{fill}" stroke="{line}" stroke-width="1.4"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 12,
        fill: str = "#263238",
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def path(self, points: str, kind: str, both: bool = False) -> None:
        dash = ' stroke-dasharray="5 3"' if kind != "hands on" else ""
        name = kind.replace(" ", "-")
        start = f' marker-start="url(#{name})"' if both else ""
        self.parts.append(
            f'<path d="{points}" fill="none" stroke="{LINES[kind]}" stroke-width="1.5"{dash}'
            f'{start} marker-end="url(#{name})"/>'
        )

    def document(self, width: float, height: float, title: str) -> str:
        markers = "".join(
            f'<marker id="{kind.replace(" ", "-")}" viewBox="0 0 8 8" refX="7" refY="4" '
            f'markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            f'<path d="M0 0.6 L7.4 4 L0 7.4 z" fill="{fill}"/></marker>'
            for kind, fill in LINES.items()
        )
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" font-family="{FONT}" role="img">\n'
            f"<title>{escape(title)}</title>\n<defs>{markers}</defs>\n"
            f'<rect width="100%" height="100%" rx="10" fill="#ffffff"/>\n{body}\n</svg>\n'
        )


def left(node: Node) -> float:
    return MARGIN + node.column * (WIDTH + GAP_X)


def top(node: Node) -> float:
    return TOP + node.row * (HEIGHT + GAP_Y)


def tall(node: Node) -> float:
    return node.rows * HEIGHT + (node.rows - 1) * GAP_Y


def middle(node: Node) -> float:
    return top(node) + tall(node) / 2


def draw(diagram: Diagram, title: str) -> str:
    """The diagram as an SVG document; the same diagram gives the same text."""
    canvas = Canvas()
    _panels(canvas, diagram.nodes)
    _edges(canvas, diagram)
    for node in diagram.nodes:
        _box(canvas, node)
    bottom = max(top(n) + tall(n) for n in diagram.nodes) + 30
    width = MARGIN * 2 + (RESULTS + 1) * WIDTH + RESULTS * GAP_X
    canvas.text(MARGIN, 30, title, 17, anchor="start", bold=True)
    _legend(canvas, width)
    height = _inventory(canvas, diagram, bottom, width)
    return canvas.document(width, height, title)


def _panels(canvas: Canvas, nodes: list[Node]) -> None:
    """A tinted ground behind boxes of one component that stand below each other."""
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in sorted(nodes, key=lambda n: (n.column, n.row)):
        columns[node.column].append(node)
    for column in columns.values():
        for run in _runs(column):
            x, y = left(run[0]) - 10, top(run[0]) - 20
            height = top(run[-1]) + tall(run[-1]) + 8 - y
            shade = colour(run[0].component)
            canvas.parts.append(
                f'<rect x="{x:g}" y="{y:g}" width="{WIDTH + 20}" height="{height:g}" rx="9" '
                f'fill="{shade}" fill-opacity="0.08"/>'
            )
            canvas.text(x + 10, y + 14, run[0].component, 10.5, shade, "start", bold=True)


def _runs(column: list[Node]) -> Iterable[list[Node]]:
    run: list[Node] = []
    for node in column:
        if run and node.component != run[-1].component:
            yield run
            run = []
        run.append(node)
    if run:
        yield run


def _box(canvas: Canvas, node: Node) -> None:
    x, y = left(node), top(node)
    shade = colour(node.component)
    canvas.box(x, y, WIDTH, tall(node), shade, "#ffffff")
    lines = [*_wrapped(node.title), *node.lines]
    titles = len(lines) - len(node.lines)
    start = middle(node) - (len(lines) - 1) * 7.5 + 4
    for number, line in enumerate(lines):
        bold = number < titles
        canvas.text(
            x + WIDTH / 2,
            start + number * 15,
            line,
            12.5 if bold else 10.5,
            "#263238" if bold else PLAIN,
            bold=bold,
        )


def _wrapped(title: str, most: int = 17) -> list[str]:
    if len(title) <= most or "-" not in title:
        return [title]
    head, _, tail = title.partition("-")
    return [head + "-", tail]


def _edges(canvas: Canvas, diagram: Diagram) -> None:
    nodes = {node.key: node for node in diagram.nodes}
    ports = _ports(diagram.edges, nodes)
    for edge in diagram.edges:
        start, end = nodes[edge.start], nodes[edge.end]
        canvas.path(_route(start, end, ports[edge]), edge.kind, edge.both)


def _ports(edges: list[Edge], nodes: dict[str, Node]) -> dict[Edge, tuple[float, float]]:
    """Where on its boxes' sides each edge begins and ends, spread so that they stay apart."""
    sides: dict[tuple[str, bool], list[tuple[float, Edge, bool]]] = defaultdict(list)
    for edge in edges:
        start, end = nodes[edge.start], nodes[edge.end]
        forward = start.column < end.column
        sides[edge.start, forward].append((middle(end), edge, True))
        sides[edge.end, not forward].append((middle(start), edge, False))
    found: dict[tuple[Edge, bool], float] = {}
    for (key, _), users in sides.items():
        node = nodes[key]
        users.sort(key=lambda user: user[0])
        for number, (_, edge, outgoing) in enumerate(users, 1):
            y = top(node) + tall(node) * number / (len(users) + 1)
            found[edge, outgoing] = _level(node, nodes[edge.end if outgoing else edge.start], y)
    return {edge: (found[edge, True], found[edge, False]) for edge in edges}


def _level(node: Node, other: Node, y: float) -> float:
    """A tall box meets a short one at the short one's height."""
    if node.rows > other.rows and top(node) <= middle(other) <= top(node) + tall(node):
        return middle(other)
    return y


def _route(start: Node, end: Node, ports: tuple[float, float]) -> str:
    y1, y2 = ports
    if {start.column, end.column} == {SOURCE, WORK}:
        return _over_the_top(start, end)
    if end.column == WORKFLOW and start.column > end.column:
        return _from_below(start, end, y1)
    if start.column == WORKFLOW and end.row >= start.row + start.rows:
        return _downwards(start, end, y2)
    forward = start.column < end.column
    x1 = left(start) + (WIDTH if forward else 0)
    x2 = left(end) + (0 if forward else WIDTH)
    bend = (x2 - x1) / 2
    return f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"


def _over_the_top(start: Node, end: Node) -> str:
    """Films go from the left edge to the jobs, above all that lies between."""
    lane = TOP - 40
    x1, x2 = left(start) + WIDTH / 2, left(end) - GAP_X / 2 + 6 * (1 - end.row)
    y = top(end) + 12
    return f"M{x1:g} {top(start):g} V{lane:g} H{x2:g} V{y:g} H{left(end):g}"


def _from_below(start: Node, end: Node, y: float) -> str:
    x = left(end) + WIDTH / 2 + 6 * (start.row % 3)
    return f"M{left(start):g} {y:g} H{x:g} V{top(end) + tall(end):g}"


def _downwards(start: Node, end: Node, y: float) -> str:
    x = left(start) + WIDTH / 2 - 14 * (1 + end.row % 3)
    return f"M{x:g} {top(start) + tall(start):g} V{y:g} H{left(end):g}"


def _legend(canvas: Canvas, width: float) -> None:
    x = width - MARGIN - 495
    for kind, words in LEGEND.items():
        canvas.path(f"M{x:g} 26 H{x + 30:g}", kind)
        canvas.text(x + 37, 30, words, 11, anchor="start")
        x += 75 + 6.2 * len(words)


def _inventory(canvas: Canvas, diagram: Diagram, y: float, width: float) -> float:
    """All resources by component: nothing that is deployed is left out."""
    total = sum(sum(kinds.values()) for kinds in diagram.inventory.values())
    canvas.text(MARGIN, y, f"All {total} resources, by component", 12.5, anchor="start", bold=True)
    for name, kinds in sorted(diagram.inventory.items()):
        y += 19
        canvas.text(MARGIN, y, name, 11, colour(name), "start", bold=True)
        words = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        for number, line in enumerate(_broken(words, int((width - 140) / 5.9))):
            y += 15 * (number > 0)
            canvas.text(MARGIN + 96, y, line, 10.5, PLAIN, "start")
    return y + 24


def _broken(words: str, most: int) -> list[str]:
    lines = [""]
    for part in words.split(", "):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > most:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] += (", " if lines[-1] else "") + part
    return lines
