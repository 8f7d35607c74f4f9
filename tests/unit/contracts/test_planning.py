"""Shards, runs, sizes and time limits, whatever the film."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from contracts import planning
from contracts.film.manifest import Shard
from contracts.limits import BATCH_ARRAY_MAX, SHARD_SECONDS_MAX, SHARD_SECONDS_MIN
from contracts.models import CATALOGUE, ModelName
from tests.unit.contracts.support import FRAMES, RATES


@given(FRAMES, RATES, st.floats(SHARD_SECONDS_MIN, SHARD_SECONDS_MAX))
def test_shards_hold_every_frame_once_in_order_and_are_all_but_equal(
    frames: int, rate: Fraction, seconds: float
) -> None:
    shards = planning.plan_shards(frames, rate, seconds)
    assert [s.index for s in shards] == list(range(len(shards)))
    position = 0
    for shard in shards:
        assert shard.first_frame == position
        position += shard.frames
    assert position == frames
    lengths = {shard.frames for shard in shards}
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= max(1, round(seconds * float(rate)))


@given(st.integers(1, 12_000), st.floats(1e-6, 1e4), st.integers(1, 20_000))
def test_runs_hold_every_shard_once_and_keep_all_workers_busy(
    count: int, seconds_per_frame: float, parallelism: int
) -> None:
    shards = tuple(Shard(index=i, first_frame=i, frames=1) for i in range(count))
    runs = planning.plan_runs(shards, seconds_per_frame, parallelism)
    assert [run.index for run in runs] == list(range(len(runs)))
    position = 0
    for run in runs:
        assert run.first_shard == position
        position += run.shards
    assert position == count
    assert min(parallelism, count, BATCH_ARRAY_MAX) <= len(runs) <= BATCH_ARRAY_MAX


@given(st.integers(1, 8192), st.integers(1, 8192), st.sampled_from([2, 3, 4]))
def test_the_result_has_even_sides_and_loses_no_pixel(width: int, height: int, scale: int) -> None:
    for got, side in zip(planning.output_size(width, height, scale), (width, height), strict=True):
        assert got % 2 == 0
        assert 0 <= got - side * scale <= 1


@given(st.floats(0.04, 1e5), st.integers(1, 10_000))
def test_a_shards_length_is_as_asked_or_within_the_limits(film: float, parallelism: int) -> None:
    assert planning.shard_seconds(film, 7.5, parallelism) == 7.5
    chosen = planning.shard_seconds(film, None, parallelism)
    assert SHARD_SECONDS_MIN <= chosen <= SHARD_SECONDS_MAX


@given(FRAMES, st.sampled_from(ModelName), st.integers(1, 100))
def test_time_limits_are_longer_than_the_work(
    frames: int, model: ModelName, parallelism: int
) -> None:
    seconds = planning.frame_seconds(1280, 720, 4, model=CATALOGUE[model], worker_gflops=100)
    assert planning.process_timeout_seconds(frames, seconds, parallelism) > (
        frames * seconds / parallelism
    )
    assert planning.recompose_timeout_seconds(frames * 1280 * 720 * 16.0) > 0
