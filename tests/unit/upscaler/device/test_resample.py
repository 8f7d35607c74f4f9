"""Resampling on the device: Lanczos's weights, any size, the same bits whatever the threads."""

import cv2
import numpy as np
import pytest
import torch

from containers.upscaler.device.resample import Resampler

CPU = torch.device("cpu")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(128, 96), (96, 72), (64, 48), (70, 52), (33, 101)])
def test_enlarging_agrees_with_opencv(size: tuple[int, int], device: str) -> None:
    x = noise(24, 32)
    ours = Resampler((32, 24), size, torch.device(device))(x.to(device)).cpu().numpy()[0]
    theirs = cv2.resize(
        x.numpy()[0].transpose(1, 2, 0), size, interpolation=cv2.INTER_LANCZOS4
    ).transpose(2, 0, 1)
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(16, 12), (20, 11), (31, 24), (48, 9)])
def test_flat_pictures_stay_flat(size: tuple[int, int], device: str) -> None:
    flat = torch.full((1, 24, 32), 0.3, device=device)
    made = Resampler((32, 24), size, torch.device(device))(flat)
    assert made.shape == (1, size[1], size[0])
    assert float((made - 0.3).abs().max()) < 1e-6


def test_reducing_leaves_no_alias_of_detail_that_has_no_room() -> None:
    stripes = torch.arange(128).remainder(2).to(torch.float32).expand(64, 128)
    made = Resampler((128, 64), (32, 16), CPU)(stripes[None])[0, 3:-3, 3:-3]
    assert float((made - 0.5).abs().max()) < 0.02


def test_rows_may_be_asked_for_in_parts() -> None:
    resampler = Resampler((32, 24), (128, 96), CPU)
    x = noise(24, 32)
    columns = resampler.columns(x).contiguous()
    parts = [resampler.rows(columns, start, start + 8) for start in range(0, 96, 8)]
    assert torch.equal(torch.cat(parts, dim=-2), resampler(x))


def test_the_same_size_is_the_same_picture() -> None:
    x = noise(24, 32)
    assert torch.equal(Resampler((32, 24), (32, 24), CPU)(x), x)


def test_threads_do_not_change_a_bit() -> None:
    before, x = torch.get_num_threads(), noise(180, 317)
    made = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made.append(Resampler((317, 180), (701, 400), CPU)(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
