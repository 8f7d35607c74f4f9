"""Progressive, interlaced or telecined: judged by the pictures of a few samples, not by flags."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from containers.common.film.pictures import Picture
from containers.media.extract.fields.combing import (
    Combing,
    field_pair,
    measure_combing,
)
from containers.media.extract.fields.pulldown import (
    CYCLE,
    NEAR_AND_FAR,
    STIRRED,
    FilmFrames,
    film_frames,
)
from contracts.film.facts import (
    Cadence,
    FieldEvidence,
    FieldOrder,
)

MOVING_FRAMES = 3
"""A sample with fewer says nothing."""
CYCLES_SHARE = 0.6
"""Of a sample's frames, in cycles; its ends hold up to eight that are in none."""
PROVED_CYCLES = 2
MOST = 0.5
"""Of a sample's moving frames."""
FARTHER = 1.3
"""Times the other weaves' energy: fields three apart comb more than such one apart, and than rough
pictures comb however they are woven."""


@dataclass(frozen=True)
class Sample:
    """What consecutive frames say."""

    cadence: Cadence | None
    """None where nothing moves."""
    frames: int
    moving: int
    top_votes: int
    bottom_votes: int


def measure_all(pictures: Iterable[Picture]) -> Iterator[Combing]:
    """One entry a picture; the first is compared with itself, which says that nothing moves."""
    before = None
    for picture in pictures:
        this = field_pair(picture)
        yield measure_combing(this, before or this)
        before = this


def judge_sample(pictures: Iterable[Picture]) -> Sample:
    """Judge consecutive pictures, in order; four or more cycles of telecine are needed."""
    combing = list(measure_all(pictures))
    stirred = [c for c in combing if c.moving > STIRRED]
    top, bottom = (sum(_votes(c, top_first=first) for c in stirred) for first in (True, False))
    frames = len(combing)
    stamps = np.arange(frames, dtype=np.int64)
    film = film_frames(combing, stamps, frames, top_first=top >= bottom)
    cadence = _cadence(film, frames, len(stirred), max(top, bottom))
    return Sample(cadence, frames, len(stirred), top, bottom)


def _votes(combing: Combing, *, top_first: bool) -> bool:
    """Says this field order: the weave of fields three apart is the most combed, and by far."""
    near, far = NEAR_AND_FAR[top_first]
    leans = getattr(combing, f"worse_{near}") < getattr(combing, f"worse_{far}") / 2
    return leans and getattr(combing, far) > FARTHER * max(combing.own, getattr(combing, near))


def _cadence(film: FilmFrames, frames: int, moving: int, ordered: int) -> Cadence | None:
    if film.proved >= PROVED_CYCLES and film.cycles * CYCLE >= frames * CYCLES_SHARE:
        return "telecined"
    if moving < MOVING_FRAMES:
        return None
    if film.matched >= moving * MOST:
        return "shifted"
    return "interlaced" if ordered >= moving * MOST else "progressive"


def judge(samples: Sequence[Sample], *, flagged: bool) -> FieldEvidence:
    """Put the samples together; the file's flag decides only where nothing moves."""
    cadences = [s.cadence for s in samples if s.cadence is not None]
    found: Cadence = "progressive"
    for one in ("interlaced", "shifted", "telecined"):
        if one in cadences:
            found = one
    frames = sum(s.frames for s in samples)
    if not cadences and flagged:
        found = "interlaced"
    top, bottom = (sum(getattr(s, f"{o}_votes") for s in samples) for o in ("top", "bottom"))
    order: FieldOrder = "top" if top >= bottom else "bottom"
    return FieldEvidence(
        cadence=found,
        order=None if found == "progressive" else order,
        sampled_frames=frames,
        moving_frames=sum(s.moving for s in samples),
        flagged_interlaced=flagged,
        samples=len(samples),
        agreeing_samples=cadences.count(found),
        top_votes=top,
        bottom_votes=bottom,
    )
