"""Estimates of prices: shapes that any price list keeps, and a few sums done by hand."""

import itertools

import pytest

from contracts.job import Settings
from contracts.models import CATALOGUE, ModelName
from contracts.planning import frame_seconds, target_size
from contracts.pricing import (
    EBS_GP3_GB_MONTH,
    GIB_TO_GB,
    HOURS_A_MONTH,
    INSTANCES,
    SPOT_SHARE,
    FilmMeasures,
    IdleStack,
    Rates,
    film_cost,
    fleet_dollars,
    idle_month,
    instance_dollars,
    total,
    worker_dollars,
)

FILM = FilmMeasures(width=1280, height=720, frames_per_second=24, seconds=600, bytes=300e6)
RATES = Rates(
    worker_dollars_per_hour=0.4,
    worker_gflops=8000,
    media_dollars_per_hour=0.1,
    intermediate_days=21,
)
SIZE = (5120, 2880)
MODEL = CATALOGUE[ModelName.ANIMEVIDEOV3]


@pytest.mark.parametrize(
    ("kind", "vcpus", "gpus", "price"),
    [
        ("g4dn.xlarge", 4, 1, 0.526),
        ("g4dn.2xlarge", 4, 1, 0.752),  # its one GPU is taken, whatever vCPUs are left
        ("g4dn.2xlarge", 4, 0, 0.376),
        ("c6i", 8, 0, 0.34),
        ("c6i.4xlarge", 8, 0, 0.34),
        ("c6i", 4, 1, None),  # without a GPU
        ("g4dn.xlarge", 8, 1, None),  # too small
        ("p5.48xlarge", 4, 1, None),  # unknown
    ],
)
def test_a_jobs_share_of_an_instance(kind: str, vcpus: int, gpus: int, price: float | None) -> None:
    got = instance_dollars(kind, vcpus, gpus)
    assert got == (None if price is None else pytest.approx(price))


def test_a_worker_costs_the_mean_of_what_is_known_and_its_disk() -> None:
    got = worker_dollars(["g4dn.xlarge", "g5.xlarge", "x9.huge"], 4, 1, spot=True, scratch_gib=60)
    disk = 60 * GIB_TO_GB * EBS_GP3_GB_MONTH / HOURS_A_MONTH
    assert got == pytest.approx((0.526 + 1.006) / 2 * SPOT_SHARE + disk)


def test_a_fleets_price_is_that_of_its_instances_and_disks() -> None:
    got = fleet_dollars(["g4dn.xlarge", "g5.xlarge"], 2, 1, scratch_gib=60)
    disk = 60 * GIB_TO_GB * EBS_GP3_GB_MONTH / HOURS_A_MONTH
    assert got == pytest.approx((0.526 + 1.006) / 2 * (2 * SPOT_SHARE + 1) + 3 * disk)


def test_no_price_is_better_than_a_made_up_one() -> None:
    assert worker_dollars(["x9.huge"], 4, 1, spot=True, scratch_gib=60) is None


def test_a_larger_size_of_a_family_costs_no_less() -> None:
    sizes = sorted(INSTANCES.items(), key=lambda item: (item[0].split(".")[0], item[1].vcpus))
    for (small, less), (large, more) in itertools.pairwise(sizes):
        if small.split(".")[0] == large.split(".")[0]:
            assert less.dollars_per_hour < more.dollars_per_hour


def test_upscaling_costs_the_planners_seconds_at_the_workers_price() -> None:
    seconds = FILM.frames * frame_seconds(1280, 720, 4, model=MODEL, worker_gflops=8000)
    costs = film_cost(FILM, SIZE, MODEL, RATES)
    pure = seconds / 3600 * RATES.worker_dollars_per_hour
    assert pure < costs["upscaling"] < 1.3 * pure  # the rest is the runs' start
    assert costs["upscaling"] > 0.5 * total(costs)


@pytest.mark.parametrize("name", [n for n in ModelName if n is not ModelName.LANCZOS])
def test_twice_the_film_costs_about_twice(name: ModelName) -> None:
    longer = FilmMeasures(width=1280, height=720, frames_per_second=24, seconds=1200, bytes=600e6)
    once = total(film_cost(FILM, SIZE, CATALOGUE[name], RATES))
    twice = total(film_cost(longer, SIZE, CATALOGUE[name], RATES))
    assert 1.9 < twice / once <= 2.0


def test_fitting_to_fewer_lines_costs_the_same_network_and_less_encoding() -> None:
    lines = target_size(Settings.parse({"fit": "2160p"}), FILM.width, FILM.height)
    fitted, whole = (film_cost(FILM, size, MODEL, RATES) for size in (lines, SIZE))
    network = FILM.frames * FILM.width * FILM.height * MODEL.flop_per_pixel / 8e12 / 3600 * 0.4
    assert network < fitted["upscaling"] < whole["upscaling"]
    assert fitted["intermediate shards"] / whole["intermediate shards"] == pytest.approx(9 / 16)


def test_a_faster_worker_at_the_same_price_makes_it_cheaper() -> None:
    fast = Rates(
        worker_dollars_per_hour=0.4,
        worker_gflops=80_000,
        media_dollars_per_hour=0.1,
        intermediate_days=21,
    )
    assert total(film_cost(FILM, SIZE, MODEL, fast)) < total(film_cost(FILM, SIZE, MODEL, RATES))


def test_an_idle_month_is_the_sum_of_what_stands() -> None:
    standing = IdleStack(
        keys=2,
        alarm_metrics=10,
        dashboards=1,
        standing_metrics=4,
        endpoint_zones=12,
        reconciler_minutes=5,
        fleet_dollars_per_hour=2,
    )
    costs = idle_month(standing)
    reconciler = costs.pop("reconciler")
    assert costs == pytest.approx(
        {
            "KMS keys": 2,
            "alarms": 1,
            "dashboards": 3,
            "metrics": 1.2,
            "interface endpoints": 87.6,
            "Spot Fleet": 1460,
        }
    )
    assert 0 < reconciler < 0.2
