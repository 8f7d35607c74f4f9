"""`make bench-gpu`: models, formats, ways to run and batches on a GPU; writes its section.

`--device cpu --quick` runs the same code on a processor with small pictures.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks import cards
from benchmarks.gpu_rates import MODEL, SINK, Effort, Rate, Setup, model_rates, pipeline_rates
from benchmarks.page import PAGE, provenance, write_section
from benchmarks.superres import table
from containers.upscaler.models.engines.execution import Execution, usual
from contracts.models import CATALOGUE, ModelName

SECTION = "gpu"
MODEL_CASES = (
    (ModelName.ANIMEVIDEOV3, 1280, 720),
    (ModelName.ANIMEVIDEOV3, 1920, 1080),
    (ModelName.X4PLUS_ANIME, 1280, 720),
    (ModelName.X4PLUS, 1280, 720),
)
QUICK_CASES = ((ModelName.ANIMEVIDEOV3, 48, 32),)


@dataclass(frozen=True)
class Goal:
    """Frames a second of 720p on an H100, the model alone."""

    model: ModelName
    fps: float
    fused: bool = False
    """By `torch.compile`; else as PyTorch runs it, layer by layer or from a graph."""
    note: str = ""


GOALS = (
    Goal(ModelName.ANIMEVIDEOV3, 250),
    Goal(ModelName.ANIMEVIDEOV3, 390, fused=True),
    Goal(ModelName.ANIMEVIDEOV3, 520, fused=True, note=" (stretch)"),
    Goal(ModelName.X4PLUS, 12),
)
SHARE_GOAL = 90.0
"""Per cent: into the null sink of the model's rate, with an encoder of what the slowest allows."""
IN_FLIGHT_FRAMES = 400


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    device: str
    cases: tuple[tuple[ModelName, int, int], ...]
    dtypes: tuple[str, ...]
    executions: tuple[Execution, ...]
    batches: tuple[int, ...]
    frames: int
    effort: Effort


def plan(device: str, *, quick: bool) -> Plan:
    """On processors without float16 and, quickly, without the compiler that takes half a minute."""
    cuda = device == "cuda"
    return Plan(
        device=device,
        cases=QUICK_CASES if quick else MODEL_CASES,
        dtypes=("float16", "bfloat16") if cuda else ("float32",),
        executions=(Execution.EAGER, Execution.GRAPHS)
        if quick
        else (Execution.EAGER, Execution.GRAPHS, Execution.COMPILED),
        batches=(1, 2) if quick else (1, 4, 8),
        frames=6 if quick else IN_FLIGHT_FRAMES,
        effort=Effort(rounds=2, seconds=0.01) if quick else Effort(rounds=5, seconds=2.0),
    )


def measure(p: Plan) -> Iterator[Rate]:
    """Rows as they come: for each setup the model, then the pipeline with what was fastest."""
    for model, width, height in p.cases:
        found: list[Rate] = []
        for dtype in p.dtypes:
            for batch in p.batches:
                setup = Setup(model, width, height, dtype, batch, _kind(p.device))
                for rate in model_rates(setup, list(p.executions), p.effort):
                    found.append(rate)
                    yield rate
                if p.device == "cuda":
                    torch.cuda.empty_cache()
        workers = [rate for rate in found if rate.execution is usual(p.device)]
        if workers:
            best = max(workers, key=lambda rate: rate.fps).setup
            yield from pipeline_rates(best, usual(p.device), p.frames, p.effort)


def _kind(device: str) -> Literal["cpu", "cuda"]:
    return "cuda" if device == "cuda" else "cpu"


def share(rate: Rate) -> float | None:
    """Of the device's dense float16 peak."""
    s = rate.setup
    return cards.share_of_peak(rate.device, rate.fps, CATALOGUE[s.model], (s.width, s.height))


def as_json(rate: Rate) -> dict[str, object]:
    setup = dataclasses.asdict(rate.setup)
    return {
        **setup,
        "what": rate.what,
        "execution": rate.execution.value,
        "device_name": rate.device,
        "fps": round(rate.fps, 3),
        "rounds": [round(value, 3) for value in rate.rounds],
        "share_of_peak": share(rate),
        "bound_by": rate.bound_by,
        "device_share": rate.device_share,
        "of_slowest": rate.of_slowest,
    }


