"""`superres run`: one video through the whole pipeline on the embedded AWS."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from cli.embedded import PRECISIONS, embedded_stack, ensure_weights, overrides
from cli.errors import UserError
from cli.machine import cores
from cli.models import inspected, stored_files
from cli.output import Output, Steps
from cli.pipeline import FINAL_STATES, Pipeline, Snapshot
from contracts.film import remarks
from contracts.film.ledger import Report
from contracts.job import HOLDS, Codec, Container, Settings
from contracts.keys import upload_key
from contracts.limits import S3_KEY_BYTES
from contracts.models import ModelName
from contracts.names import Stage

POLL_SECONDS = 0.15
START_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """A checked request: everything that can be refused before work starts was."""

    video: Path
    target: Path
    ending_follows: bool
    """The result's kind is known when it is made; `target` then has the likely ending."""
    settings: Settings
    workers: int
    precision: str
    picture: Path | None
    model_file: Path | None = None
    """A user's own, instead of the settings' model."""


def checked(
    video: Path,
    out: Path | None,
    settings: Settings,
    workers: int | None = None,
    precision: str = "auto",
    picture: Path | None = None,
    *,
    force: bool,
) -> Request:
    """Refuse early what cannot work. Raises UserError with one sentence."""
    try:
        return _checked(video, out, settings, workers, precision, picture, force=force)
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UserError(f"{error.filename}: {error.strerror}; choose another path") from error


def _checked(
    video: Path,
    out: Path | None,
    settings: Settings,
    workers: int | None,
    precision: str,
    picture: Path | None,
    *,
    force: bool,
) -> Request:
    _check_readable(video)
    target, settings = _target(video, out, settings)
    ending_follows = settings.container is None
    endings = [c for c in Container if settings.codec in HOLDS[c]] if ending_follows else []
    for path in [target.with_suffix(f".{c.value}") for c in endings] or [target]:
        _check_target(path, video, "-o", force=force)
    if picture is not None:
        _check_target(picture, video, "--picture", force=force)
        if picture.absolute() == target.absolute():
            raise UserError(f"{picture} cannot be both result and picture; choose another name")
    most = cores()
    if workers is not None and not 1 <= workers <= most:
        raise UserError(f"--workers: got {workers}, this machine has cores for 1 to {most}")
    if precision not in PRECISIONS:
        raise UserError(f"--precision: got {precision!r}, allowed are {', '.join(PRECISIONS)}")
    return Request(
        video=video,
        target=target,
        ending_follows=ending_follows,
        settings=settings,
        workers=workers or 1,
        precision=precision,
        picture=picture,
    )


def _check_target(target: Path, video: Path, option: str, *, force: bool) -> None:
    if target.is_dir():
        raise UserError(f"{option} {target} is a folder; name a file in it")
    if target.exists() and target.samefile(video):
        raise UserError(f"{target} is the video itself; choose another output with {option}")
    if target.exists() and not force:
        raise UserError(f"{target} exists already; choose another with {option}, or pass --force")
    _check_writable(target.parent, option)


def _check_readable(video: Path) -> None:
    if not video.exists():
        raise UserError(f"{video}: no such file; check the path")
    if not video.is_file():
        raise UserError(f"{video} is not a file; name one video file")
    try:
        video.open("rb").close()
    except OSError as error:
        raise UserError(f"{video} cannot be read: {error.strerror}") from error
    if len(upload_key(video.name).encode("utf-8", "surrogateescape")) > S3_KEY_BYTES:
        raise UserError(f"{video.name[:40]}...: the name is too long for S3; shorten it")
    try:
        video.name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{str(video)!r} is not valid UTF-8; rename the file") from error


def _target(video: Path, out: Path | None, settings: Settings) -> tuple[Path, Settings]:
    """Where the result goes; its ending chooses the container unless the settings do."""
    if out is None or out.is_dir() or not out.suffix:
        container = settings.container or _likely(video, settings)
        folder = out if out is not None else Path()
        return folder / f"{video.stem}.{settings.label}.{container.value}", settings
    known = {f".{c.value}": c for c in Container}
    container = known.get(out.suffix.lower())
    if container is None:
        raise UserError(f"-o {out}: the result can be {', '.join(known)}, not {out.suffix!r}")
    if settings.container not in (None, container):
        raise UserError(f"-o {out} and --container {settings.container} differ; give one of them")
    if settings.codec not in HOLDS[container]:
        able = " or ".join(f".{c.value}" for c in Container if settings.codec in HOLDS[c])
        raise UserError(
            f"-o {out}: {container.name} cannot hold {settings.codec.value}; name the result {able}"
        )
    return out, Settings.parse({**settings.model_dump(), "container": container})


