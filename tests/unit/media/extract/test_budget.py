"""A job that would cost more than it may is refused before its film is decoded."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.common.runtime.errors import WorkerError
from containers.media.extract.judge.budget import Budget, rates
from containers.media.extract.judge.probe import Limits
from contracts import keys
from contracts.job import Settings, SourceObject
from contracts.models import CATALOGUE, ModelFacts, ModelName, StoredModel
from contracts.names import ExitCode, Stage
from contracts.pricing import FilmMeasures, film_cost, total
from contracts.stack.environ import ExtractEnvironment
from tests.support.bench import (
    EXTRACT_ENVIRONMENT,
    SOURCE_BUCKET,
    Bench,
)
from tests.support.films import (
    Clip,
    damage,
    make,
)
from tests.unit.media.support import DIGEST, FACTS

UNPRICED = FACTS.model_copy(update={"flop_per_pixel": 0.0})
HD = 1920, 1080


def budget(model: ModelFacts, max_cost: float | None, most: float) -> Budget:
    environment = ExtractEnvironment.model_validate(
        {**EXTRACT_ENVIRONMENT, "job_id": "film-1", "max_job_dollars": most}
    )
    source = SourceObject(bucket="b", key="film.mp4", version_id="v", etag="e", size=10**9)
    settings = Settings(model=ModelName.X4PLUS, scale=4, max_cost=max_cost)
    return Budget(Limits(source, environment), settings, model)


def price(frames: int, model: ModelFacts = CATALOGUE[ModelName.X4PLUS]) -> float:
    film = FilmMeasures(
        width=1920, height=1080, frames_per_second=25, seconds=frames / 25, bytes=1e9
    )
    known = rates(budget(model, None, 0).limits.environment)
    return total(film_cost(film, (7680, 4320), model, known))


@given(st.integers(1, 10**6), st.floats(1e-3, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_a_job_may_cost_its_estimate_and_no_more(
    frames: int, stacks: float, users: float, asked: bool
) -> None:
    limits = budget(CATALOGUE[ModelName.X4PLUS], users if asked else None, stacks)
    most = min(stacks, users) if asked else stacks
    dollars = price(frames)
    if dollars <= most * 0.99:
        limits.check(HD, frames, frames / 25)
    elif dollars > most * 1.01:
        with pytest.raises(WorkerError, match="would cost about") as refused:
            limits.check(HD, frames, frames / 25)
        assert refused.value.exit_code is ExitCode.LIMIT_EXCEEDED


def test_without_a_limit_everything_is_allowed() -> None:
    for model in (CATALOGUE[ModelName.X4PLUS], UNPRICED):
        budget(model, None, 0).check(HD, 10**9, 10**6)


@pytest.mark.parametrize(
    ("max_cost", "most", "end"),
    [
        (12, 500, "the limit is 12.00 (max_cost)"),
        (None, 500, "the limit is 500.00 (max_job_dollars)"),
        (0.05, 0, "the limit is 0.05 (max_cost)"),
        (9000, 1234.5, "the limit is 1,234.50 (max_job_dollars)"),
    ],
)
def test_the_sentence_says_price_limit_and_what_to_do(
    max_cost: float | None, most: float, end: str
) -> None:
    with pytest.raises(WorkerError) as refused:
        budget(CATALOGUE[ModelName.X4PLUS], max_cost, most).check(HD, 172_800, 7200)
    dollars = f"{price(172_800):,.2f}"
    assert refused.value.message == (
        f"film.mp4 would cost about {dollars} dollars with x4plus at 4x, {end}; choose a smaller "
        "result or a lighter model, cut the film, or raise the limit"
    )


@pytest.mark.logs_errors
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_film_is_priced_before_a_frame_of_it_is_planned(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Matroska's header does not tell how many frames there are: its packets do."""
    bench = Bench(make(tmp_path / name, Clip(frames=60)), scale=4, max_cost=0.008)
    assert bench.extract(worker_dollars_per_hour=500) == ExitCode.LIMIT_EXCEEDED
    message = bench.failure(Stage.EXTRACT).message
    assert message.startswith(f"{name} would cost about ")
    assert "dollars with lanczos at 4x, the limit is 0.008 (max_cost); choose" in message
    with caplog.at_level(logging.INFO):
        assert Bench(bench.film, scale=4, max_cost=9000).extract() == ExitCode.OK
    (priced,) = [vars(r) for r in caplog.records if r.message == "priced"]
    assert 0 < priced["estimated_dollars"] < 1


@pytest.mark.logs_errors
def test_a_price_that_the_header_tells_is_refused_before_any_decoding(tmp_path: Path) -> None:
    undecodable = damage(make(tmp_path / "film.mp4"), range(40))
    bench = Bench(undecodable, max_cost=0.001)
    assert bench.extract() == ExitCode.LIMIT_EXCEEDED
    assert "(max_cost)" in bench.failure(Stage.EXTRACT).message


@pytest.mark.logs_errors
def test_a_model_of_unknown_price_is_refused_where_there_is_a_limit(tmp_path: Path) -> None:
    bench = Bench(make(tmp_path / "film.mp4", frames=6), model=keys.stored_model(DIGEST))
    body = StoredModel(facts=UNPRICED).to_json().encode()
    bench.s3.put_object(Bucket=SOURCE_BUCKET, Key=keys.model_facts_key(DIGEST), Body=body)
    assert bench.extract(inference_memory_mib="9000") == ExitCode.BAD_REQUEST
    assert bench.failure(Stage.EXTRACT).message == (
        "film.mp4 has no price, for its model's facts do not say how much SwinIR (mine.pth) "
        "computes, and there is a limit (max_job_dollars); inspect the model again, or take the "
        "limit away"
    )
    assert bench.extract(inference_memory_mib="9000", max_job_dollars=0) == ExitCode.OK
