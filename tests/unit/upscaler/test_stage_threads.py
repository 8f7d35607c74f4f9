"""Stages: overlapped, bounded, in order; an error anywhere ends them all."""

import os
import threading
from collections.abc import Iterable, Iterator

import pytest

from containers.upscaler import stage_threads
from containers.upscaler.stage_threads import LOW_PRIORITY, Abandoned, StageThreads


class Source:
    """Numbers that count how far they were taken, and notice being closed."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.given = 0
        self.closed = threading.Event()
        self._fail_at = fail_at

    def items(self) -> Iterator[int]:
        try:
            while True:
                if self.given == self._fail_at:
                    raise ValueError("the source broke")
                self.given += 1
                yield self.given - 1
        finally:
            self.closed.set()


def doubled(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        yield number * 2


def broken(numbers: Iterable[int], at: int) -> Iterator[int]:
    for number in numbers:
        if number == at:
            raise KeyError("the stage broke")
        yield number


def test_items_pass_all_stages_in_order() -> None:
    with StageThreads() as stages:
        numbers = stages.start("numbers", range(1000), 2)
        assert list(stages.start("double", doubled(numbers), 2)) == list(range(0, 2000, 2))


def test_stages_run_side_by_side() -> None:
    here = threading.Barrier(2, timeout=60)

    def meeting() -> Iterator[int]:
        here.wait()
        yield 1

    with StageThreads() as stages:
        first = stages.start("a", meeting(), 1)
        second = stages.start("b", meeting(), 1)
        assert [*first, *second] == [1, 1]


def test_a_stage_runs_ahead_only_as_far_as_its_depth() -> None:
    source = Source()
    with StageThreads() as stages:
        stage = stages.start("source", source.items(), 3)
        for taken in range(1, 50):
            next(stage)
            # Three wait, one is in the stage's hands, and the next may have been begun.
            assert source.given <= taken + 3 + 2


def test_only_a_low_priority_stage_runs_at_a_lower_priority() -> None:
    def niceness() -> Iterator[int]:
        yield os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = next(niceness())
    with StageThreads() as stages:
        behind = next(stages.start("encode", niceness(), 1, low_priority=True))
        beside = next(stages.start("infer", niceness(), 1))
    assert behind == LOW_PRIORITY > before == beside == next(niceness())


def test_an_error_comes_behind_the_items_before_it() -> None:
    source, seen = Source(fail_at=5), []

    def run() -> None:
        with StageThreads() as stages:
            numbers = stages.start("numbers", source.items(), 2)
            for item in stages.start("double", doubled(numbers), 2):
                seen.append(item)  # noqa: PERF402 - the list must outlive the error

    with pytest.raises(ValueError, match="the source broke"):
        run()
    assert seen == [0, 2, 4, 6, 8]
    assert source.closed.wait(60)


def test_an_error_in_a_late_stage_ends_the_early_ones() -> None:
    source = Source()

    def run() -> None:
        with StageThreads() as stages:
            numbers = stages.start("numbers", source.items(), 2)
            list(stages.start("broken", broken(numbers, at=7), 2))

    with pytest.raises(KeyError, match="the stage broke"):
        run()
    assert source.closed.wait(60)
    assert source.given <= 7 + 5


def test_leaving_ends_stages_that_wait_for_room_or_for_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage_threads, "JOIN_SECONDS", 0.0)
    source, release, ended = Source(), threading.Event(), threading.Event()

    def idle() -> Iterator[int]:
        release.wait(60)
        yield 1

    def reader(items: Iterable[int]) -> Iterator[int]:
        try:
            yield from items
        except Abandoned:
            ended.set()
            raise

    with StageThreads() as stages:
        stages.start("full", source.items(), 1)
        stages.start("reader", reader(stages.start("idle", idle(), 1)), 1)
    assert source.closed.wait(60)
    assert ended.wait(60)
    release.set()


def test_an_abandoned_stage_gives_no_more_items() -> None:
    with StageThreads() as stages:
        stage = stages.start("source", Source().items(), 2)
        next(stage)
    with pytest.raises(Abandoned):
        next(stage)
