"""Threads for the stages of a pipeline: each runs a few items ahead of the stage that reads it."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

JOIN_SECONDS = 2.0
"""How long to wait for abandoned stages; one that is computing a frame may take longer."""

LOW_PRIORITY = 10
"""Niceness (setpriority(2)) of a stage that yields the processors to the others: a tenth of their
weight. The lowest priority, 19, would starve it where other programs keep the machine busy.
"""


class Abandoned(Exception):  # noqa: N818 - an order to stop, not an error
    """The stages were abandoned; no more items come."""


class StageThread(Iterator[T], Generic[T]):
    """Runs an iterable in a daemon thread, at most `depth` items ahead of its one reader.

    What the iterable raises reaches the reader after the items that came before. With
    `low_priority`, the thread and those that it starts leave the processors to others. Call
    `start` once.
    """

    def __init__(
        self, name: str, items: Iterable[T], depth: int, *, low_priority: bool = False
    ) -> None:
        self._items = items
        self._low_priority = low_priority
        self._depth = depth
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        if self._low_priority:  # in Linux each thread has its niceness and passes it on
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
        try:
            for item in self._items:
                self._put(item)
                del item  # else it would live until the next one is made
        except BaseException as error:  # noqa: BLE001 - the reader raises it again
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
        """Drop what is ready. The thread ends at its next item; a reader gets Abandoned."""
        with self._changed:
            self._abandoned = True
            self._ready.clear()
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


class StageThreads:
    """Stages that end together: leaving the `with` block abandons them all."""

    def __init__(self) -> None:
        self._stages: list[StageThread[Any]] = []

    def start(
        self, name: str, items: Iterable[T], depth: int, *, low_priority: bool = False
    ) -> StageThread[T]:
        """Start a stage and return it, to read its items from; see StageThread."""
        stage = StageThread(name, items, depth, low_priority=low_priority)
        self._stages.append(stage)
        stage.start()
        return stage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for stage in self._stages:
            stage.abandon()
        until = time.monotonic() + JOIN_SECONDS
        for stage in self._stages:
            stage.join(max(0.0, until - time.monotonic()))
