"""What `superres run` is asked to do, checked before any work starts."""

import os
from dataclasses import dataclass
from pathlib import Path

from cli.errors import UserError
from cli.stacks.machine import PRECISIONS, cores
from contracts.base import either
from contracts.job import HOLDS, Codec, Container, Settings
from contracts.keys import upload_key
from contracts.limits import S3_KEY_BYTES


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """What the user gave, as it was given."""

    video: Path
    out: Path | None = None
    settings: Settings
    model_file: Path | None = None
    """A model of the user's own, instead of the settings' model."""
    workers: int = 1
    precision: str = "auto"
    picture: Path | None = None
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run that nothing speaks against so far."""

    video: Path
    target: Path
    ending_follows: bool
    """Only the job decides the kind of result; `target` has the likely ending."""
    settings: Settings
    model_file: Path | None
    workers: int
    precision: str
    picture: Path | None


def check_arguments(given: RunArguments) -> RunRequest:
    """Refuse early what cannot work. Raises UserError with one sentence."""
    try:
        return _check(given)
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UserError(f"{error.filename}: {error.strerror}; choose another path") from error


def _check(given: RunArguments) -> RunRequest:
    _check_video(given.video)
    target, settings = _choose_target(given)
    _check_results(given, target, settings)
    most = cores()
    if not 1 <= given.workers <= most:
        raise UserError(f"--workers: got {given.workers}, this machine has cores for 1 to {most}")
    if given.precision not in PRECISIONS:
        raise UserError(f"--precision: got {given.precision!r}, must be {either(PRECISIONS)}")
    return RunRequest(
        video=given.video,
        target=target,
        ending_follows=settings.container is None,
        settings=settings,
        model_file=given.model_file,
        workers=given.workers,
        precision=given.precision,
        picture=given.picture,
    )


def _check_video(video: Path) -> None:
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


def _choose_target(given: RunArguments) -> tuple[Path, Settings]:
    """Where the result goes; its ending chooses the container unless the settings do."""
    out, settings = given.out, given.settings
    if out is None or out.is_dir() or not out.suffix:
        container = settings.container or _likely_container(given.video, settings)
        folder = out if out is not None else Path()
        return folder / f"{given.video.stem}.{settings.label}.{container.value}", settings
    known = {f".{c.value}": c for c in Container}
    container = known.get(out.suffix.lower())
    if container is None:
        raise UserError(f"-o {out}: the result can be {either(known)}, not {out.suffix!r}")
    if settings.container not in (None, container):
        raise UserError(f"-o {out} and --container {settings.container} differ; give one of them")
    if settings.codec not in HOLDS[container]:
        able = either(f".{c.value}" for c in _containers(settings.codec))
        raise UserError(
            f"-o {out}: {container.name} cannot hold {settings.codec.value}; name the result {able}"
        )
    return out, Settings.parse({**settings.model_dump(), "container": container})


def _containers(codec: Codec) -> list[Container]:
    return [container for container in Container if codec in HOLDS[container]]


def _likely_container(video: Path, settings: Settings) -> Container:
    """What extract will choose, unless a stream of the film needs another."""
    ending = video.suffix.lower()
    if ending in {".mkv", ".webm"} or settings.codec is Codec.FFV1:
        return Container.MKV
    quicktime = ending == ".mov" and settings.codec in HOLDS[Container.MOV]
    return Container.MOV if quicktime or settings.codec is Codec.PRORES else Container.MP4


def _check_results(given: RunArguments, target: Path, settings: Settings) -> None:
    """Whatever ending the result gets, it and the picture must be new and writable."""
    targets = [target]
    if settings.container is None:
        targets = [target.with_suffix(f".{c.value}") for c in _containers(settings.codec)]
    for path in targets:
        _check_writable(path, given, "-o")
    if given.picture is None:
        return
    _check_writable(given.picture, given, "--picture")
    if given.picture.absolute() == target.absolute():
        raise UserError(f"{given.picture} cannot be both result and picture; choose another name")


def _check_writable(path: Path, given: RunArguments, option: str) -> None:
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it")
    if path.exists() and path.samefile(given.video):
        raise UserError(f"{path} is the video itself; choose another output with {option}")
    if path.exists() and not given.force:
        raise UserError(f"{path} exists already; choose another with {option}, or pass --force")
    folder = path.parent
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