def rates_text(rates: list[Rate], *, goals: bool) -> str:
    """Markdown: every row, the goals, and what it means in money."""
    rows = [
        (
            r.setup.model.value, f"{r.setup.width}x{r.setup.height}", r.what, r.setup.dtype,
            r.execution.value, str(r.setup.batch), f"{r.fps:.2f}",
            f"{min(r.rounds):.2f} to {max(r.rounds):.2f}", _percent(share(r)), r.bound_by,
            _percent(r.device_share), _percent(r.of_slowest),
        )
        for r in rates
    ]  # fmt: skip
    header = (
        "model", "source", "what", "format", "run", "batch", "frames/s", "rounds", "of peak",
        "bound by", "device busy", "of slowest",
    )  # fmt: skip
    about = (
        f"x4; medians of {len(rates[0].rounds)} rounds, in which all ways to run take turns. The "
        "model alone computes pictures that lie on the device; the others go from pictures in "
        "memory through the worker's own stages. Of peak: of the card's dense float16 rate "
        "(benchmarks/cards.py). Of slowest: of what the slowest stage would allow alone."
    )
    parts = [
        about,
        table(header, rows),
        *([goals_text(rates)] if goals else []),
        money_text(rates),
    ]
    return "\n\n".join(part for part in parts if part)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def best(rates: list[Rate], what: str, model: ModelName, lines: int) -> Rate | None:
    """The fastest row of its kind."""
    fitting = [
        r for r in rates
        if r.what == what and r.setup.model is model and r.setup.height == lines
    ]  # fmt: skip
    return max(fitting, key=lambda r: r.fps, default=None)


def goals_text(rates: list[Rate]) -> str:
    """One sentence a goal (for an H100), reached or not."""
    lines: list[str] = []
    plain = [r for r in rates if r.execution is not Execution.COMPILED]
    fused = [r for r in rates if r.execution is Execution.COMPILED]
    for goal in GOALS:
        if row := best(fused if goal.fused else plain, MODEL, goal.model, 720):
            what = f"{MODEL}, compiled{goal.note}" if goal.fused else MODEL
            lines.append(_goal(f"{goal.model.value} 720p, {what}", row.fps, goal.fps))
    for model, _, height in MODEL_CASES:
        alone, sunk = best(plain, MODEL, model, height), best(rates, SINK, model, height)
        if alone and sunk:
            part = 100 * sunk.fps / alone.fps
            what = f"{model.value} {height}p, {SINK}, % of the model"
            lines.append(_goal(what, part, SHARE_GOAL))
    for r in rates:
        if r.what not in (MODEL, SINK) and r.of_slowest is not None:
            what = f"{r.setup.model.value} {r.setup.height}p, {r.what}, % of the slowest stage"
            lines.append(_goal(what, 100 * r.of_slowest, SHARE_GOAL))
    return "\n".join(lines)


def _goal(what: str, found: float, goal: float) -> str:
    verdict = "reached" if found >= goal else "not reached"
    return f"- {what}: {found:.1f}; goal on an H100 {goal:g}: {verdict}."


def money_text(rates: list[Rate]) -> str:
    """Dollars on other cards, by arithmetic; nothing where the device's peak is not known."""
    rows: list[tuple[str, ...]] = []
    for model, height in dict.fromkeys((r.setup.model, r.setup.height) for r in rates):
        row = best(rates, SINK, model, height)
        part = share(row) if row else None
        if row is None or part is None:
            continue
        size = row.setup.width, row.setup.height
        rows += [
            (model.value, f"{height}p", p.card, f"{p.frames_per_second:.2f}",
             f"{p.dollars_per_minute:.4f}")
            for p in cards.prices(part, CATALOGUE[model], size)
        ]  # fmt: skip
    if not rows:
        return ""
    header = ("model", "source", "card", "frames/s", "dollars a minute of film")
    return (
        "**By arithmetic, not measured**: other cards at the same share of their own peak, on "
        f"demand, {cards.FILM_RATE} frames a second of film, the encoder not counted.\n\n"
        + table(header, rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small pictures; prints, no document")
    parser.add_argument("--json", action="store_true", help="an object a row, as they come")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this on a GPU machine, or add --device cpu --quick")
    rates: list[Rate] = []
    for rate in measure(plan(arguments.device, quick=arguments.quick)):
        rates.append(rate)
        line = json.dumps(as_json(rate))
        (sys.stdout if arguments.json else sys.stderr).write(line + "\n")
    text = f"{where(rates)}\n\n{rates_text(rates, goals=not arguments.quick)}"
    if not arguments.json:
        print(text)
    if not arguments.quick and arguments.device == "cuda":
        write_section(SECTION, text, PAGE)


def where(rates: list[Rate]) -> str:
    """The day, the device and the versions."""
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    return f"Device: {rates[0].device}{cuda}. {provenance('torch', 'av', 'numpy')}"


if __name__ == "__main__":
    main()