def _likely(video: Path, settings: Settings) -> Container:
    """As extract will choose, unless a stream of the film needs another."""
    ending = video.suffix.lower()
    if ending in {".mkv", ".webm"} or settings.codec is Codec.FFV1:
        return Container.MKV
    quicktime = ending == ".mov" and settings.codec in HOLDS[Container.MOV]
    return Container.MOV if quicktime or settings.codec is Codec.PRORES else Container.MP4


def _check_writable(folder: Path, option: str) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; create it or choose another with {option}")
    probe = folder / f".superres-{os.getpid()}~"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to ({error.strerror}); choose another with {option}"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `superres run` made."""

    job_id: str
    target: Path
    report: Report
    stage_seconds: dict[str, float]
    total_seconds: float
    start_seconds: float
    warm: bool
    log_dir: Path
    picture: Path | None


def run(request: Request, output: Output) -> Outcome:
    """Start, deploy, upload, follow, fetch. Raises UserError, JobError."""
    began = time.monotonic()
    with output.steps() as steps:
        steps.update("start", note="embedded AWS")
        request = _with_model(request, steps)
        settings = overrides(request.workers, request.precision)
        network_comes = request.settings.model is not ModelName.LANCZOS
        with embedded_stack(settings, network_comes=network_comes) as stack:
            start_seconds = time.monotonic() - began
            steps.end("start", "embedded AWS, " + ("warm" if stack.warm else "deployed anew"))
            pipeline = Pipeline(stack)
            job_id = _upload(pipeline, request, steps)
            snapshot = _follow(pipeline, job_id, steps)
            if snapshot.state != "SUCCEEDED":
                raise pipeline.failed(snapshot)
            steps.update("download")
            result, report = pipeline.result(snapshot)
            target = request.target
            if request.ending_follows:
                target = target.with_suffix(f".{report.output.container.value}")
            pipeline.fetch(result, target)
            for change in remarks.changes(report):
                output.warn(change)
            steps.end("download", str(target))
            stage_seconds = pipeline.stage_seconds(job_id)
    return Outcome(
        job_id=job_id,
        target=target,
        report=report,
        stage_seconds=stage_seconds,
        total_seconds=time.monotonic() - began,
        start_seconds=start_seconds,
        warm=stack.warm,
        log_dir=stack.log_dir,
        picture=request.picture if _drew(request, target, report, output) else None,
    )


def _with_model(request: Request, steps: Steps) -> Request:
    """With its weights at hand; a model's file becomes the name under which it is stored."""
    if request.model_file is not None:
        steps.update("start", note=f"looking at {request.model_file.name}")
        chosen = {**request.settings.model_dump(), "model": inspected(request.model_file)}
        request = replace(request, settings=Settings.parse(chosen))
    if isinstance(request.settings.model, ModelName):
        ensure_weights(request.settings.model)
    elif request.settings.stored_model is not None:
        stored_files(request.settings.stored_model)
    return request


def _drew(request: Request, target: Path, report: Report, output: Output) -> bool:
    """Draw the picture that was asked for. The result stands whether it succeeds or not."""
    if request.picture is None:
        return False
    from av.error import FFmpegError

    from cli.picture import before_after

    try:
        before_after(request.video, report.video.stream_index, target, request.picture)
    except (OSError, FFmpegError, StopIteration) as error:
        output.warn(f"{request.picture} could not be drawn ({error}); the result is there")
        return False
    return True


def _upload(pipeline: Pipeline, request: Request, steps: Steps) -> str:
    size, sent = request.video.stat().st_size, 0

    def count(chunk: int) -> None:
        nonlocal sent
        sent += chunk
        steps.update("upload", sent, max(size, 1), request.video.name)

    count(0)
    if request.settings.stored_model is not None:
        pipeline.store_model(stored_files(request.settings.stored_model))
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
        steps.update("process", now.frames_done, now.frames, note)
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
