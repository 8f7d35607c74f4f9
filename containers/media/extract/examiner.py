"""Has a confined child examine a film, and checks its findings before anything is built on them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from containers.common.confined.files import read_arrays
from containers.common.confined.parent import ConfinedChild, Confinement
from containers.common.film.pictures import plain_format
from containers.common.runtime.errors import WorkerError
from containers.common.runtime.storage import SCAN_AHEAD_BLOCKS, S3Store
from containers.media.extract.handover import ExamineTask, FoundFilm
from containers.media.extract.index.damage_search import FoundDamage, check_damage
from containers.media.extract.judge.budget import Budget
from containers.media.extract.judge.picture import MAX_RATE, MIN_RATE
from containers.media.extract.judge.probe import (
    Limits,
    check_colour,
    check_size,
)
from containers.media.labels.captions import ARRAYS, Captions
from contracts.film.facts import (
    Damage,
    Sidecar,
    Video,
)
from contracts.job import Container, Job
from contracts.models import ModelFacts
from contracts.stack.environ import ExtractEnvironment

PROGRAM = "containers.media.extract.child:serve"
SIDECAR_FACTOR, SIDECAR_ALLOWANCE = 2, 64 * 1024**2
"""A file that the child writes may have this multiple of the film's bytes, and this many more."""
MAX_TIME = 2**62

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExaminedFilm:
    """The facts of a film that is worth planning."""

    format: str
    video: Video
    container: Container
    sidecar: Sidecar
    """Not uploaded yet."""
    payload: Path
    """The sidecar's."""
    timestamps: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    """Timestamps of some frames that decode by themselves, in the file's order."""
    damage: Damage
    """Without the film's number of concealed frames."""
    index: Mapping[str, NDArray[np.int64]]
    """The sidecar's, as its contract names the arrays."""
    captions: Captions
    skipped: int
    decoded: bool


def examine_in_child(
    job: Job,
    environment: ExtractEnvironment,
    model: ModelFacts,
    *,
    store: S3Store,
    folder: Path,
) -> ExaminedFilm:
    """Let a confined child examine the film, and check its findings; `folder` takes its files.

    Raises WorkerError for a film that is refused, and for S3's trouble.
    """
    source, limits = job.source, Limits(job.source, environment)
    most = source.size * SIDECAR_FACTOR + SIDECAR_ALLOWANCE
    confinement = Confinement.of(environment, file_bytes=most)
    payload_path = folder / "sidecar.mkv"
    with payload_path.open("w+b") as payload, (folder / "numbers").open("w+b") as numbers:
        fds = payload.fileno(), numbers.fileno()
        with ConfinedChild(PROGRAM, confinement, limits.name, fds=fds) as child:
            child.give(
                ExamineTask(
                    source=source,
                    settings=job.settings,
                    environment=environment,
                    model=model,
                    payload=fds[0],
                    numbers=fds[1],
                )
            )
            text = child.ask(store.reader(source, SCAN_AHEAD_BLOCKS), source.size)
            try:
                found = FoundFilm.model_validate_json(text)
                film = check_findings(found, numbers, limits.name, payload=payload_path)
            except (ValidationError, ValueError, KeyError):
                raise child.nonsense() from None
    _check_limits(Budget(limits, job.settings, model), found)
    return film


def check_findings(
    found: FoundFilm, numbers: BinaryIO, name: str, *, payload: Path
) -> ExaminedFilm:
    """The findings with their arrays, which the child wrote to `numbers`.

    Raises ValueError or KeyError for what cannot be true, BAD_SOURCE for more damage than may be
    concealed.
    """
    arrays = read_arrays(numbers, found.arrays)
    timestamps, keyframes = arrays.pop("timestamps"), arrays.pop("keyframes")
    damage = FoundDamage.pop_from(arrays)
    captions = Captions.from_arrays({name: arrays.pop(name) for name in ARRAYS})
    _check_facts(found, timestamps, arrays, captions)
    return ExaminedFilm(
        format=found.format,
        video=found.video,
        container=found.container,
        sidecar=found.sidecar,
        payload=payload,
        timestamps=timestamps,
        keyframes=keyframes,
        damage=check_damage(damage, timestamps, found.video.time_base, name),
        index=arrays,
        captions=captions,
        skipped=found.skipped,
        decoded=found.decoded,
    )


def _check_facts(
    found: FoundFilm,
    timestamps: NDArray[np.int64],
    index: Mapping[str, NDArray[np.int64]],
    captions: Captions,
) -> None:
    """Raise ValueError for facts that cannot be true together."""
    video, sidecar = found.video, found.sidecar
    times = chain((video.start_pts, video.end_pts), timestamps[[0, -1]].tolist(), captions.pts)
    track = sidecar.captions
    names = {f"{name}_{i}" for i in range(len(sidecar.streams)) for name in _INDEX}
    true = (
        len(timestamps) == video.frames
        and bool((np.diff(timestamps) > 0).all())
        and all(abs(time) < MAX_TIME for time in times)
        and video.start_pts == timestamps[0]
        and video.end_pts > timestamps[-1]
        and Fraction(1, 2**31) <= video.time_base <= 2**31
        and MIN_RATE <= video.frame_rate <= MAX_RATE
        and video.sample_aspect_ratio > 0
        and video.rotation in (0, 90, 180, 270)
        and sidecar.payload is sidecar.index is None
        and (track.pictures if track else 0) == len(captions.pts)
        and (track.bytes if track else 0) == len(captions.data)
        and (track is None or (track.payload is None and track.time_base == video.time_base))
        and set(index) == names
        and all(
            stream.sidecar_index == i and stream.packets == len(index[f"{name}_{i}"])
            for i, stream in enumerate(sidecar.streams)
            for name in _INDEX
        )
    )
    if not true:
        raise ValueError("facts that contradict one another")
    try:
        plain_format(video.pixel_format)
    except WorkerError:
        raise ValueError(f"no pictures in {video.pixel_format}") from None


_INDEX = ("pts", "dts", "duration")


def _check_limits(budget: Budget, found: FoundFilm) -> None:
    """Again, on this side, whatever the child found."""
    limits, video, sidecar = budget.limits, found.video, found.sidecar
    check_size(limits, budget.settings, video.width, video.height)
    check_colour(limits.name, video.working_colour)
    limits.check("max_frames", video.frames, "has {got} frames")
    seconds = float((video.end_pts - video.start_pts) * video.time_base)
    limits.check("max_duration_seconds", seconds, "lasts {got} seconds")
    size = video.width, video.height
    budget.check(size, video.frames, seconds)
    dollars = budget.dollars(size, video.frames, seconds)
    log.info("priced", extra={"estimated_dollars": round(dollars, 4)})
    limits.check("max_streams", len(sidecar.streams) + 1, "has {got} streams")
    limits.check("max_chapters", len(sidecar.chapters), "has {got} chapters")
    files = [attachment for attachment in sidecar.attachments if not attachment.cover]
    limits.check("max_attachments", len(files), "has {got} attachments")
