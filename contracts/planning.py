"""Pure planning: shards, runs, sizes, time limits. No I/O, no media library."""

import itertools
import math
from fractions import Fraction

from contracts.film.manifest import Run, Shard
from contracts.job import Settings
from contracts.limits import (
    BATCH_ARRAY_MAX,
    RUN_SECONDS_TARGET,
    SHARD_SECONDS_DEFAULT,
    SHARD_SECONDS_MIN,
)
from contracts.models import ModelFacts

ENCODE_SECONDS_PER_MEGAPIXEL = 0.04
"""x264 fast, measured on two 2-core machines; generous: it only sizes runs and time limits."""
WORKER_START_SECONDS = 30.0
MIN_STAGE_TIMEOUT_SECONDS = 900
QUEUE_ALLOWANCE_SECONDS = 6 * 3600
"""How long a stage may wait for (Spot) capacity before its time limit ends it."""
TIMEOUT_SAFETY = 6.0


SMALLEST_TILE = 32
"""Source pixels; on smaller tiles a halo of 48 makes up nine tenths of the work."""


def output_size(width: int, height: int, scale: int) -> tuple[int, int]:
    """(width, height) of the result. 4:2:0 needs even sides, so an odd product grows by one."""
    return _even(width * scale), _even(height * scale)


def fitted_size(width: int, height: int, lines: int) -> tuple[int, int]:
    """(width, height) of a result with `lines` lines; it keeps the aspect, and both are even."""
    return max(2, 2 * round(width * lines / height / 2)), lines


def target_size(settings: Settings, width: int, height: int) -> tuple[int, int]:
    """(width, height) of the result of a source of that size."""
    if settings.fit is None:
        return output_size(width, height, settings.scale)
    return fitted_size(width, height, settings.fit)


def _even(value: int) -> int:
    return value + value % 2


def plan_tile(
    width: int, height: int, model: ModelFacts, *, bytes_per_pixel: float, memory_bytes: float
) -> int:
    """The side of the largest tiles that fit into the memory, in source pixels; 0: untiled.

    Large tiles waste least, because the halo around each is computed twice. `bytes_per_pixel` is
    that of the whole batch. The side is never below `smallest_tile`; the worker names what does not
    fit even then.
    """
    if width * height * bytes_per_pixel <= memory_bytes:
        return 0
    side = math.isqrt(int(memory_bytes / bytes_per_pixel)) - 2 * model.halo
    return max(side // model.grid * model.grid, smallest_tile(model))


def smallest_tile(model: ModelFacts) -> int:
    """The side in source pixels below which tiles are not worth their halo."""
    return -(-SMALLEST_TILE // model.grid) * model.grid


def shard_seconds(film_seconds: float, wanted: float | None, parallelism: int) -> float:
    """Length of a shard: `wanted`, or 10 s, or less so that every worker gets a shard."""
    if wanted is not None:
        return wanted
    share = film_seconds / parallelism
    return min(SHARD_SECONDS_DEFAULT, max(share, SHARD_SECONDS_MIN, 1.0))


def plan_shards(frames: int, rate: Fraction, seconds: float) -> tuple[Shard, ...]:
    """Cut `frames` into nearly equal shards of at most about `seconds` of film.

    Raises ValueError for a film without frames.
    """
    if frames <= 0:
        raise ValueError("a film has at least one frame")
    longest = max(1, round(seconds * float(rate)))
    count = math.ceil(frames / longest)
    bounds = [frames * i // count for i in range(count + 1)]
    return tuple(
        Shard(index=i, first_frame=a, frames=b - a)
        for i, (a, b) in enumerate(itertools.pairwise(bounds))
    )


def frame_seconds(
    width: int, height: int, scale: float, *, model: ModelFacts, worker_gflops: float
) -> float:
    """Estimated seconds that a worker takes for a frame; width and height are the source's."""
    pixels = width * height
    inference = pixels * model.flop_per_pixel / (worker_gflops * 1e9)
    encode = pixels * scale**2 / 1e6 * ENCODE_SECONDS_PER_MEGAPIXEL
    return inference + encode


def plan_runs(
    shards: tuple[Shard, ...], seconds_per_frame: float, parallelism: int
) -> tuple[Run, ...]:
    """Group consecutive shards into runs of about three minutes of a worker's time.

    At least one run for each worker, if there are enough shards; at most 10,000, the limit of an
    array job.
    """
    total = sum(shard.frames for shard in shards) * seconds_per_frame
    wanted = max(math.ceil(total / RUN_SECONDS_TARGET), parallelism, 1)
    count = min(wanted, len(shards), BATCH_ARRAY_MAX)
    bounds = [len(shards) * i // count for i in range(count + 1)]
    return tuple(
        Run(index=i, first_shard=a, shards=b - a)
        for i, (a, b) in enumerate(itertools.pairwise(bounds))
    )


def process_timeout_seconds(frames: int, seconds_per_frame: float, parallelism: int) -> int:
    """Time limit of the process stage: a multiple of the work, and the wait for capacity."""
    work = frames * seconds_per_frame / parallelism + WORKER_START_SECONDS
    return math.ceil(max(work * TIMEOUT_SAFETY, MIN_STAGE_TIMEOUT_SECONDS)) + (
        QUEUE_ALLOWANCE_SECONDS
    )


def recompose_timeout_seconds(output_pixels: float) -> int:
    """Time limit of the recompose stage; `output_pixels` over the whole film."""
    work = output_pixels * 1e-8 + WORKER_START_SECONDS
    return math.ceil(max(work * TIMEOUT_SAFETY, MIN_STAGE_TIMEOUT_SECONDS)) + (
        QUEUE_ALLOWANCE_SECONDS
    )
