"""Films broken at random: a plan or one sentence, whatever the bytes. `make fuzz` runs longer."""

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.fuzz_support import Examiner
from tests.unit.mutations import CLIPS, films, mutations

SECONDS = float(os.environ.get("FUZZ_SECONDS", "20"))
EXAMPLES = int(SECONDS * 200)
"""More than the time allows; what comes too late is let pass."""


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


def test_a_broken_film_is_a_plan_or_a_sentence(
    sources: dict[str, bytes], examiner: Examiner
) -> None:
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + SECONDS

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        database=None,
    )
    @given(st.data())
    def examine(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(sources)))
        film = bytearray(sources[name])
        for mutate in data.draw(mutations(len(film), list(sources.values()))):
            mutate(film)
        if time.monotonic() > until:
            return
        outcomes[examiner.outcome(name, bytes(film))] += 1

    examine()
    assert outcomes["plan"] > 0
    assert outcomes["BAD_SOURCE"] > 0
