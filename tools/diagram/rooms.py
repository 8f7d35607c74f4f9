"""The rooms as a picture: which package imports which, walked from the syntax trees.

A house is a package with the rooms inside it. Its rooms stand on floors, the ones that others build
on at the bottom, so that every arrow points down.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tools.diagram.svg import MARGIN, PLAIN, Canvas
from tools.source import PACKAGES, files, imports, module_of

Arrows = Mapping[str, set[str]]
"""From each room to the rooms beside it that it imports."""

TITLE = "Superres: the rooms and what they import"
PAGE = 1200.0
"""Width of the picture's contents."""
NAME, PAD, GAP_X, GAP_Y, HEIGHT = 24, 10, 14, 26, 28
"""Height of a name line, space around and between rooms, and height of a room without others."""
SHADES = {
    "contracts": "#37474f",
    "components": "#1565c0",
    "lambdas": "#c2570c",
    "containers": "#2e7d32",
    "cli": "#ad1457",
    "local": "#6a1b9a",
    "policy": "#546e7a",
}


@dataclass
class Room:
    """A package: the rooms inside it by floor, the highest first, and the arrows between them."""

    name: str
    """Dotted, e.g. `containers.media`; empty for the whole repository."""
    floors: list[list["Room"]] = field(default_factory=list)
    arrows: list[tuple["Room", "Room"]] = field(default_factory=list)
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0

    @property
    def title(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def rooms(self) -> list["Room"]:
        return [room for floor in self.floors for room in floor]


def rooms_picture() -> str:
    """The SVG of all rooms; the same code gives the same text."""
    whole = rooms_of_repository()
    place_rooms(whole)
    return draw(whole)


def rooms_of_repository() -> Room:
    """All packages that run, not yet placed."""
    paths = [path for package in PACKAGES for path in files(package)]
    return house({module_of(path): path.read_text() for path in paths})


def house(sources: Mapping[str, str]) -> Room:
    """The whole repository as one house, from the text of its modules by dotted name."""
    known = {prefix for module in sources for prefix in prefixes(module.rpartition(".")[0])}
    links: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, source in sources.items():
        for _, name in imports(source, module):
            here, there = innermost(module, known), innermost(name, known)
            if here and there and (pair := neighbours(here, there)):
                parent, start, end = pair
                links[parent][start].add(end)
    return build("", known, links)


def prefixes(name: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def innermost(name: str, known: set[str]) -> str:
    """The deepest room that a dotted name lies in; empty if in none."""
    return max((p for p in prefixes(name) if p in known), key=len, default="")


def neighbours(start: str, end: str) -> tuple[str, str, str] | None:
    """(house, room, room): the rooms beside each other in which two places lie.

    None if one lies inside the other.
    """
    ways = prefixes(start), prefixes(end)
    for index, (a, b) in enumerate(zip(*ways, strict=False)):
        if a != b:
            return (ways[0][index - 1] if index else ""), a, b
    return None


def build(name: str, known: set[str], links: Mapping[str, Arrows]) -> Room:
    inside = sorted(n for n in known if n and n.rpartition(".")[0] == name)
    rooms = {n: build(n, known, links) for n in inside}
    arrows = {n: set(links.get(name, {}).get(n, ())) for n in inside}
    levels: dict[int, list[Room]] = defaultdict(list)
    for room, number in floors(arrows).items():
        levels[number].append(rooms[room])
    return Room(
        name=name,
        floors=[levels[number] for number in sorted(levels, reverse=True)],
        arrows=[(rooms[a], rooms[b]) for a, b in needed(arrows)],
    )


def floors(arrows: Arrows) -> dict[str, int]:
    """The floor of each room: one above the highest that it imports.

    Raises ValueError if rooms import each other in a circle.
    """
    found: dict[str, int] = {}
    while len(found) < len(arrows):
        ready = [n for n, ends in arrows.items() if n not in found and ends <= found.keys()]
        if not ready:
            circle = sorted(arrows.keys() - found.keys())
            raise ValueError(f"rooms import each other in a circle: {', '.join(circle)}")
        found |= {n: 1 + max((found[end] for end in arrows[n]), default=-1) for n in ready}
    return found


def needed(arrows: Arrows) -> list[tuple[str, str]]:
    """The arrows that no longer way implies."""

    def reach(start: str) -> set[str]:
        return {end for near in arrows[start] for end in {near, *reach(near)}}

    return [
        (start, end)
        for start in arrows
        for end in sorted(arrows[start])
        if not any(end in reach(near) for near in arrows[start] - {end})
    ]


def place_rooms(whole: Room) -> None:
    """Give every room its place on the page."""
    measure(whole)
    whole.floors = [row for floor in whole.floors for row in break_floor(floor)]
    measure(whole)
    place(whole, MARGIN - PAD, 40 - NAME, PAGE + 2 * PAD)


def draw(whole: Room) -> str:
    canvas = Canvas()
    canvas.text(MARGIN, 30, TITLE, 17, anchor="start", bold=True)
    words = "An arrow shows an import. Arrows that others imply are left out."
    canvas.text(MARGIN + PAGE, 30, words, 11, PLAIN, "end")
    for room in whole.rooms:
        paint(canvas, room, SHADES.get(room.name, PLAIN), 0)
    lines(canvas, whole)
    return canvas.document(PAGE + 2 * MARGIN, whole.y + whole.height + PAD, TITLE)


def break_floor(floor: Iterable[Room]) -> list[list[Room]]:
    """Rows of a floor that is too wide for the page, the tallest rooms first."""
    rows: list[list[Room]] = []
    for room in sorted(floor, key=lambda r: (-r.height, -r.width, r.name)):
        for row in rows:
            if sum(r.width + GAP_X for r in row) + room.width <= PAGE:
                row.append(room)
                break
        else:
            rows.append([room])
    return rows


def measure(room: Room) -> None:
    """The least width and height of a room, from those inside it."""
    for inner in room.rooms:
        measure(inner)
    name = 7.4 * len(room.title) + 2 * PAD
    rows = [sum(r.width for r in floor) + GAP_X * (len(floor) - 1) for floor in room.floors]
    room.width = max([name, *(row + 2 * PAD for row in rows)])
    heights = [max(r.height for r in floor) for floor in room.floors]
    inside = sum(heights) + GAP_Y * (len(heights) - 1) + NAME + PAD
    room.height = inside if heights else HEIGHT


def place(room: Room, x: float, y: float, width: float) -> None:
    """Put a room at a place; its floors fill it from wall to wall and from top to bottom."""
    room.x, room.y, room.width = x, y, width
    heights = [max(r.height for r in floor) for floor in room.floors]
    spare = room.height - NAME - PAD - sum(heights)
    gap = min(max(GAP_Y, spare / max(len(heights) - 1, 1)), 2.5 * GAP_Y)
    top = y + NAME
    for floor, height in zip(room.floors, heights, strict=True):
        left, natural = x + PAD, sum(r.width for r in floor)
        wide = width - 2 * PAD - GAP_X * (len(floor) - 1)
        for inner in floor:
            inner.height = height
            place(inner, left, top, inner.width / natural * wide)
            left += inner.width + GAP_X
        top += height + gap


def paint(canvas: Canvas, room: Room, shade: str, depth: int) -> None:
    canvas.parts.append(
        f'<rect x="{room.x:.1f}" y="{room.y:.1f}" width="{room.width:.1f}" '
        f'height="{room.height:.1f}" rx="6" fill="{shade}" fill-opacity="0.07" '
        f'stroke="{shade}" stroke-width="{1.8 if depth == 0 else 1}"/>'
    )
    middle = room.x + room.width / 2
    baseline = room.y + (17 if room.floors else room.height / 2 + 4)
    canvas.text(middle, baseline, room.title, 13 if depth == 0 else 11.5, shade, bold=depth < 2)
    for inner in room.rooms:
        paint(canvas, inner, shade, depth + 1)
    lines(canvas, room)


def lines(canvas: Canvas, house: Room) -> None:
    """The arrows between the rooms of a house, straight down where nothing is in the way."""
    for start, end in house.arrows:
        top, bottom = start.y + start.height, end.y - 1
        obstacles = [r for r in house.rooms if r.y >= top and r.y + r.height <= end.y]
        left, right = max(start.x, end.x), min(start.x + start.width, end.x + end.width)
        if (x := clear(left, right, obstacles)) is not None:
            canvas.path(f"M{x:.1f} {top:.1f} V{bottom:.1f}", "hands on")
            continue
        middle = start.x + start.width / 2
        x = clear(end.x, end.x + end.width, obstacles) or end.x + end.width / 2
        across = top + GAP_Y / 2
        canvas.path(f"M{middle:.1f} {top:.1f} V{across:.1f} H{x:.1f} V{bottom:.1f}", "hands on")


def clear(left: float, right: float, obstacles: list[Room]) -> float | None:
    """The middle of the widest way down between obstacles; None if there is none."""
    ways, edge = [], left
    for room in sorted(obstacles, key=lambda r: r.x):
        ways.append((edge, min(room.x, right)))
        edge = max(edge, room.x + room.width)
    ways.append((edge, right))
    begin, end = max(ways, key=lambda way: way[1] - way[0])
    return (begin + end) / 2 if end - begin >= 8 else None
