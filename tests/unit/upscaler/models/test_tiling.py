"""Tiles: planned by memory, equal to the whole picture, split where memory runs out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from containers.common.runtime.worker import WorkerError
from containers.upscaler.host import memory
from containers.upscaler.models import network_upscaler
from containers.upscaler.models.tiling import plan_tiles
from contracts.models import (
    CATALOGUE,
    MAX_HALO,
    Engine,
    ModelFacts,
    ModelName,
)
from contracts.names import ExitCode
from contracts.planning import plan_tile, smallest_tile
from tests.unit.upscaler.models.support import (
    LEVEL,
    load,
    network_output,
    real_picture,
)
from tests.unit.upscaler.support import enlarge, texture


@pytest.mark.parametrize("tile", [24, 33, 50])
@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
def test_tiles_with_the_receptive_radius_equal_the_whole(
    weights: Path, engine: Engine, tile: int
) -> None:
    picture = texture(61, 83)
    whole = load(weights, ModelName.ANIMEVIDEOV3, 61, 83, engine=engine)
    halo = CATALOGUE[ModelName.ANIMEVIDEOV3].halo
    tiled = load(weights, ModelName.ANIMEVIDEOV3, 61, 83, engine=engine, tile=tile, halo=halo)
    difference = network_output(tiled, picture) - network_output(whole, picture)
    assert np.abs(difference).max() < 0.003 * LEVEL
    shown = enlarge(tiled, picture).astype(int) - enlarge(whole, picture)
    assert np.abs(shown).max() <= 1
    assert (shown != 0).mean() < 0.001


def test_a_halo_below_the_radius_leaves_seams(weights: Path) -> None:
    picture = texture(61, 83)
    whole = load(weights, ModelName.ANIMEVIDEOV3, 61, 83)
    tiled = load(weights, ModelName.ANIMEVIDEOV3, 61, 83, tile=24, halo=4)
    difference = network_output(tiled, picture) - network_output(whole, picture)
    assert np.abs(difference).max() > LEVEL


def test_tiles_of_networks_that_enlarge_themselves_fit_together(weights: Path) -> None:
    picture = texture(20, 30)
    whole = enlarge(load(weights, ModelName.X4PLUS_ANIME, 20, 30), picture)
    tiled = enlarge(load(weights, ModelName.X4PLUS_ANIME, 20, 30, tile=16, halo=94), picture)
    assert np.abs(tiled.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(83, 61), (64, 48), (1, 1), (512, 3)])
def test_tiles_cover_the_picture_once(width: int, height: int) -> None:
    seen = np.zeros((height, width), int)
    for tile in plan_tiles(width, height, side=20, halo=7):
        rows, columns = tile.rows, tile.columns
        seen[rows.start : rows.stop, columns.start : columns.stop] += 1
        assert rows.stop - rows.start <= 20
        assert rows.read_start == max(0, rows.start - 7)
        assert columns.read_stop == min(width, columns.stop + 7)
    assert (seen == 1).all()


@pytest.mark.parametrize(("width", "height"), [(83, 61), (64, 48), (5, 130)])
def test_what_tiles_read_begins_on_the_grid(width: int, height: int) -> None:
    seen = np.zeros((height, width), int)
    for tile in plan_tiles(width, height, side=24, halo=16, grid=8):
        seen[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop] += 1
        for span in (tile.rows, tile.columns):
            assert span.read_start % 8 == span.start % 8 == 0
            assert 0 < span.stop - span.start <= 24
    assert (seen == 1).all()
    with pytest.raises(ValueError, match="leave the grid of 8"):
        plan_tiles(width, height, side=20, halo=16, grid=8)


def test_tiles_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        plan_tiles(10, 10, side=0, halo=0)


def test_rrdb_tiles_stay_within_the_stated_bound_and_show_no_seam(weights: Path) -> None:
    """docs/decisions/0031. Of a strip, so that the halo of 48 ends inside the picture."""
    model = ModelName.X4PLUS_ANIME
    picture = real_picture(24, 168)
    whole = enlarge(load(weights, model, 24, 168), picture).astype(int)
    tiled = enlarge(load(weights, model, 24, 168, tile=84, halo=MAX_HALO), picture).astype(int)
    error = np.abs(tiled - whole)
    assert error.max() <= 4
    assert error.mean() < 0.05
    step = np.abs(np.diff(tiled, axis=2) - np.diff(whole, axis=2)).mean(axis=(0, 1, 3))
    assert step[84 * 4 - 1] < 0.5


@given(
    width=st.integers(1, 9000),
    height=st.integers(1, 5000),
    mib=st.integers(1, 50_000),
    need=st.sampled_from([1_300, 3_600, 15_500, 54_000]),
    radius=st.none() | st.integers(0, 400),
    grid=st.sampled_from([1, 8, 12, 64]),
)
def test_what_is_planned_fits_the_memory_or_is_as_small_as_may_be(
    width: int, height: int, mib: int, need: int, radius: int | None, grid: int
) -> None:
    fields = {**CATALOGUE[ModelName.X4PLUS].model_dump(), "radius": radius, "grid": grid}
    model = ModelFacts.model_validate(fields)
    side = plan_tile(width, height, model, bytes_per_pixel=need, memory_bytes=mib * 1024**2)
    pixels = (side + 2 * model.halo) ** 2 if side else width * height
    assert pixels * need <= mib * 1024**2 or side == smallest_tile(model)
    assert side % grid == model.halo % grid == 0
    assert model.halo >= min(MAX_HALO, MAX_HALO if radius is None else radius)


class Short:
    """An engine whose memory holds `pixels` and no more."""

    def __init__(self, engine: Any, pixels: int) -> None:
        self._engine, self._pixels = engine, pixels
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, x: Any) -> Any:
        self.asked.append(x.shape[2] * x.shape[3])
        return self._engine.run(x) if self.asked[-1] <= self._pixels else None


@pytest.mark.parametrize("tile", [0, 80])
def test_where_memory_runs_out_the_picture_is_done_anew_in_smaller_tiles(
    weights: Path, tile: int
) -> None:
    picture = texture(72, 130)
    whole = enlarge(load(weights, ModelName.ANIMEVIDEOV3, 72, 130), picture)
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 72, 130, tile=tile, halo=18)
    upscaler.engine = short = Short(upscaler.engine, pixels=70 * 80)
    result = enlarge(upscaler, picture)
    assert np.abs(result.astype(int) - whole).max() <= 1
    assert 0 < upscaler.tile < 80
    before = len(short.asked)
    assert (enlarge(upscaler, picture) == result).all()
    assert max(short.asked[before:]) <= 70 * 80  # the next picture does not try again


def test_memory_that_holds_not_even_the_smallest_tile_ends_the_worker(weights: Path) -> None:
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 72, 130)
    upscaler.engine = Short(upscaler.engine, pixels=100)
    with pytest.raises(WorkerError, match="too little memory for animevideov3 even in") as caught:
        enlarge(upscaler, texture(72, 130))
    assert caught.value.exit_code is ExitCode.UNSUPPORTED


def test_a_worker_with_less_memory_than_planned_tiles_at_once(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = CATALOGUE[ModelName.ANIMEVIDEOV3]
    need = facts.bytes_per_pixel[Engine.TORCH]
    free = 72 * 130 * facts.tail_bytes_per_pixel + 76 * 76 * need
    monkeypatch.setattr(network_upscaler, "available_bytes", lambda kind: free)
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 72, 130)
    upscaler.engine = short = Short(upscaler.engine, pixels=76 * 76)
    enlarge(upscaler, texture(72, 130))
    assert upscaler.tile == 40
    assert max(short.asked) <= 76 * 76


@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
def test_a_real_allocator_that_refuses_is_a_value_not_a_crash(
    weights: Path, engine: Engine
) -> None:
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 8, 8, engine=engine)
    terabytes = torch.zeros(1, 3, 1, 1).expand(1, 3, 10**6, 10**6)
    assert upscaler.engine.run(terabytes) is None
    assert upscaler.engine.run(torch.zeros(1, 3, 8, 8)) is not None


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"memory.max": "1000", "memory.current": "400"}, 600),
        ({"memory.max": "1000", "memory.current": "4000"}, 0),
        ({"memory/memory.limit_in_bytes": "900", "memory/memory.usage_in_bytes": "100"}, 800),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, files: dict[str, str], free: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert memory.available_bytes("cpu", tmp_path) == free


def test_without_a_limit_the_machines_memory_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    assert memory.available_bytes("cpu", tmp_path) > 10**7
    assert memory.available_bytes("cpu", tmp_path / "none") > 10**7
