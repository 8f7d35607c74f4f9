"""Draws line charts as SVG, in the reader's light or dark scheme: panels side by side."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 40, 48
LEGEND_LINE = 18
LABEL_WIDTH = 32
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
COLOURS = (
    ("#1565c0", "#8ab4f8"),
    ("#c2570c", "#ffb077"),
    ("#2e7d32", "#8fd694"),
    ("#ad1457", "#ff9ec4"),
)
"""(on light paper, on dark paper) of each line."""
STEPS = (1, 2, 2.5, 5, 10)
Points = Sequence[tuple[float, float]]
Scale = Callable[[float], float]
"""Maps a value to its place in the panel."""


@dataclass(frozen=True)
class Panel:
    """One chart; `x` and `y` name its axes."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]
    logarithmic: bool = False
    """Whether x is; y is linear and begins at 0."""


def draw_chart(panels: Sequence[Panel], about: str) -> str:
    """Draw an SVG document; screen readers read `about`."""
    legend = LEGEND_LINE * max(len(panel.lines) for panel in panels)
    width, height = WIDTH * len(panels), HEIGHT + legend + 8
    styles = "".join(f".l{n}{{--c:{light}}}" for n, (light, _) in enumerate(COLOURS))
    dark = "".join(f".l{n}{{--c:{dark}}}" for n, (_, dark) in enumerate(COLOURS))
    body = "\n".join(
        f'<g transform="translate({number * WIDTH} 0)">\n{_draw_panel(panel)}\n</g>'
        for number, panel in enumerate(panels)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}" role="img" aria-label="{escape(about, quote=True)}" \
font-family="{FONT}" font-size="12">
<title>{escape(about)}</title>
<style>
.paper{{fill:#fff}} text{{fill:#263238}} .grid{{stroke:#d5dade}} .axis{{stroke:#546e7a}}
.line{{stroke:var(--c);stroke-width:2;fill:none}} .dot{{fill:var(--c)}} {styles}
@media (prefers-color-scheme:dark){{
.paper{{fill:#15181c}} text{{fill:#e8e8e6}} .grid{{stroke:#363c44}} .axis{{stroke:#90a4ae}} {dark}}}
</style>
<rect class="paper" width="{width}" height="{height}"/>
{body}
</svg>
"""


def ticks(highest: float) -> list[float]:
    """Choose about five round numbers from 0 to at least `highest`."""
    rough = max(highest, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in STEPS if s * power >= rough * (1 - 1e-9))
    return [step * n for n in range(math.ceil(highest / step - 1e-9) + 1)]


def _draw_panel(panel: Panel) -> str:
    xs = sorted({x for points in panel.lines.values() for x, _ in points})
    marks = ticks(max(y for points in panel.lines.values() for _, y in points))
    place_x, place_y = _scale_x(xs, logarithmic=panel.logarithmic), _scale_y(marks[-1])
    title = escape(panel.title)
    parts = [f'<text x="{LEFT}" y="20" font-size="14" font-weight="600">{title}</text>']
    for mark in marks:
        y = place_y(mark)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:,g}</text>'
        )
    bottom = HEIGHT - BOTTOM
    written = -math.inf
    for x in xs:
        place = place_x(x)
        parts.append(f'<path class="axis" d="M{place:.1f} {bottom}v4"/>')
        if place - written >= LABEL_WIDTH:
            written = place
            label = f'<text x="{place:.1f}" y="{bottom + 18}" text-anchor="middle">{x:,g}</text>'
            parts.append(label)
    turned = f'transform="translate(14 {(TOP + bottom) / 2}) rotate(-90)"'
    centre = (LEFT + WIDTH - RIGHT) / 2
    parts += [
        f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>',
        f'<text x="{centre}" y="{bottom + 36}" text-anchor="middle">{escape(panel.x)}</text>',
        f'<text {turned} text-anchor="middle">{escape(panel.y)}</text>',
    ]
    for number, (name, points) in enumerate(panel.lines.items()):
        placed = [(place_x(x), place_y(y)) for x, y in points]
        parts.append(_line(number, name, placed))
    return "\n".join(parts)


def _line(number: int, name: str, placed: Points) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    dots = "".join(_dot(number, x, y) for x, y in placed)
    y = HEIGHT + number * LEGEND_LINE
    return (
        f'<g class="l{number}"><path class="line" d="{path}"/>{dots}'
        f'<path class="line" d="M{LEFT} {y}h24"/>{_dot(number, LEFT + 12, y)}'
        f'<text x="{LEFT + 32}" y="{y + 4}">{escape(name)}</text></g>'
    )


def _dot(number: int, x: float, y: float) -> str:
    """Draw a shape, different for each line, for readers who cannot distinguish colours."""
    shapes = ("M-4 -4h8v8h-8z", "M0 -5L5 4H-5z", "M0 -5L5 0L0 5L-5 0z", "M-5 -4H5L0 5z")
    return f'<path class="dot" transform="translate({x:.1f} {y:.1f})" d="{shapes[number]}"/>'


def _scale_x(xs: Sequence[float], *, logarithmic: bool) -> Scale:
    def value(x: float) -> float:
        return math.log(x) if logarithmic else x

    low, high = value(xs[0]), value(xs[-1])
    inner = WIDTH - LEFT - RIGHT - 32
    return lambda x: LEFT + 16 + inner * (value(x) - low) / ((high - low) or 1)


def _scale_y(highest: float) -> Scale:
    return lambda y: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / highest
