"""Films broken at random: a plan or one sentence, whatever the bytes. `make fuzz` runs longer."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.films import make
from tests.unit.media.hostile.mutations import (
    CLIPS,
    films,
    mutations,
)
from tests.unit.media.hostile.support import (
    Composer,
    Examiner,
    Parts,
)

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("FUZZ_SECONDS", "20"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    made = Examiner()
    yield made
    made.close()


@pytest.mark.parametrize("name", CLIPS)
def test_each_film_is_a_plan_before_it_is_broken(
    name: str, sources: dict[str, bytes], examiner: Examiner
) -> None:
    assert examiner.outcome(name, sources[name]) == "plan"


Attempt = Callable[[st.DataObject], Callable[[], str]]
"""Draws all that it needs, and gives what then finds the outcome."""


def tried(seconds: float, attempt: Attempt) -> Counter[str]:
    """Outcomes of an attempt, again and again for so long."""
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + seconds

    @settings(
        max_examples=int(seconds * 200),  # more than the time allows
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        database=None,
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        outcome = attempt(data)
        if time.monotonic() < until:  # what comes too late is let pass
            outcomes[outcome()] += 1

    run()
    return outcomes


def broken(data: st.DataObject, whole: bytes, others: list[bytes]) -> bytes:
    changed = bytearray(whole)
    for mutate in data.draw(mutations(len(changed), others)):
        mutate(changed)
    return bytes(changed)


def test_a_broken_film_is_a_plan_or_a_sentence(
    sources: dict[str, bytes], examiner: Examiner
) -> None:
    def examine(data: st.DataObject) -> Callable[[], str]:
        name = data.draw(st.sampled_from(sorted(sources)))
        film = broken(data, sources[name], list(sources.values()))
        return lambda: examiner.outcome(name, film)

    outcomes = tried(SECONDS, examine)
    assert outcomes["plan"] > 0
    assert outcomes["BAD_SOURCE"] > 0


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Parts]:
    """Of films with sound, subtitles, a cover and a font, for either kind of container."""
    folder = tmp_path_factory.mktemp("parts")
    names = (("film.mp4", "mp4"), ("film.mkv", "mkv"), ("film.mkv", "mp4"), ("film.avi", "mov"))
    return [Parts.of(make(folder / name, CLIPS[name]), container=kind) for name, kind in names]


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    made = Composer()
    yield made
    made.close()


def test_parts_are_a_result_before_they_are_broken(parts: list[Parts], composer: Composer) -> None:
    assert [composer.outcome(whole) for whole in parts] == ["ledger"] * len(parts)


def test_a_result_of_broken_parts_is_a_ledger_or_a_sentence(
    parts: list[Parts], composer: Composer
) -> None:
    """The sidecar, and the shard, as a decoder could leave them that a film took over."""
    others = [part for whole in parts for part in (whole.sidecar, whole.shard)]

    def compose(data: st.DataObject) -> Callable[[], str]:
        whole = data.draw(st.sampled_from(parts))
        which = data.draw(st.sampled_from(["sidecar", "sidecar", "shard"]))
        changed = broken(data, getattr(whole, which), others)
        return lambda: composer.outcome(replace(whole, **{which: changed}))

    outcomes = tried(SECONDS / 4, compose)
    assert outcomes["LEDGER_MISMATCH"] > 0
