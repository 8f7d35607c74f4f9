"""Grain: as strong as requested or as the source's, never repeated, always the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from containers.common.film.pictures import Picture
from containers.upscaler.device.grain import LEVEL, GrainSynthesizer, measure_noise
from containers.upscaler.device.target import Target
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.repeated_frames import RepeatSkipper
from contracts.models import ModelName
from tests.unit.upscaler.models.support import plan
from tests.unit.upscaler.support import BT709

CPU = torch.device("cpu")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SOURCE, LARGE = (160, 96), (640, 384)


def flat(value: float, size: tuple[int, int] = SOURCE) -> torch.Tensor:
    return torch.full((1, size[1], size[0]), value)


def grainy(value: float, levels: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (
        flat(value) + torch.randn((1, SOURCE[1], SOURCE[0]), generator=generator) * levels * LEVEL
    )


def upscaler(folder: Path, **changes: Any) -> Any:
    target = Target(
        width=256, height=192, pixel_format="yuv420p", source_colour=BT709, colour=BT709, bits=8
    )
    batch = plan(ModelName.ANIMEVIDEOV3, **changes)
    return load_upscaler(batch, target, model_dir=folder, device="cpu")


def pictures(count: int, noise: float = 0.0) -> list[Picture]:
    """Grey ramps of 64x48 with noise of so many levels, numbered from 10."""
    ramp = np.broadcast_to(np.linspace(50, 200, 64), (48, 64))
    made = []
    for n in range(count):
        luma = ramp + np.random.default_rng(n).normal(0, 1, ramp.shape) * noise
        chroma = np.full((24, 32), 128, np.uint8)
        made.append(Picture(10 + n, "yuv420p", (luma.round().astype(np.uint8), chroma, chroma)))
    return made


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [LARGE, (320, 192), (428, 256), SOURCE])
@pytest.mark.parametrize("levels", [0.5, 2.0, 8.0])
def test_grain_has_the_strength_asked_for(
    levels: float, size: tuple[int, int], device: str
) -> None:
    grey = flat(0.5).to(device)
    field = GrainSynthesizer(levels, SOURCE, size, device=torch.device(device)).draw(
        grey, grey, [3]
    )
    assert field.shape == (1, size[1], size[0])
    assert float(field.std()) / LEVEL == pytest.approx(levels, rel=0.03)
    assert abs(float(field.mean())) / LEVEL < 0.03 * levels
    spots = field[0].unflatten(0, (-1, size[1] // 4)).unflatten(2, (-1, size[0] // 4)).std((1, 3))
    assert float(spots.min()) / LEVEL > 0.85 * levels  # alike everywhere: no seams, no lattice


@pytest.mark.parametrize("levels", [1.0, 3.0, 6.0])
def test_the_grain_of_a_source_is_measured(levels: float) -> None:
    found = measure_noise(grainy(0.5, levels)[0])[8] / LEVEL
    assert found == pytest.approx(levels, rel=0.08)


def test_detail_is_not_taken_for_grain() -> None:
    x, y = np.meshgrid(np.arange(160), np.arange(96))
    hard = ((x // 20 + y // 16) % 2 * 0.4 + 0.3).astype(np.float32)
    soft = (0.5 + 0.3 * np.sin(x / 9.0) * np.cos(y / 7.0)).astype(np.float32)
    for picture in (hard, soft):
        assert measure_noise(torch.from_numpy(picture)).max() / LEVEL < 0.4


def test_kept_grain_is_what_the_network_took_by_brightness() -> None:
    left, right = grainy(0.3, 2.0), grainy(0.7, 5.0, seed=1)
    source = torch.cat((left[..., :80], right[..., 80:]), dim=2)
    clean = torch.cat((flat(0.3)[..., :80], flat(0.7)[..., 80:]), dim=2)
    field = GrainSynthesizer("keep", SOURCE, LARGE, device=CPU).draw(source, clean, [0])[0] / LEVEL
    assert float(field[:, :300].std()) == pytest.approx(2.0, rel=0.12)
    assert float(field[:, 340:].std()) == pytest.approx(5.0, rel=0.12)
    half = (
        GrainSynthesizer("keep", SOURCE, LARGE, device=CPU).draw(source, (source + clean) / 2, [0])[
            0
        ]
        / LEVEL
    )
    assert float(half[:, 340:].std()) == pytest.approx(5.0 * 0.75**0.5, rel=0.15)
    assert (
        float(
            GrainSynthesizer("keep", SOURCE, LARGE, device=CPU).draw(clean, clean, [0]).abs().max()
        )
        == 0
    )


def test_black_and_white_stay_as_they_are() -> None:
    grain = GrainSynthesizer(4.0, SOURCE, LARGE, device=CPU)
    for value in (0.0, 1.0, -0.02):
        assert float(grain.draw(flat(value), flat(value), [0]).abs().max()) == 0


@pytest.mark.parametrize("device", DEVICES)
def test_grain_is_white_up_to_the_sources_detail_and_new_in_every_picture(device: str) -> None:
    grey = flat(0.5).to(device)
    grain = GrainSynthesizer(2.0, SOURCE, SOURCE, device=torch.device(device))
    fields = torch.stack([grain.draw(grey, grey, [pts])[0] for pts in range(-4, 12)]).cpu()
    whole = fields.flatten(1) / fields.std()
    others = (whole @ whole.T / whole.shape[1]).fill_diagonal_(0).abs()
    assert float(others.max()) < 0.04
    for shift in ((0, 1), (1, 0), (1, 1), (0, 7)):
        moved = fields.roll(shift, (1, 2)).flatten(1) / fields.std()
        assert float((whole * moved).mean().abs()) < 0.01
    large = (
        GrainSynthesizer(2.0, SOURCE, LARGE, device=torch.device(device))
        .draw(grey, grey, [0])[0]
        .cpu()
    )
    power = torch.fft.rfft2(large).abs() ** 2
    beyond = power[LARGE[1] // 6 : -LARGE[1] // 6].sum() / power.sum()
    assert float(beyond) < 0.05  # the source's sampling theorem, with a margin


def test_the_same_bytes_in_any_batch_and_with_any_tiles_or_threads(weights: Path) -> None:
    given = pictures(3, noise=3)
    wanted = upscaler(weights, grain="keep", batch=3).upscale(given)
    one_by_one = upscaler(weights, grain="keep")
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for picture, expected in zip(given, wanted, strict=True):
                (made,) = one_by_one.upscale([picture])
                assert made.pts == expected.pts
                for a, b in zip(made.planes, expected.planes, strict=True):
                    assert np.abs(a.astype(int) - b).max() <= 1  # the network's own last bits
    finally:
        torch.set_num_threads(before)
    tiled = upscaler(weights, grain=4.0, tile=24, halo=18).upscale(given[:1])[0]
    untiled = upscaler(weights, grain=4.0).upscale(given[:1])[0]
    assert np.abs(tiled.planes[0].astype(int) - untiled.planes[0]).max() <= 1


def test_grain_is_drawn_in_luma_alone_and_once_more_for_a_held_picture(weights: Path) -> None:
    held = pictures(1)[0]
    shown = [Picture(pts, held.pixel_format, held.planes) for pts in (1, 2)]
    model = upscaler(weights, grain=3.0, batch=2)
    repeats = RepeatSkipper(model)
    first, second = repeats.begin(shown).pictures()
    plain = upscaler(weights).upscale([held])[0]
    assert repeats.repeated == 0
    difference = first.planes[0].astype(float) - second.planes[0]
    assert difference.std() == pytest.approx(3.0 * 219 / 255 * 2**0.5, rel=0.1)
    for a, b in zip(first.planes[1:], plain.planes[1:], strict=True):
        assert np.array_equal(a, b)
