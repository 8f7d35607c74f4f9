"""Fields into frames of film: woven as planned (inverse telecine), or deinterlaced by bwdif."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from av.filter.graph import Graph
from numpy.typing import NDArray

from containers.common.film.pictures import (
    Picture,
    PictureReader,
    Plane,
    to_frame,
)
from contracts.film.facts import FieldOrder, Fields

Decode = Callable[[int, int], Iterator[Picture]]
"""decode(first, count): the coded frames from number `first` on, in order."""

PARITY = {"top": "tff", "bottom": "bff"}


@dataclass(frozen=True)
class FieldPlan:
    """Which coded frames make each frame of the film.

    `top`, `bottom`: int64, shape (frames,), the numbers of the coded frames that give its fields;
    `deinterlaced`: bool, shape (frames,), for frames whose fields are of two moments.
    """

    order: FieldOrder
    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    deinterlaced: NDArray[np.bool_]
    coded_frames: int

    @classmethod
    def load(cls, fields: Fields, file: IO[bytes], frames: int) -> "FieldPlan":
        """Read what `save` wrote; `frames`: how many the film has."""
        arrays = np.load(file, allow_pickle=False)
        coded = fields.coded_frames or frames
        return cls(fields.order, arrays["top"], arrays["bottom"], arrays["deinterlaced"], coded)

    def save(self, path: Path, coded_pts: NDArray[np.int64]) -> None:
        """Write an npz, with the timestamps of the coded frames."""
        np.savez_compressed(
            path,
            coded_pts=coded_pts,
            top=self.top,
            bottom=self.bottom,
            deinterlaced=self.deinterlaced,
        )

    @classmethod
    def all_deinterlaced(cls, order: FieldOrder, frames: int) -> "FieldPlan":
        """A plan that deinterlaces every coded frame into one frame."""
        every = np.arange(frames, dtype=np.int64)
        return cls(order, every, every, np.ones(frames, np.bool_), frames)

    def coded(self, first: int, count: int) -> tuple[int, int]:
        """(first, count) of the coded frames that these frames of the film are made of."""
        part = slice(first, first + count)
        lowest = np.minimum(self.top[part], self.bottom[part]) - self.deinterlaced[part]
        highest = np.maximum(self.top[part], self.bottom[part]) + self.deinterlaced[part]
        begin = max(int(lowest.min()), 0)
        return begin, min(int(highest.max()) + 1, self.coded_frames) - begin


def film_pictures(
    plan: FieldPlan | None,
    timestamps: NDArray[np.int64],
    decode: Decode,
    first: int,
    count: int,
) -> Iterator[Picture]:
    """`count` frames of the film from `first` on; the same whatever range is asked for.

    `timestamps`: int64, of the whole film. Without a plan the coded frames are the film.
    """
    if plan is None:
        for number, picture in enumerate(decode(first, count), first):
            yield replace(picture, pts=int(timestamps[number]))
        return
    begin, length = plan.coded(first, count)
    coded = _Window(decode(begin, length), begin)
    weaver = _Weaver(plan, coded)
    for number in range(first, first + count):
        yield replace(weaver.frame(number), pts=int(timestamps[number]))


class _Window:
    """The last few coded frames; numbers come in order, give or take a few."""

    KEPT = 4

    def __init__(self, pictures: Iterator[Picture], begin: int) -> None:
        self._pictures = pictures
        self._kept: deque[Picture] = deque(maxlen=self.KEPT)
        self._next = begin

    def __getitem__(self, number: int) -> Picture:
        while number >= self._next:
            self._kept.append(next(self._pictures))
            self._next += 1
        return self._kept[number - self._next]


class _Weaver:
    def __init__(self, plan: FieldPlan, coded: _Window) -> None:
        self._plan, self._coded = plan, coded
        self._deinterlacer = _Deinterlacer(plan, coded)

    def frame(self, number: int) -> Picture:
        top, bottom = int(self._plan.top[number]), int(self._plan.bottom[number])
        if self._plan.deinterlaced[number]:
            return self._deinterlacer.frame(top)
        # In order: the window keeps but a few.
        pictures = {n: self._coded[n] for n in sorted({top, bottom})}
        if top == bottom:
            return pictures[top]
        return weave(pictures[top], pictures[bottom])


def weave(top: Picture, bottom: Picture) -> Picture:
    """A picture of the even lines of one and the odd lines of the other, in every plane."""
    planes: list[Plane] = []
    for even, odd in zip(top.planes, bottom.planes, strict=True):
        plane = even.copy()
        plane[1::2] = odd[1::2]
        planes.append(plane)
    return replace(top, planes=tuple(planes))


class _Deinterlacer:
    """bwdif, one frame for each coded frame; continues where it is if frames come in order.

    It looks at the frames before and after; the film's first and last have none there.
    """

    def __init__(self, plan: FieldPlan, coded: _Window) -> None:
        self._plan, self._coded = plan, coded
        self._reader = PictureReader()
        self._graph: Graph | None = None
        self._pushed = -1

    def frame(self, number: int) -> Picture:
        last = self._plan.coded_frames - 1
        if self._graph is None or self._pushed != number:
            before = max(number - 1, 0)
            self._graph = self._new_graph(self._coded[before])
            for earlier in range(before, number + 1):
                self._push(self._graph, earlier)
        graph = self._graph
        if number < last:
            self._push(graph, number + 1)
        else:
            graph.vpush(None)
            self._graph = None
        while True:
            frame = graph.vpull()
            if frame.pts == 2 * number:  # it counts in fields
                return self._reader.read(frame, number)

    def _new_graph(self, like: Picture) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=like.width,
            height=like.height,
            format=to_frame(like).format,
            time_base=Fraction(1, 1),
        )
        options = f"mode=send_frame:parity={PARITY[self._plan.order]}:deint=all"
        filters = graph.add("bwdif", options), graph.add("format", like.pixel_format)
        graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
        return graph

    def _push(self, graph: Graph, number: int) -> None:
        frame = to_frame(self._coded[number])
        frame.pts, frame.time_base = number, Fraction(1, 1)
        graph.vpush(frame)
        self._pushed = number
