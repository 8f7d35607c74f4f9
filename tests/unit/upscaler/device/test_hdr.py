"""HDR through networks made for SDR: no highlight cut off, no band that the source has not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from containers.common.film.pictures import Picture
from containers.upscaler.device.target import Target
from containers.upscaler.models.loading import load_upscaler
from contracts.film.facts import Colour
from contracts.models import ModelName
from tests.unit.upscaler.models.support import plan

PQ = Colour(primaries=9, transfer=16, matrix=9, full_range=False)
HLG = Colour(primaries=9, transfer=18, matrix=9, full_range=False)
WIDTH, HEIGHT = 96, 32


def pq(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: 0 to 10,000 cd/m2 -> signal 0 to 1."""
    y = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(nits: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, table 5: 0 to 1,000 cd/m2 of a grey scene -> signal 0 to 1.

    The system gamma of 1.2 is undone first, for a display of 1,000 cd/m2.
    """
    scene = (nits / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    upper = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


def grey(signal: np.ndarray) -> Picture:
    """A grey picture of 10 bits, limited range."""
    luma = (64 + 876 * signal).round().astype(np.uint16)
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 512, np.uint16)
    return Picture(0, "yuv420p10le", (luma, chroma, chroma))


def enlarged(
    folder: Path, picture: Picture, model: ModelName, colour: Colour, scale: int = 4
) -> np.ndarray:
    """Luma codes, (rows, columns)."""
    target = Target(
        width=WIDTH * scale, height=HEIGHT * scale, pixel_format="yuv420p10le",
        source_colour=colour, colour=colour, bits=16, chroma_location=3,
    )  # fmt: skip
    inference = plan(model, scale=scale, anchored=True)
    upscaler = load_upscaler(inference, target, model_dir=folder, device="cpu")
    return upscaler.upscale([picture])[0].planes[0].astype(int)


def means(luma: np.ndarray, scale: int) -> np.ndarray:
    return luma.reshape(HEIGHT, scale, WIDTH, scale).mean((1, 3))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("model", [ModelName.ANIMEVIDEOV3, ModelName.X4PLUS_ANIME])
@pytest.mark.parametrize(
    ("colour", "signal", "peaks"),
    [(PQ, pq, (1000, 4000, 10000)), (HLG, hlg, (400, 700, 1000))],
    ids=["pq", "hlg"],
)
def test_highlights_survive_up_to_the_most_that_the_signal_holds(
    weights: Path,
    model: ModelName,
    scale: int,
    colour: Colour,
    signal: Callable[[np.ndarray], np.ndarray],
    peaks: tuple[int, ...],
) -> None:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    nits = 5.0 + 195 * x / WIDTH
    for column, peak, radius in zip((16, 48, 80), peaks, (2.0, 1.2, 2.5), strict=True):
        nits = nits + peak * np.exp(-((x - column) ** 2 + (y - 16) ** 2) / 2 / radius**2)
    picture = grey(signal(nits.clip(max=peaks[-1])))
    luma = enlarged(weights, picture, model, colour, scale)
    source = picture.planes[0].astype(int)
    for column in (16, 48, 80):
        spot = np.s_[12:21, column - 4 : column + 5]
        assert abs(means(luma, scale)[spot].mean() - source[spot].mean()) < 6
        large = luma[12 * scale : 21 * scale, (column - 4) * scale : (column + 5) * scale]
        assert large.max() >= source[spot].max() - 8
    assert luma.max() <= 940  # nothing beyond the signal's most was invented


@pytest.mark.parametrize("colour", [PQ, HLG])
@pytest.mark.parametrize("model", [ModelName.ANIMEVIDEOV3, ModelName.X4PLUS_ANIME])
def test_a_shallow_gradient_shows_no_band_wider_than_the_sources(
    weights: Path, model: ModelName, colour: Colour
) -> None:
    ramp = np.broadcast_to(np.linspace(0.50, 0.53, WIDTH), (HEIGHT, WIDTH))
    picture = grey(ramp)
    luma = enlarged(weights, picture, model, colour)
    source = picture.planes[0].astype(int)
    row = luma[HEIGHT * 2, 16:-16]
    assert widest(row) <= widest(source[HEIGHT // 2]) * 4 + 4
    assert len(np.unique(luma)) >= len(np.unique(source))
    assert np.abs(np.diff(row)).max() <= 3
    assert np.abs(means(luma, 4) - source)[4:-4, 4:-4].max() < 2


def widest(row: np.ndarray) -> int:
    """Of the runs of equal samples."""
    ends = np.flatnonzero(np.concatenate(([True], np.diff(row) != 0, [True])))
    return int(np.diff(ends).max())


def test_every_level_of_ten_bits_comes_through(weights: Path) -> None:
    """Steps of the source's own level, four pixels wide, stay distinguishable in the result."""
    signal = (np.arange(WIDTH) // 4 + 500 - 64) / 876
    picture = grey(np.broadcast_to(signal, (HEIGHT, WIDTH)))
    luma = enlarged(weights, picture, ModelName.ANIMEVIDEOV3, PQ)
    steps = means(luma, 4)[8:24].mean(0).reshape(-1, 4).mean(1)
    assert np.abs(steps - np.arange(500, 500 + WIDTH // 4))[1:-1].max() < 0.5
