"""A network's both ends: alpha, range and depth on the way through, the number format's bound."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from containers.common.film.pictures import (
    Picture,
    plane_shapes,
    sample_type,
)
from containers.upscaler.device.compositing import Compositor, SourceBatch
from containers.upscaler.device.planes import Layout
from containers.upscaler.device.target import Target
from contracts.film.facts import Colour
from contracts.models import ModelName
from tests.unit.upscaler.models.support import (
    load,
    network_output,
    plan,
    real_picture,
)
from tests.unit.upscaler.support import BT709

CPU = torch.device("cpu")


def passed(picture: Picture, pixel_format: str, size: tuple[int, int], **changes: Any) -> Picture:
    """Through both ends with a network between them that repeats every pixel 4 x 4."""
    source = changes.pop("source_colour", BT709)
    target = Target(
        width=size[0], height=size[1], pixel_format=pixel_format,
        source_colour=source, colour=BT709, bits=8,
    )  # fmt: skip
    compositor = Compositor(
        plan(ModelName.ANIMEVIDEOV3, **changes), target, source=picture, device=CPU
    )
    planes = [torch.from_numpy(plane)[None] for plane in picture.planes]
    rgb = compositor.to_rgb(planes)
    cells: Tensor = rgb.repeat_interleave(16, dim=1)
    made = compositor.compose(cells, 4, SourceBatch(planes, rgb, [picture.pts]))
    return made.unpack(made.packed, pixel_format, [picture.pts])[0]


def noisy(pixel_format: str) -> Picture:
    peak, kind = 2 ** Layout(pixel_format, BT709, (0, 0)).bits, sample_type(pixel_format)
    draw = np.random.default_rng(4).integers
    shapes = plane_shapes(pixel_format, 32, 24)
    return Picture(5, pixel_format, tuple(draw(0, peak, s).astype(kind) for s in shapes))


@pytest.mark.parametrize("size", [(128, 96), (64, 48), (96, 72)])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [("yuva420p", "yuva420p"), ("yuva444p10le", "yuva444p10le"), ("gbrap", "yuva444p10le")],
)
def test_alpha_is_enlarged_beside_the_picture(
    given: str, wanted: str, size: tuple[int, int]
) -> None:
    picture = noisy(given)
    alpha = picture.planes[3]
    alpha[:, :16], alpha[:, 16:] = 0, np.iinfo(alpha.dtype).max if given == "gbrap" else alpha.max()
    made = passed(picture, wanted, size)
    assert [plane.shape for plane in made.planes] == plane_shapes(wanted, *size)
    inner = made.planes[3][:, [4, -4]]
    peak = 2 ** Layout(wanted, BT709, (0, 0)).bits - 1
    assert (inner[:, 0] == 0).all()
    share = float(alpha.max()) / (2 ** Layout(given, BT709, (0, 0)).bits - 1)
    assert np.abs(inner[:, 1] - share * peak).max() <= 1


def test_a_picture_without_alpha_is_opaque_where_alpha_is_wanted() -> None:
    made = passed(noisy("yuv420p"), "yuva420p", (128, 96))
    assert (made.planes[3] == 255).all()


def test_alpha_that_the_result_cannot_hold_is_left_out() -> None:
    assert len(passed(noisy("yuva420p"), "yuv420p", (128, 96)).planes) == 3


@pytest.mark.parametrize("wanted", ["yuv422p10le", "yuv444p12le", "gbrp"])
def test_full_range_and_depth_become_the_results(wanted: str) -> None:
    """Grey of full range, 8 bits: its black, middle and white in limited range and in RGB."""
    full = Colour(primaries=1, transfer=1, matrix=1, full_range=True)
    luma = np.repeat(np.array([0, 128, 255], np.uint8), 32)[None].repeat(24, axis=0)
    picture = Picture(0, "gray", (luma,))
    made = passed(picture, wanted, (384, 96), source_colour=full).planes[0]
    kind = Layout(wanted, BT709, (0, 0)).codes()
    for column, value in ((64, 0), (192, 128), (320, 255)):
        assert abs(made[48, column] - (kind.zero + kind.span * value / 255)) <= 0.51


def test_the_networks_own_mean_is_held_to_the_source_where_the_plan_says_so() -> None:
    """A network that darkens everything: anchored, the result has the source's levels again."""
    picture = Picture(0, "gray", (np.full((24, 32), 180, np.uint8),))
    target = Target(
        width=128, height=96, pixel_format="gray", source_colour=BT709, colour=BT709, bits=8
    )
    levels = []
    for anchored in (False, True):
        inference = plan(ModelName.ANIMEVIDEOV3, anchored=anchored)
        compositor = Compositor(inference, target, source=picture, device=CPU)
        planes = [torch.from_numpy(picture.planes[0])[None]]
        rgb = compositor.to_rgb(planes)
        made_planes = compositor.compose(
            (rgb * 0.9).repeat_interleave(16, dim=1), 4, SourceBatch(planes, rgb, [0])
        )
        levels.append(int(made_planes.planes[0][0, 40, 60]))
    assert levels[0] < 170
    assert levels[1] == 180


@pytest.mark.parametrize(("anchored", "grows"), [(False, True), (True, False)])
def test_grain_that_anchoring_keeps_is_not_drawn_twice(anchored: bool, grows: bool) -> None:
    """A network that flattens all: its lost grain is drawn, unless the plan adds it back."""
    luma = np.random.default_rng(2).normal(120, 6, (96, 160)).round().astype(np.uint8)
    picture = Picture(0, "gray", (luma,))
    target = Target(
        width=640, height=384, pixel_format="gray", source_colour=BT709, colour=BT709, bits=8
    )
    spread = []
    for grain in (None, "keep"):
        inference = plan(ModelName.ANIMEVIDEOV3, anchored=anchored, grain=grain)
        compositor = Compositor(inference, target, source=picture, device=CPU)
        planes = [torch.from_numpy(luma)[None]]
        rgb = compositor.to_rgb(planes)
        flat = torch.full((1, 48, 96, 160), float(rgb.mean()))
        spread.append(
            float(
                compositor.compose(flat, 4, SourceBatch(planes, rgb, [0])).planes[0].float().std()
            )
        )
    assert spread[1] == pytest.approx(6.0 if grows else spread[0], rel=0.12)


@pytest.mark.parametrize(
    ("model", "size", "levels"),
    [
        (ModelName.ANIMEVIDEOV3, (32, 40), 1),
        (ModelName.X4PLUS_ANIME, (16, 16), 1),
        (ModelName.X4PLUS, (12, 12), 2),
    ],
)
def test_float16_stays_within_its_stated_bound(
    weights: Path, model: ModelName, size: tuple[int, int], levels: int
) -> None:
    """docs/decisions/0006; GPUs compute in it, which processors can emulate."""
    picture = real_picture(*size)
    exact = load(weights, model, *size)
    wanted = network_output(exact, picture)
    exact.engine.network.half()
    exact.engine._dtype = torch.float16
    found = network_output(exact, picture)
    assert np.isfinite(found).all()
    error = (found - wanted) * 255
    assert 10 * np.log10(255**2 / (error**2).mean()) > 60
    rounded = (a.clip(0, 1) * 255 for a in (found, wanted))
    assert np.abs(np.subtract(*(r.round() for r in rounded))).max() <= levels
