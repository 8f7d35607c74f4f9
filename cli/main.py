"""Entry point: arguments in, exit code out."""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click

from cli.commands.promote import promote
from cli.errors import JobError, UserError
from cli.output import Output
from contracts.base import ContractError
from contracts.film import remarks
from contracts.job import Codec, Container, Settings
from contracts.models import ModelName

MODEL_HELP = (
    f"One of {', '.join(ModelName)}, or your own: a .safetensors or .pth file of any network that "
    "spandrel knows.  [default: animevideov3]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="superres")
def cli() -> None:
    """Video super-resolution: a film in, the same film larger out, every frame accounted for."""


cli.add_command(promote)


@cli.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Result: a file or a folder.")
@click.option("--model", help=MODEL_HELP)
@click.option("--scale", help="2, 3 or 4.  [default: 2]")
@click.option("--fit", help="Lines of the result, such as 2160p, instead of a scale.")
@click.option("--strength", help="Share of the network, 0 to 1; the rest is Lanczos.  [default: 1]")
@click.option("--grain", help="keep the source's, or levels of 8 bits such as 2.5.")
@click.option("--codec", help=f"One of {', '.join(Codec)}.  [default: h264]")
@click.option("--quality", help="Constant rate factor; lower is better, 0 lossless for h264.")
@click.option("--preset", help="The encoder's preset, such as fast; of prores the profile.")
@click.option("--pixel-format", help="Such as yuv422p10le.  [default: the source's depth, 4:2:0]")
@click.option("--container", help=f"One of {', '.join(Container)}.  [default: by the source]")
@click.option(
    "--deinterlace", help="auto (by the pictures), on or off.  [default: auto; undoes telecine too]"
)
@click.option(
    "--extraction", help="auto (by cost), ranged, shards, or frames (PNGs too).  [default: auto]"
)
@click.option(
    "--damage", help="refuse a film with damaged frames, or conceal a few.  [default: refuse]"
)
@click.option("--shard-seconds", help="Length of a shard of work.  [default: up to 10]")
@click.option("--max-cost", help="Dollars that the job may cost on AWS, by the stack's estimate.")
@click.option("--workers", type=int, help="Parallel processing workers.  [default: 1]")
@click.option(
    "--precision", default="auto", help="auto, float32 or bfloat16.  [default: auto, by processor]"
)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Also write a before/after picture (PNG)."
)
@click.option("--force", is_flag=True, help="Overwrite the result if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, no progress.")
def run(
    video: Path,
    out: Path | None,
    workers: int | None,
    precision: str,
    picture: Path | None,
    force: bool,
    as_json: bool,
    **chosen: str | None,
) -> None:
    """Upscale VIDEO through the whole pipeline on this machine; needs no account."""
    from cli.commands import run as job
    from cli.models import model_file

    output = Output(as_json)
    try:
        given = {k: v for k, v in chosen.items() if v is not None}
        if {"scale", "fit"} <= given.keys():
            raise UserError("--scale and --fit both say how large the result is; give one")
        own = model_file(given["model"]) if "model" in given else None
        if own is not None:
            del given["model"]
        settings = Settings.parse(given)
        request = job.checked(video, out, settings, workers, precision, picture, force=force)
        request = replace(request, model_file=own)
        output.result(*_summary(job.run(request, output)))
    except ContractError as error:
        _fail(output, UserError("--" + _as_options(str(error))))
    except UserError as error:
        _fail(output, error)


def _as_options(sentence: str) -> str:
    for field in ("shard_seconds", "pixel_format", "max_cost"):
        sentence = sentence.replace(field, field.replace("_", "-"))
    return sentence


def _fail(output: Output, error: UserError) -> None:
    fields: dict[str, Any] = {"exit_code": error.exit_code}
    if isinstance(error, JobError):
        fields |= {"error": error.error, "logs": error.logs}
    output.error(str(error), fields)
    if isinstance(error, JobError):
        output.say(f"Logs: {error.logs}")
    sys.exit(error.exit_code)


def _summary(outcome: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """(JSON object, rows for people) of a finished run."""
    report, picture = outcome.report, outcome.picture
    ledger, size = report.ledger, report.output
    codec, before = report.encoder.codec.value, f"{report.video.width}x{report.video.height}"
    stages = {name: seconds for name, seconds in outcome.stage_seconds.items() if seconds >= 0.01}
    data = {
        "status": "SUCCEEDED",
        "job_id": outcome.job_id,
        "result": str(outcome.target),
        "picture": str(picture) if picture else None,
        "frames": ledger.frames_in_result,
        "concealed_frames": ledger.frames_concealed,
        "codec": codec,
        "width": size.width,
        "height": size.height,
        "duration_seconds": report.duration_seconds,
        "bytes": report.result_bytes,
        "sha256": report.result_sha256,
        "ledger": ledger.model_dump(mode="json"),
        "shards": [shard.model_dump(mode="json") for shard in report.shards],
        "stage_seconds": outcome.stage_seconds,
        "start_seconds": round(outcome.start_seconds, 3),
        "total_seconds": round(outcome.total_seconds, 3),
        "warm_start": outcome.warm,
        "logs": str(outcome.log_dir),
    }
    rows = {
        "result": str(outcome.target),
        "picture": f"{codec}, {before} -> {size.width}x{size.height}, "
        f"{ledger.frames_in_result} frames, {report.duration_seconds:.2f} s, "
        f"{report.result_bytes / 1e6:.2f} MB",
        "ledger": f"{ledger.frames_planned} planned = {ledger.frames_decoded} decoded = "
        f"{ledger.frames_upscaled} upscaled = {ledger.frames_encoded} encoded = "
        f"{ledger.frames_in_result} in the result; {len(ledger.streams)} other streams kept, "
        f"{len(ledger.dropped)} dropped",
        "time": f"{outcome.total_seconds:.1f} s: start {outcome.start_seconds:.1f}, "
        + ", ".join(f"{name.lower()} {seconds:.1f}" for name, seconds in stages.items()),
        "logs": str(outcome.log_dir),
    }
    if picture is not None:
        rows["before/after"] = str(picture)
    rows |= {f"dropped {index}": why for index, why in remarks.dropped(ledger).items()}
    if ledger.frames_concealed:
        rows["concealed"] = remarks.concealed(ledger)
    if lost := remarks.not_held(ledger):
        rows["not held"] = lost
    return data, rows


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; Ctrl+C and SIGTERM end everything that was started."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("superres: stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
