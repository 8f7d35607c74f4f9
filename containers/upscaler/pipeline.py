"""Stages that overlap: each runs in a thread of its own, a few items ahead of the next one."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

JOIN_SECONDS = 2.0
"""How long an abandoned stage may take to end; one that computes a frame may take longer."""

GIVES_WAY = 10
"""Niceness (setpriority(2)) of a stage that leaves the processors to the others: a tenth of their
weight. The lowest, 19, would starve it where other programs keep the machine busy.
"""


class Abandoned(Exception):  # noqa: N818 - an order to stop, not an error
    """The pipeline was left; no more items come."""


class Stage(Iterator[T], Generic[T]):
    """Runs an iterable in a daemon thread, at most `depth` items ahead of its one reader.

    What the iterable raises is raised in the reader, behind the items that came before it. A stage
    that gives way runs, with the threads that it starts, at a lower priority.
    """

    def __init__(
        self, name: str, items: Iterable[T], depth: int, *, gives_way: bool = False
    ) -> None:
        self._items = items
        self._gives_way = gives_way
        self._depth = depth
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._gives_way:  # Linux keeps niceness by thread, and hands it down
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GIVES_WAY)
        try:
            for item in self._items:
                self._put(item)
                del item  # or it would live until the next one is there
        except BaseException as error:  # noqa: BLE001 - it is raised again in the reader
            self._error = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._depth or self._abandoned)
            if self._abandoned:
                raise Abandoned
            self._ready.append(item)
            self._changed.notify_all()

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended or self._abandoned)
            if self._abandoned:
                raise Abandoned
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            raise self._error
        raise StopIteration

    def abandon(self) -> None:
        """Drop what is ready; the thread ends at its next item, a reader gets Abandoned."""
        with self._changed:
            self._abandoned = True
            self._ready.clear()
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the thread; True if it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


class Pipeline:
    """Stages that end together: leaving the `with` block, however, abandons them all."""

    def __init__(self) -> None:
        self._stages: list[Stage[Any]] = []

    def stage(
        self, name: str, items: Iterable[T], depth: int, *, gives_way: bool = False
    ) -> Stage[T]:
        """Start a stage (see Stage); its items come through the Stage returned."""
        stage = Stage(name, items, depth, gives_way=gives_way)
        self._stages.append(stage)
        return stage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for stage in self._stages:
            stage.abandon()
        until = time.monotonic() + JOIN_SECONDS
        for stage in self._stages:
            stage.join(max(0.0, until - time.monotonic()))
