"""The treatment of interlaced and telecined film: judged by samples, planned, with its reason."""

import logging
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from containers.common.film.coded_film import CodedFrames
from containers.common.film.deinterlacing import FieldPlan
from containers.media.extract.fields import cadence
from containers.media.extract.fields.pulldown import (
    CYCLE,
    KEPT,
    FilmFrames,
    film_frames,
)
from contracts.film.facts import (
    FieldEvidence,
    Fields,
    Video,
)
from contracts.job import Deinterlace

MAX_LINES = 1152
"""No interlaced format has more."""
MIN_LINES = 32
"""With fewer there is no motion to judge."""
SAMPLE_FRAMES = 40
SAMPLES = 5
MAX_SAMPLES = 13
"""At most, where little moves."""
NEARLY_ALL = 0.9
NEAR_FRAMES = 3000
"""Of a film that is decoded from its beginning for each sample, only these are looked at."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TreatedFilm:
    """The film after its treatment."""

    fields: Fields
    video: Video
    timestamps: NDArray[np.int64]
    plan: FieldPlan | None = None
    """Only where the treatment does not imply it."""


def plan_treatment(setting: Deinterlace, coded: CodedFrames) -> TreatedFilm:
    """Judge the film and decide.

    Decodes some 200 coded frames, of telecined film all. Raises what `coded.decode` raises.
    """
    video, timestamps = coded.video, coded.timestamps
    if setting == "off":
        return TreatedFilm(Fields(reason="left as coded, as asked"), video, timestamps)
    if not MIN_LINES <= video.height <= MAX_LINES and setting == "auto":
        reason = f"{video.height} lines: no interlaced format has so many or so few"
        return TreatedFilm(Fields(reason=reason), video, timestamps)
    evidence = _gather_evidence(coded)
    treated = evidence.cadence in ("telecined", "shifted")
    if setting == "on" or evidence.cadence == "interlaced":
        planned = _plan_deinterlacing(coded, evidence, forced=setting == "on")
    elif treated:
        planned = _plan_inverse_telecine(coded, evidence)
    else:
        fields = Fields(reason=_describe(evidence), evidence=evidence)
        planned = TreatedFilm(fields, video, timestamps)
    log.info("fields", extra=planned.fields.model_dump(mode="json"))
    return planned


def _gather_evidence(coded: CodedFrames) -> FieldEvidence:
    samples: list[cadence.Sample] = []
    timestamps = coded.timestamps
    if coded.video.by_order:
        timestamps = timestamps[:NEAR_FRAMES]
    for first in sample_places(timestamps, coded.keyframes):
        count = min(SAMPLE_FRAMES, len(timestamps) - first)
        samples.append(cadence.judge_sample(coded.decode(first, count)))
        if sum(s.cadence is not None for s in samples) >= SAMPLES:
            break
    return cadence.judge(samples, flagged=coded.video.flagged_interlaced)


def sample_places(timestamps: NDArray[np.int64], keyframes: NDArray[np.int64]) -> list[int]:
    """Numbers of the frames at which samples begin: first five over the film, then more between.

    At keyframes where there are such, for then nothing else is decoded.
    """
    last = max(0, len(timestamps) - SAMPLE_FRAMES)
    even = np.linspace(0, last, MAX_SAMPLES).round().astype(int).tolist()
    coarse = even[:: (MAX_SAMPLES - 1) // (SAMPLES - 1)]
    wanted = [*coarse, *(place for place in even if place not in coarse)]
    keys = np.searchsorted(timestamps, keyframes)
    keys = keys[keys <= last]
    if len(keys):
        wanted = [int(keys[np.abs(keys - place).argmin()]) for place in wanted]
    places: list[int] = []
    for place in wanted:  # samples that overlap would say the same twice
        if all(abs(place - other) >= SAMPLE_FRAMES for other in places):
            places.append(place)
    return places


def _plan_deinterlacing(
    coded: CodedFrames, evidence: FieldEvidence, *, forced: bool
) -> TreatedFilm:
    fields = Fields(
        treatment="deinterlaced",
        order=evidence.order or "top",
        reason="as asked; " + _describe(evidence) if forced else _describe(evidence),
        evidence=evidence,
        deinterlaced_frames=coded.video.frames,
    )
    return TreatedFilm(fields, coded.video, coded.timestamps)


def _plan_inverse_telecine(coded: CodedFrames, evidence: FieldEvidence) -> TreatedFilm:
    """Look at every frame; the plan names the coded frames of each frame of the film."""
    video, timestamps = coded.video, coded.timestamps
    order, count = evidence.order or "top", len(timestamps)
    log.info("telecined: looking at all %d frames for the film's", count)
    combing = list(cadence.measure_all(coded.decode(0, count)))
    film = film_frames(combing, timestamps, video.end_pts, top_first=order == "top")
    unit = KEPT if film.cycles else 1
    stamps = film.quarters if film.cycles else timestamps
    plan = FieldPlan(order, film.top, film.bottom, film.deinterlaced, count)
    fields = Fields(
        treatment="inverse_telecine",
        order=order,
        reason=f"{_describe(evidence)}; {_count(film)}",
        evidence=evidence,
        coded_frames=count,
        removed_frames=count - len(film.top),
        deinterlaced_frames=int(film.deinterlaced.sum()),
    )
    new = {
        "frames": len(stamps),
        "start_pts": int(stamps[0]),
        "end_pts": video.end_pts * unit,
        "time_base": video.time_base / unit,
        "frame_rate": _rate(video, film, stamps, unit),
    }
    return TreatedFilm(fields, video.model_copy(update=new), stamps, plan)


def _rate(video: Video, film: FilmFrames, stamps: NDArray[np.int64], unit: int) -> Fraction:
    """Four fifths of the coded rate; of mixed films the mean."""
    if film.cycles * CYCLE >= NEARLY_ALL * (video.frames or 1):
        return video.frame_rate * KEPT / CYCLE
    span = (video.end_pts * unit - int(stamps[0])) * video.time_base / unit
    return (len(stamps) / span).limit_denominator(1001)


def _count(film: FilmFrames) -> str:
    said = f"{film.cycles} cycles of five coded frames became four of film"
    if film.matched:
        said += f", {film.matched} frames were put together of two"
    if torn := int(film.deinterlaced.sum()):
        said += f", {torn} that fit no other were deinterlaced"
    return said


def _describe(evidence: FieldEvidence) -> str:
    """What the samples say, in one clause."""
    of = f"{evidence.agreeing_samples} of {evidence.samples} samples"
    order = f"{evidence.order} field first"
    flags = "interlaced" if evidence.flagged_interlaced else "progressive"
    match evidence.cadence:
        case "progressive":
            if not evidence.agreeing_samples:
                return (
                    f"too little moves in {evidence.samples} samples to judge by; flagged {flags}"
                )
            return f"{of} are progressive; flagged {flags}"
        case "interlaced":
            if not evidence.agreeing_samples:
                return (
                    f"too little moves in {evidence.samples} samples to judge by; flagged {flags}"
                )
            return f"{of} are interlaced, {order}; flagged {flags}"
        case "telecined":
            return f"{of} show 3:2 pulldown, {order}; flagged {flags}"
        case "shifted":
            return f"{of} show film whose frames are cut between its fields; flagged {flags}"
