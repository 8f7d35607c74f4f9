"""One video through the whole pipeline on the embedded AWS."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from cli.console import Console, Steps
from cli.errors import UserError
from cli.models.users_models import inspect_model, models_dir, require_model
from cli.models.weights import ensure_weights
from cli.runs.request import RunRequest
from cli.stacks.embedded import embedded_stack
from cli.stacks.machine import machine_settings
from cli.stacks.pipeline import FINAL_STATES, Pipeline, Snapshot
from contracts.film import remarks
from contracts.film.ledger import Report
from contracts.job import Settings
from contracts.models import ModelName
from contracts.names import Stage

POLL_SECONDS = 0.15
START_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run made, and how long it took."""

    job_id: str
    target: Path
    report: Report
    stage_seconds: dict[str, float]
    total_seconds: float
    """All but the drawing of the picture."""
    start_seconds: float
    warm: bool
    """Whether the embedded AWS started from a snapshot."""
    log_dir: Path
    picture: Path | None
    """None where none was asked for, or where it could not be drawn."""


def upscale(request: RunRequest, console: Console) -> RunResult:
    """Start, deploy, upload, follow, fetch. Raises UserError, JobError."""
    began = time.monotonic()
    with console.steps() as steps:
        steps.update("start", note="embedded AWS")
        request = _prepare_model(request, steps)
        settings = machine_settings(request.workers, request.precision)
        preload = request.settings.model is not ModelName.LANCZOS
        with embedded_stack(settings, preload_network=preload) as stack:
            start_seconds = time.monotonic() - began
            steps.end("start", "embedded AWS, " + ("warm" if stack.warm else "deployed anew"))
            pipeline = Pipeline(stack)
            job_id = _upload(pipeline, request, steps)
            snapshot = _follow(pipeline, job_id, steps)
            if snapshot.state != "SUCCEEDED":
                raise pipeline.failure(snapshot)
            target, report = _download(pipeline, snapshot, request, steps)
            stage_seconds = pipeline.stage_seconds(job_id)
    total_seconds = time.monotonic() - began
    for change in remarks.changes(report):
        console.warn(change)
    picture = _draw_picture(request, target, report, console)
    return RunResult(
        job_id=job_id,
        target=target,
        report=report,
        stage_seconds=stage_seconds,
        total_seconds=total_seconds,
        start_seconds=start_seconds,
        warm=stack.warm,
        log_dir=stack.log_dir,
        picture=picture,
    )


def _prepare_model(request: RunRequest, steps: Steps) -> RunRequest:
    """Make sure that the weights are there; a model's file becomes the name it is stored under."""
    if request.model_file is not None:
        steps.update("start", note=f"inspecting {request.model_file.name}")
        model = inspect_model(request.model_file, models_dir())
        settings = Settings.parse({**request.settings.model_dump(), "model": model.name})
        return replace(request, settings=settings)
    if isinstance(request.settings.model, ModelName):
        ensure_weights(request.settings.model)
    elif request.settings.stored_model is not None:
        require_model(request.settings.stored_model, models_dir())
    return request


def _upload(pipeline: Pipeline, request: RunRequest, steps: Steps) -> str:
    """Upload the film, and before it the user's model; return the job's id."""
    size, sent = request.video.stat().st_size, 0

    def count(chunk: int) -> None:
        nonlocal sent
        sent += chunk
        steps.update("upload", sent, max(size, 1), note=request.video.name)

    count(0)
    if request.settings.stored_model is not None:
        pipeline.store_model(require_model(request.settings.stored_model, models_dir()).files)
    job_id, _ = pipeline.upload(request.video, request.settings, count)
    steps.end("upload", f"{request.video.name}, {size / 1e6:.1f} MB")
    return job_id


def _follow(pipeline: Pipeline, job_id: str, steps: Steps) -> Snapshot:
    """Show the job until it ends."""
    began, process_began = time.monotonic(), 0.0
    shown: Stage | None = None
    while True:
        now = pipeline.look(job_id)
        if now.state == "WAITING" and time.monotonic() - began > START_PATIENCE_SECONDS:
            raise UserError("the upload started no execution; see the trigger's log", exit_code=1)
        if now.stage is not None and now.stage is not shown:
            _end_stage(steps, shown, now)
            shown = now.stage
            process_began = process_began or (time.monotonic() if now.frames else 0.0)
        if now.state in FINAL_STATES:
            _end_stage(steps, shown, now)
            return now
        _show_stage(steps, now, time.monotonic() - process_began)
        time.sleep(POLL_SECONDS)


def _show_stage(steps: Steps, now: Snapshot, seconds: float) -> None:
    if now.stage is Stage.EXTRACT:
        steps.update("extract", note="probing, indexing, planning")
    elif now.stage is Stage.PROCESS:
        note = f"{now.frames_done}/{now.frames} frames, shard {now.shards_done}/{now.shards}"
        if now.frames_done:
            rate = now.frames_done / max(seconds, 0.1)
            left = (now.frames - now.frames_done) / rate
            note += f", {rate:.1f} fps, {left:.0f} s left"
        steps.update("process", now.frames_done, now.frames, note=note)
    elif now.stage is Stage.RECOMPOSE:
        steps.update("recompose", note="joining, muxing, checking the ledger")


def _end_stage(steps: Steps, stage: Stage | None, now: Snapshot) -> None:
    if stage is None or now.state not in {"RUNNING", "SUCCEEDED"}:
        return
    notes = {
        Stage.EXTRACT: f"{now.frames} frames in {now.shards} shards",
        Stage.PROCESS: f"{now.frames} frames",
        Stage.RECOMPOSE: "ledger balanced",
    }
    steps.end(stage.value, notes[stage])


def _download(
    pipeline: Pipeline, snapshot: Snapshot, request: RunRequest, steps: Steps
) -> tuple[Path, Report]:
    """Fetch the result; return its path, with the ending of its kind, and the report."""
    steps.update("download")
    result, report = pipeline.result(snapshot)
    target = request.target
    if request.ending_follows:
        target = target.with_suffix(f".{report.output.container.value}")
    pipeline.fetch(result, target)
    steps.end("download", str(target))
    return target, report


def _draw_picture(
    request: RunRequest, result: Path, report: Report, console: Console
) -> Path | None:
    """Draw the picture if one was asked for. The result stands whether that succeeds or not."""
    if request.picture is None:
        return None
    from av.error import FFmpegError

    from cli.runs.picture import draw_before_after

    stream_index = report.video.stream_index
    try:
        draw_before_after(request.video, result, request.picture, stream_index=stream_index)
    except (OSError, FFmpegError, StopIteration) as error:
        console.warn(f"{request.picture} could not be drawn ({error}); the result is there")
        return None
    return request.picture
