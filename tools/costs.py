"""Tables of docs/cost.md, made from the program's resources and contracts/pricing.py."""

from collections.abc import Mapping, Sequence

from components.settings import StackSettings, parse_settings
from contracts.models import CATALOGUE, ModelName
from contracts.names import Stage
from contracts.planning import output_size
from contracts.pricing import (
    FilmMeasures,
    IdleStack,
    Rates,
    film_cost,
    fleet_dollars,
    idle_month,
    total,
)
from tests.infra.support.recorder import (
    Deployment,
    Recorded,
    deployment,
    run_program,
    stack_config,
)
from tools.settings import STACKS

PRODUCTION = "prod"
VARIANTS: dict[str, dict[str, str]] = {
    "`network: public`": {"superres:network": "public"},
    "`encryption: kms`": {"superres:encryption": "kms"},
    "`alarms: false`": {"superres:alarms": "false"},
    "`dashboard: false`": {"superres:dashboard": "false"},
    "`spot_fleet: true`": {"superres:spot_fleet": "true"},
}
STANDING_METRICS = 1 + len(Stage)
"""Metrics that each round of the reconciler emits: running jobs, and every stage's longest wait."""

MINUTES = 10
FILMS: dict[str, FilmMeasures] = {
    "640x360, 24 fps": FilmMeasures(
        width=640, height=360, frames_per_second=24, seconds=60 * MINUTES, bytes=60e6
    ),
    "1280x720, 24 fps": FilmMeasures(
        width=1280, height=720, frames_per_second=24, seconds=60 * MINUTES, bytes=300e6
    ),
    "1920x1080, 24 fps": FilmMeasures(
        width=1920, height=1080, frames_per_second=24, seconds=60 * MINUTES, bytes=600e6
    ),
    "1920x1080, 60 fps": FilmMeasures(
        width=1920, height=1080, frames_per_second=60, seconds=60 * MINUTES, bytes=900e6
    ),
}
EXAMPLE = "1280x720, 24 fps"


def settings_of(stack: str) -> StackSettings:
    prefix = "superres:"
    config = stack_config(stack)
    return parse_settings(
        {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}
    )


def standing(stack: Deployment) -> IdleStack:
    """What a deployed stack holds while no film is in it."""
    (rate,) = [r for r in stack.of("EventRule") if r.inputs.get("scheduleExpression")]
    minutes = int("".join(filter(str.isdigit, rate.inputs["scheduleExpression"])))
    interfaces = [
        e.inputs["subnetIds"]
        for e in stack.of("VpcEndpoint")
        if e.inputs.get("vpcEndpointType") == "Interface"
    ]
    return IdleStack(
        keys=len(stack.of("Key")),
        alarm_metrics=len(stack.of("MetricAlarm")),
        dashboards=len(stack.of("Dashboard")),
        standing_metrics=STANDING_METRICS,
        endpoint_zones=sum(len(subnets) for subnets in interfaces),
        reconciler_minutes=minutes,
        fleet_dollars_per_hour=sum(_fleet_dollars(stack, r) for r in stack.of("SpotFleetRequest")),
    )


def _fleet_dollars(stack: Deployment, request: Recorded) -> float:
    (template,) = [t for t in stack.of("LaunchTemplate") if t.name == request.name]
    (disk,) = template.inputs["blockDeviceMappings"]
    (config,) = request.inputs["launchTemplateConfigs"]
    on_demand = int(request.inputs["onDemandTargetCapacity"])
    return fleet_dollars(
        sorted({place["instanceType"] for place in config["overrides"]}),
        int(request.inputs["targetCapacity"]) - on_demand,
        on_demand,
        scratch_gib=int(disk["ebs"]["volumeSize"]),
    )


def idle_table() -> str:
    stacks = {f"{stack} as it is": deployment(stack) for stack in STACKS}
    config = stack_config(PRODUCTION)
    varied = {
        f"{PRODUCTION} with {name}": run_program(PRODUCTION, {**config, **change})
        for name, change in VARIANTS.items()
    }
    rows = {name: idle_month(standing(d)) for name, d in {**stacks, **varied}.items()}
    return _table("dollars a month", rows, digits=2)


def rates_of(settings: StackSettings) -> Rates:
    return Rates(
        worker_dollars_per_hour=settings.worker_price or 0.0,
        worker_gflops=settings.worker_gflops,
        media_dollars_per_hour=settings.media_price or 0.0,
        intermediate_days=settings.intermediate_days,
    )


def rates_table() -> str:
    lines = [
        "| stack | a worker | dollars an hour | GFLOP/s counted on | a media job an hour |",
        "| --- " * 5 + "|",
    ]
    for stack in STACKS:
        settings = settings_of(stack)
        counted = rates_of(settings)
        kind = f"{settings.worker_vcpus} vCPUs, {settings.worker_gpus} GPU"
        lines.append(
            f"| {stack} | {kind} | {counted.worker_dollars_per_hour:.3f} "
            f"| {counted.worker_gflops:,.0f} | {counted.media_dollars_per_hour:.3f} |"
        )
    return "\n".join(lines)


def film_table() -> str:
    """Dollars of one minute of film on production's workers, by model and scale."""
    counted = rates_of(settings_of(PRODUCTION))
    columns = [
        (ModelName.ANIMEVIDEOV3, 2), (ModelName.ANIMEVIDEOV3, 4),
        (ModelName.X4PLUS_ANIME, 4), (ModelName.X4PLUS, 4),
    ]  # fmt: skip
    heads = [f"{model.value} x{scale}" for model, scale in columns]
    lines = ["| source | " + " | ".join(heads) + " |", "| --- " * (len(heads) + 1) + "|"]
    for source, film in FILMS.items():
        sizes = [output_size(film.width, film.height, scale) for _, scale in columns]
        models = [CATALOGUE[name] for name, _ in columns]
        costs = [
            total(film_cost(film, size, model, counted)) / MINUTES
            for size, model in zip(sizes, models, strict=True)
        ]
        lines.append(f"| {source} | " + " | ".join(f"{cost:.4f}" for cost in costs) + " |")
    return "\n".join(lines)


def example_table() -> str:
    model, film = CATALOGUE[ModelName.ANIMEVIDEOV3], FILMS[EXAMPLE]
    size = output_size(film.width, film.height, 4)
    rows = {
        f"{stack}": film_cost(film, size, model, rates_of(settings_of(stack))) for stack in STACKS
    }
    return _table("dollars", rows, digits=5)


def _table(unit: str, rows: Mapping[str, Mapping[str, float]], digits: int) -> str:
    parts: Sequence[str] = list(next(iter(rows.values())))
    lines = [f"| {unit} | " + " | ".join(parts) + " | together |"]
    lines.append("| --- " * (len(parts) + 2) + "|")
    for name, costs in rows.items():
        numbers = [costs[part] for part in parts] + [total(costs)]
        lines.append(f"| {name} | " + " | ".join(f"{n:.{digits}f}" for n in numbers) + " |")
    return "\n".join(lines)
