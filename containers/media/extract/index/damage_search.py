"""The search for damaged frames, and for what stands in for them: decodes the whole film once."""

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from containers.common.film.concealment import (
    DECODER,
    DecodedFrame,
    expect_damage,
)
from containers.common.film.decoding import frame_pts
from containers.common.film.kinds import (
    Kind,
    kind_change,
    kind_of,
)
from containers.common.film.opening import OpenFilm
from containers.media.extract.judge.probe import bad_source
from contracts.film.facts import (
    Concealed,
    Damage,
    Stretch,
)
from contracts.limits import DAMAGED_FRAMES_MAX, DAMAGED_SHARE_MAX

Range = tuple[int, int]
"""First frame and end of a stretch."""


@dataclass(frozen=True)
class FoundDamage:
    """Damage by numbers of frames, all int64, as the child reports it."""

    damaged: NDArray[np.int64]
    stand_ins: NDArray[np.int64]
    """Of each: DECODER, or the number of the frame that is shown instead."""
    stretches: NDArray[np.int64]
    """First frame and end of each, one behind the other."""

    @classmethod
    def none(cls) -> "FoundDamage":
        return cls(*(np.zeros(0, np.int64) for _ in range(3)))

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        return vars(self).copy()

    @classmethod
    def pop_from(cls, arrays: dict[str, NDArray[np.int64]]) -> "FoundDamage":
        """Take its arrays out of a child's. Raises KeyError."""
        return cls(*(arrays.pop(field.name) for field in fields(cls)))


def find_good_frames(
    film: OpenFilm, timestamps: NDArray[np.int64], *, marked: Collection[int], kind: Kind
) -> NDArray[np.bool_]:
    """Decode the whole film: which frames come undamaged and in order; bool, shape (frames,).

    One thread, as several do not always flag the same frames. `marked`: timestamps of packets that
    are damaged whatever their decoder says. Raises UNSUPPORTED where the picture's kind changes.
    """
    good = np.zeros(len(timestamps), np.bool_)
    expect_damage(film.stream)
    last = -1
    for packet in film.packets():
        for frame in film.decode(packet):
            pts = frame_pts(frame)
            if pts is None or frame.is_corrupt:
                continue
            place = int(np.searchsorted(timestamps, pts))
            if last < place < len(timestamps) and timestamps[place] == pts:
                last = place
                if kind_of(frame) != kind:
                    after, seconds = kind_of(frame), frame.time
                    raise kind_change(film.name, kind, after, frame=place, seconds=seconds)
                good[place] = True
    return good & np.array([stamp not in marked for stamp in timestamps.tolist()])


class DamageSearch:
    """One film whose good frames and keyframes are known; `decode` gives a stretch of it."""

    def __init__(
        self,
        timestamps: NDArray[np.int64],
        keyframes: NDArray[np.int64],
        good: NDArray[np.bool_],
        decode: Callable[[list[int]], Iterator[DecodedFrame]],
    ) -> None:
        self._timestamps, self._good, self._decode = timestamps, good, decode
        marked = set(keyframes.tolist())
        keys = np.flatnonzero(np.array([stamp in marked for stamp in timestamps.tolist()]))
        self._starts = keys[good[keys]]

    def search(self, name: str) -> FoundDamage:
        """Decode around damaged frames. Raises BAD_SOURCE for more than may be concealed."""
        stand_ins: dict[Range, dict[int, int]] = {}
        for wanted in self._ranges():
            stretch, found = self._find_stand_ins(wanted, list(stand_ins), name)
            for earlier in [s for s in stand_ins if s[1] > stretch[0]]:
                del stand_ins[earlier]  # it begins anew further back
            stand_ins[stretch] = found
        together = {n: s for found in stand_ins.values() for n, s in found.items()}
        check_share(name, len(together), len(self._timestamps))
        touched = [stretch for stretch, found in stand_ins.items() if found]
        return FoundDamage(
            np.array(list(together), np.int64),
            np.array(list(together.values()), np.int64),
            np.array(touched, np.int64).reshape(-1),
        )

    def _ranges(self) -> list[Range]:
        """From a good keyframe to the next, around each damaged frame."""
        bounds = np.searchsorted(self._starts, np.flatnonzero(~self._good))
        edges = [0, *self._starts.tolist(), len(self._good)]
        return list(dict.fromkeys((edges[i], edges[i + 1]) for i in bounds.tolist()))

    def _find_stand_ins(
        self, stretch: Range, done: list[Range], name: str
    ) -> tuple[Range, dict[int, int]]:
        """Decode the stretch as the workers will. Where its decoder needs some frames to recover
        after the keyframe, begin at the keyframe before, or with the stretch that holds that."""
        first, end = stretch
        damaged_at = first + int(np.argmin(self._good[first:end]))
        while True:
            given = {
                first + item.place: item.damaged
                for item in self._decode(self._timestamps[first : end + 1].tolist())
            }
            lead = range(first, damaged_at)
            whole = all(given.get(number) is False for number in lead if self._good[number])
            if whole or first == 0:
                break
            earlier = int(np.searchsorted(self._starts, first)) - 1
            first = int(self._starts[earlier]) if earlier >= 0 else 0
            first = next((begin for begin, end in done if begin <= first < end), first)
        return (first, end), choose_stand_ins(given, range(first, end), name)


