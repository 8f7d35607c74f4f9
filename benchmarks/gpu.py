"""`make bench-gpu`: measures models, number formats, modes and batches; writes its section.

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
from benchmarks.gpu_rates import (
    MODEL,
    SINK,
    Rate,
    RateEffort,
    RateSetup,
    measure_model,
    measure_stages,
)
from benchmarks.page import PAGE, provenance, write_section
from benchmarks.superres import table
from containers.upscaler.models.engines.execution import ExecutionMode, default_mode
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
class RateGoal:
    """Frames a second of 720p on an H100, the model alone."""

    model: ModelName
    fps: float
    fused: bool = False
    """Compiled by torch.compile; otherwise layer by layer or from a graph."""
    note: str = ""


GOALS = (
    RateGoal(ModelName.ANIMEVIDEOV3, 250),
    RateGoal(ModelName.ANIMEVIDEOV3, 390, fused=True),
    RateGoal(ModelName.ANIMEVIDEOV3, 520, fused=True, note=" (stretch)"),
    RateGoal(ModelName.X4PLUS, 12),
)
SHARE_GOAL = 90.0
"""Per cent: without an encoder, of the model's rate; with one, of what the slowest stage allows."""
IN_FLIGHT_FRAMES = 400


@dataclass(frozen=True)
class MeasurementPlan:
    """What to measure."""

    device: str
    cases: tuple[tuple[ModelName, int, int], ...]
    dtypes: tuple[str, ...]
    modes: tuple[ExecutionMode, ...]
    batches: tuple[int, ...]
    frames: int
    effort: RateEffort


def plan_measurement(device: str, *, quick: bool) -> MeasurementPlan:
    """Plan: no float16 on processors; if quick, no compiler, which takes half a minute."""
    cuda = device == "cuda"
    return MeasurementPlan(
        device=device,
        cases=QUICK_CASES if quick else MODEL_CASES,
        dtypes=("float16", "bfloat16") if cuda else ("float32",),
        modes=(ExecutionMode.EAGER, ExecutionMode.GRAPHS)
        if quick
        else (ExecutionMode.EAGER, ExecutionMode.GRAPHS, ExecutionMode.COMPILED),
        batches=(1, 2) if quick else (1, 4, 8),
        frames=6 if quick else IN_FLIGHT_FRAMES,
        effort=RateEffort(rounds=2, seconds=0.01) if quick else RateEffort(rounds=5, seconds=2.0),
    )


def measure_rates(p: MeasurementPlan) -> Iterator[Rate]:
    """Yield each rate when it is measured: the model's for each setup, then that of the stages with
    the fastest setup.
    """
    for model, width, height in p.cases:
        found: list[Rate] = []
        for dtype in p.dtypes:
            for batch in p.batches:
                setup = RateSetup(model, width, height, dtype, batch, _kind(p.device))
                for rate in measure_model(setup, list(p.modes), p.effort):
                    found.append(rate)
                    yield rate
                if p.device == "cuda":
                    torch.cuda.empty_cache()
        mode = default_mode(p.device)
        usable = [rate for rate in found if rate.execution is mode]
        if usable:
            best = max(usable, key=lambda rate: rate.fps).setup
            yield from measure_stages(best, mode, frames=p.frames, effort=p.effort)


def _kind(device: str) -> Literal["cpu", "cuda"]:
    return "cuda" if device == "cuda" else "cpu"


def rate_share_of_peak(rate: Rate) -> float | None:
    """Return the rate as a share of the device's dense float16 peak; None if that is unknown."""
    s = rate.setup
    size = (s.width, s.height)
    return cards.share_of_peak(rate.device, rate.fps, model=CATALOGUE[s.model], size=size)


def as_json(rate: Rate) -> dict[str, object]:
    """Return the fields of the rate's JSON object."""
    setup = dataclasses.asdict(rate.setup)
    return {
        **setup,
        "what": rate.what,
        "execution": rate.execution.value,
        "device_name": rate.device,
        "fps": round(rate.fps, 3),
        "rounds": [round(value, 3) for value in rate.rounds],
        "share_of_peak": rate_share_of_peak(rate),
        "bound_by": rate.bound_by,
        "device_share": rate.device_share,
        "of_slowest": rate.of_slowest,
    }


