"""`superres run`: upscale a video on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import Console
from cli.options import parse_options, setting_options
from cli.stacks.machine import PRECISIONS
from contracts.film import remarks

if TYPE_CHECKING:
    from cli.runs.upscale import RunResult


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Result: a file or a folder.")
@setting_options
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Parallel processing workers."
)
@click.option(
    "--precision",
    metavar=f"[{'|'.join(PRECISIONS)}]",
    default="auto",
    show_default=True,
    help="Number format of networks. auto: bfloat16 where the processor multiplies it in hardware.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Also write a before/after picture (PNG)."
)
@click.option("--force", is_flag=True, help="Overwrite the result if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, no progress.")
def run(
    video: Path,
    out: Path | None,
    workers: int,
    precision: str,
    picture: Path | None,
    force: bool,
    as_json: bool,
    **settings: str | None,
) -> None:
    """Upscale VIDEO through the whole pipeline on this machine; no AWS account is needed."""
    from cli.models.users_models import model_file
    from cli.runs.request import RunArguments, check_arguments
    from cli.runs.upscale import upscale

    console = Console(as_json)
    with console.exit_on_error():
        own = model_file(settings["model"]) if settings["model"] is not None else None
        if own is not None:
            settings["model"] = None
        request = check_arguments(
            RunArguments(
                video=video,
                out=out,
                settings=parse_options(settings),
                model_file=own,
                workers=workers,
                precision=precision,
                picture=picture,
                force=force,
            )
        )
        result = upscale(request, console)
        console.result(_data(result), _rows(result))


def _data(result: "RunResult") -> dict[str, Any]:
    report, picture = result.report, result.picture
    ledger = report.ledger
    return {
        "status": "SUCCEEDED",
        "job_id": result.job_id,
        "result": str(result.target),
        "picture": str(picture) if picture else None,
        "frames": ledger.frames_in_result,
        "concealed_frames": ledger.frames_concealed,
        "codec": report.encoder.codec.value,
        "width": report.output.width,
        "height": report.output.height,
        "duration_seconds": report.duration_seconds,
        "bytes": report.result_bytes,
        "sha256": report.result_sha256,
        "ledger": ledger.model_dump(mode="json"),
        "shards": [shard.model_dump(mode="json") for shard in report.shards],
        "stage_seconds": result.stage_seconds,
        "start_seconds": round(result.start_seconds, 3),
        "total_seconds": round(result.total_seconds, 3),
        "warm_start": result.warm,
        "logs": str(result.log_dir),
    }


def _rows(result: "RunResult") -> dict[str, str]:
    """For people: label and text of each line."""
    report, size = result.report, result.report.output
    ledger, before = report.ledger, f"{report.video.width}x{report.video.height}"
    stages = {name: seconds for name, seconds in result.stage_seconds.items() if seconds >= 0.01}
    rows = {
        "result": str(result.target),
        "picture": f"{report.encoder.codec.value}, {before} -> {size.width}x{size.height}, "
        f"{ledger.frames_in_result} frames, {report.duration_seconds:.2f} s, "
        f"{report.result_bytes / 1e6:.2f} MB",
        "ledger": f"{ledger.frames_planned} planned = {ledger.frames_decoded} decoded = "
        f"{ledger.frames_upscaled} upscaled = {ledger.frames_encoded} encoded = "
        f"{ledger.frames_in_result} in the result; {len(ledger.streams)} other streams kept, "
        f"{len(ledger.dropped)} dropped",
        "time": f"{result.total_seconds:.1f} s: start {result.start_seconds:.1f}, "
        + ", ".join(f"{name.lower()} {seconds:.1f}" for name, seconds in stages.items()),
        "logs": str(result.log_dir),
    }
    if result.picture is not None:
        rows["before/after"] = str(result.picture)
    rows |= {f"dropped {index}": why for index, why in remarks.dropped(ledger).items()}
    if ledger.frames_concealed:
        rows["concealed"] = remarks.concealed(ledger)
    if lost := remarks.not_held(ledger):
        rows["lost"] = lost
    return rows