def choose_stand_ins(given: dict[int, bool], stretch: range, name: str) -> dict[int, int]:
    """What stands in for each damaged frame: what the decoder made of it; else the nearest good
    frame before it, or at the beginning behind it.

    `given`: of the frames that came, whether they are damaged; one behind the stretch may help.
    """
    good = np.array([number for number, damaged in given.items() if not damaged], np.int64)
    found: dict[int, int] = {}
    for number in stretch:
        if given.get(number) is False:
            continue
        if number in given:
            found[number] = DECODER
        elif not len(good):
            raise bad_source(
                f"{name}: nothing can stand in for frame {number}, which is damaged, for no frame "
                "around it can be decoded; repair it or upload it again"
            )
        else:
            found[number] = int(good[max(int(np.searchsorted(good, number)) - 1, 0)])
    return found


def check_share(name: str, damaged: int, frames: int) -> None:
    """Raise BAD_SOURCE where more frames are damaged than may be concealed."""
    most = min(max(int(frames * DAMAGED_SHARE_MAX), 1), DAMAGED_FRAMES_MAX)
    if damaged > most:
        raise bad_source(
            f"{name}: {damaged} of {frames} frames are damaged, at most {most} can be concealed "
            f"(a tenth of a film, {DAMAGED_FRAMES_MAX} at most); repair it or upload it again"
        )


def check_damage(
    found: FoundDamage, timestamps: NDArray[np.int64], time_base: Fraction, name: str
) -> Damage:
    """What a child found, as the manifest has it. Raises ValueError for facts that contradict each
    other, BAD_SOURCE for more damage than may be concealed."""
    check_share(name, len(found.damaged), len(timestamps))
    stretches = found.stretches.reshape(-1, 2)
    bounds = np.array([*stretches.reshape(-1).tolist(), len(timestamps)], np.int64)
    damaged, stand_in = found.damaged, found.stand_ins
    around = np.searchsorted(stretches[:, 0], damaged, "right") - 1
    true = (
        len(damaged) == len(stand_in)
        and bool((stretches[:, 0] < stretches[:, 1]).all())
        and bool((np.diff(bounds) >= 0).all())
        and bool((bounds >= 0).all())
        and bool((np.diff(damaged) > 0).all())
        and bool((around >= 0).all())
    )
    if true:
        first, end = stretches[around, 0], stretches[around, 1]
        near = (stand_in >= first) & (stand_in <= np.minimum(end, len(timestamps) - 1))
        given = near & ~np.isin(stand_in, damaged)
        true = bool(((damaged < end) & ((stand_in == DECODER) | given)).all())
    if not true:
        raise ValueError("damage that contradicts itself")
    return Damage(
        concealed=tuple(_grouped(damaged.tolist(), stand_in.tolist(), timestamps, time_base)),
        stretches=tuple(
            Stretch(first_frame=first, frames=end - first) for first, end in stretches.tolist()
        ),
    )


def _grouped(
    damaged: list[int], stand_in: list[int], timestamps: NDArray[np.int64], time_base: Fraction
) -> Iterator[Concealed]:
    """Consecutive frames with the same stand-in."""
    pairs = enumerate(zip(damaged, stand_in, strict=True))
    for _, together in itertools.groupby(pairs, lambda item: (item[1][0] - item[0], item[1][1])):
        numbers = [(number, other) for _, (number, other) in together]
        number, other = numbers[0]
        yield Concealed(
            first_frame=number,
            frames=len(numbers),
            seconds=round(float(int(timestamps[number]) * time_base), 6),
            stands_in="decoder" if other == DECODER else other,
        )
