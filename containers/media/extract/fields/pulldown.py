"""Undoes 3:2 pulldown: which coded fields make up each frame of the film, over the whole film.

Telecine shows four frames A B C D as ten fields, AA BBB CC DDD: the five coded frames are AA, BB,
BC, CD, DD. A cycle of five so becomes AA, BB, the C of the fourth with the C of the third, DD.
Cuts made after the telecine break the cycle anywhere. So the film is cut into cycles and single
frames at the least cost: what is combed, or is lost, in each; computed exactly (Viterbi).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from containers.media.extract.fields.combing import Combing

CYCLE, KEPT = 5, 4
SINGLE_COST = 0.01
"""Of a frame outside a cycle, in shares of a picture: what a cycle may get wrong a fifth of."""
STILL = 0.01
"""Share of combed blocks below which a frame says nothing."""
STIRRED = 0.03
"""Share of combed blocks from which a single frame is judged by their energy."""
FAINT = 1.0
"""Mean excess in levels that no eye finds."""
CLEAN = 0.25
"""Of the most combed weave's energy; one of fields that belong together has less."""
UNEVEN = 0.2
"""Share by which the steps of a cycle's timestamps may differ."""
NEVER = 1e9
NEAR_AND_FAR = {True: ("top_first", "bottom_first"), False: ("bottom_first", "top_first")}
"""By "top field first": the weave of neighbours in time, and that of fields three fields apart."""
PARITIES = {True: ("top", "bottom"), False: ("bottom", "top")}
"""By "top field first"."""


@dataclass(frozen=True)
class FilmFrames:
    """For every frame of the film, arrays of shape (frames,).

    `top`, `bottom`: numbers of the coded frames that give its fields; `deinterlaced`: its fields
    are of two moments and no other pair fits. `quarters`: its timestamp in quarters of the coded
    stream's unit. `cycles`: how many cycles of five became four; `proved`: those of them in which
    something moved.
    """

    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    deinterlaced: NDArray[np.bool_]
    quarters: NDArray[np.int64]
    cycles: int
    proved: int
    matched: int
    """Single frames whose first field belongs to the one before."""


class CycleCosts:
    """The costs of every cycle and every single frame, from the combing of all frames."""

    def __init__(self, combing: Sequence[Combing], stamps: NDArray[np.int64], end_pts: int,
                 *, top_first: bool) -> None:  # fmt: skip
        near, far = NEAR_AND_FAR[top_first]
        first, second = PARITIES[top_first]
        self._of = {
            name: np.array([getattr(c, name) for c in combing]) for name in Combing.__annotations__
        }
        self.own, self.near = self._of["worse_own"], self._of[f"worse_{near}"]
        self._far = self._of[f"worse_{far}"]
        self._energies = self._of["own"], self._of[near], self._of[far]
        self._first, self._second = self._of[f"{first}_changed"], self._of[f"{second}_changed"]
        self._ends = np.append(stamps, end_pts)

    @property
    def frames(self) -> int:
        return len(self.own)

    def cycles(self) -> NDArray[np.float64]:
        """Cost of the cycle that begins at each frame, shape (frames - 4,)."""
        count = max(0, self.frames - CYCLE + 1)
        if not count:
            return np.zeros(0)

        def at(values: NDArray[np.float64], place: int) -> NDArray[np.float64]:
            return values[place : place + count]

        combed = at(self.own, 0) + at(self.own, 1) + at(self.near, 3) + at(self.own, 4)
        lost = at(self._first, 2) + at(self._second, 4)
        steps = np.lib.stride_tricks.sliding_window_view(np.diff(self._ends), CYCLE)
        uneven = steps.max(1) - steps.min(1) > UNEVEN * steps.mean(1) + 1
        return combed + lost + uneven * NEVER

    def proofs(self) -> NDArray[np.bool_]:
        """True of a cycle whose third or fourth frame is combed as only telecine combs it."""
        count = max(0, self.frames - CYCLE + 1)
        dirty = self.own > STILL
        return dirty[2 : 2 + count] | dirty[3 : 3 + count]

    def matched(self) -> NDArray[np.bool_]:
        """Frames whose first field belongs to the second field before it, and to no other.

        Where a picture moves by a line a frame, as credits do, every weave but its own doubles
        lines and is clean; of film cut between its fields the one of fields three apart is not.
        """
        own, near, far = self._energies
        clean = (self.near < self.own * CLEAN) & (near < CLEAN * self._most_energy())
        found = (self.own > STIRRED) & clean & (far > own / 2)
        found[:1] = False
        return found

    def torn(self) -> NDArray[np.bool_]:
        """Frames whose fields are of two moments: what is combed goes with the field order."""
        own, _, _ = self._energies
        ordered = self._far - self.near > self._far / 2
        stirred = self._of["moving"] > STIRRED
        return stirred & ordered & (own > np.maximum(CLEAN / 2 * self._most_energy(), FAINT))

    def _most_energy(self) -> NDArray[np.float64]:
        return np.maximum.reduce(self._energies)


def film_frames(
    combing: Sequence[Combing], stamps: NDArray[np.int64], end_pts: int, *, top_first: bool
) -> FilmFrames:
    """Cut the coded frames into cycles and single frames. `combing` has one entry per frame.

    The first frame has none before it: let its entry compare it with itself.
    """
    costs = CycleCosts(combing, stamps, end_pts, top_first=top_first)
    starts = _cheapest(costs.cycles(), costs.frames)
    proofs = costs.proofs()
    matches, tears = costs.matched(), costs.torn()
    ends = np.append(stamps, end_pts)
    first: list[int] = []
    second: list[int] = []
    torn: list[bool] = []
    quarters: list[int] = []
    frame, cycles, proved, matched = 0, 0, 0, 0
    while frame < costs.frames:
        if starts[frame]:
            first += [frame, frame + 1, frame + 3, frame + 4]
            second += [frame, frame + 1, frame + 2, frame + 4]
            torn += [False] * KEPT
            step = int(ends[frame + CYCLE] - ends[frame])
            quarters += [KEPT * int(ends[frame]) + step * k for k in range(KEPT)]
            cycles, proved = cycles + 1, proved + bool(proofs[frame])
            frame += CYCLE
            continue
        match = bool(matches[frame])
        first.append(frame)
        second.append(frame - match)
        torn.append(bool(tears[frame]) and not match)
        quarters.append(KEPT * int(ends[frame]))
        matched += match
        frame += 1
    tops, bottoms = (first, second) if top_first else (second, first)
    return FilmFrames(
        np.array(tops, np.int64), np.array(bottoms, np.int64), np.array(torn, np.bool_),
        np.array(quarters, np.int64), cycles, proved, matched,
    )  # fmt: skip


def _cheapest(cycles: NDArray[np.float64], frames: int) -> NDArray[np.bool_]:
    """Where the cycles of the cheapest cut begin, shape (frames,)."""
    cost = np.full(frames + 1, NEVER)
    cost[0] = 0
    by_cycle = np.zeros(frames + 1, np.bool_)
    prices = cycles.tolist()
    best = cost.tolist()
    for end in range(1, frames + 1):
        best[end] = best[end - 1] + SINGLE_COST
        begin = end - CYCLE
        if begin >= 0 and best[begin] + prices[begin] < best[end]:
            best[end], by_cycle[end] = best[begin] + prices[begin], True
    starts = np.zeros(frames, np.bool_)
    end = frames
    while end > 0:
        if by_cycle[end]:
            end -= CYCLE
            starts[end] = True
        else:
            end -= 1
    return starts