def rates_text(rates: list[Rate], *, goals: bool) -> str:
    """Format every rate, the goals and the prices in Markdown."""
    rows = [
        (
            r.setup.model.value, f"{r.setup.width}x{r.setup.height}", r.what, r.setup.dtype,
            r.execution.value, str(r.setup.batch), f"{r.fps:.2f}",
            f"{min(r.rounds):.2f} to {max(r.rounds):.2f}", _percent(rate_share_of_peak(r)),
            r.bound_by, _percent(r.device_share), _percent(r.of_slowest),
        )
        for r in rates
    ]  # fmt: skip
    header = (
        "model", "source", "what", "format", "run", "batch", "frames/s", "rounds", "of peak",
        "bound by", "device busy", "of slowest",
    )  # fmt: skip
    about = (
        f"x4; medians of {len(rates[0].rounds)} rounds, in which all ways to run take turns. The "
        "model alone computes pictures that lie on the device; the other rows take pictures from "
        "memory through the worker's stages. Of peak: share of the card's dense float16 rate "
        "(benchmarks/cards.py). Of slowest: share of what the slowest stage alone would allow."
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


def find_fastest(rates: list[Rate], what: str, *, model: ModelName, lines: int) -> Rate | None:
    """Return the fastest rate of a kind, model and number of lines; None if there is none."""
    fitting = [
        r for r in rates
        if r.what == what and r.setup.model is model and r.setup.height == lines
    ]  # fmt: skip
    return max(fitting, key=lambda r: r.fps, default=None)


def goals_text(rates: list[Rate]) -> str:
    """Format for each goal (for an H100) whether it was reached."""
    lines: list[str] = []
    plain = [r for r in rates if r.execution is not ExecutionMode.COMPILED]
    fused = [r for r in rates if r.execution is ExecutionMode.COMPILED]
    for goal in GOALS:
        if row := find_fastest(fused if goal.fused else plain, MODEL, model=goal.model, lines=720):
            what = f"{MODEL}, compiled{goal.note}" if goal.fused else MODEL
            lines.append(_goal(f"{goal.model.value} 720p, {what}", row.fps, goal.fps))
    for model, _, height in MODEL_CASES:
        alone = find_fastest(plain, MODEL, model=model, lines=height)
        sunk = find_fastest(rates, SINK, model=model, lines=height)
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
    """Format prices on other cards, by arithmetic; empty if the device's peak is unknown."""
    rows: list[tuple[str, ...]] = []
    for model, height in dict.fromkeys((r.setup.model, r.setup.height) for r in rates):
        row = find_fastest(rates, SINK, model=model, lines=height)
        part = rate_share_of_peak(row) if row else None
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
    parser.add_argument(
        "--quick",
        action="store_true",
        help="measure small pictures; print the text but write no document",
    )
    parser.add_argument(
        "--json", action="store_true", help="print an object for each rate when it is measured"
    )
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this on a GPU machine, or add --device cpu --quick")
    rates: list[Rate] = []
    for rate in measure_rates(plan_measurement(arguments.device, quick=arguments.quick)):
        rates.append(rate)
        line = json.dumps(as_json(rate))
        (sys.stdout if arguments.json else sys.stderr).write(line + "\n")
    text = f"{describe_device(rates)}\n\n{rates_text(rates, goals=not arguments.quick)}"
    if not arguments.json:
        print(text)
    if not arguments.quick and arguments.device == "cuda":
        write_section(SECTION, text, PAGE)


def describe_device(rates: list[Rate]) -> str:
    """Format the device, the day and the versions."""
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    return f"Device: {rates[0].device}{cuda}. {provenance('torch', 'av', 'numpy')}"


if __name__ == "__main__":
    main()
