"""Colour: the manifest's matrix and range both ways, to a level."""

from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame

from containers.common.runtime.worker import WorkerError
from containers.upscaler.device.colour import (
    SWS_MATRIX,
    RgbReader,
    RgbWriter,
)
from contracts.film.facts import CONVERTIBLE_MATRICES, Colour
from contracts.names import ExitCode

RAMP = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (32, 256, 3)).copy()
LUMA = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
    7: (0.212, 0.087), 9: (0.2627, 0.0593),
}  # fmt: skip
"""Kr and Kb of ITU-T H.273, table 4."""


def colour(matrix: int, *, full: bool = False) -> Colour:
    return Colour(primaries=1, transfer=1, matrix=matrix, full_range=full)


def plane(frame: VideoFrame, index: int, dtype: type = np.uint8) -> np.ndarray:
    p = frame.planes[index]
    rows = np.frombuffer(bytes(p), dtype).reshape(p.height, -1)
    return rows[:, : p.width].astype(float)


def by_formula(rgb: np.ndarray, matrix: int, *, full: bool) -> list[np.ndarray]:
    kr, kb = LUMA[matrix]
    r, g, b = (rgb[..., i] / 255 for i in range(3))
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / 2 / (1 - kb), (r - y) / 2 / (1 - kr)
    if full:
        return [y * 255, cb * 255 + 128, cr * 255 + 128]
    return [16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", LUMA)
def test_pictures_become_what_the_standard_says(matrix: int, full: bool) -> None:
    rgb = np.random.default_rng(matrix).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    frame = RgbWriter(colour(matrix, full=full), "yuv444p", 8).write(rgb)
    for index, expected in enumerate(by_formula(rgb, matrix, full=full)):
        assert np.abs(plane(frame, index) - expected).max() < 1.1
    back = RgbReader(colour(matrix, full=full), 8).read(frame)
    assert np.abs(back.astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", LUMA)
def test_a_grey_ramp_comes_back_within_a_level(matrix: int, pixel_format: str, full: bool) -> None:
    frame = RgbWriter(colour(matrix, full=full), pixel_format, 8).write(RAMP)
    back = RgbReader(colour(matrix, full=full), 8).read(frame)
    assert np.abs(back.astype(int) - RAMP).max() <= 1


def test_limited_range_black_and_white_are_16_and_235() -> None:
    luma = plane(RgbWriter(colour(1), "yuv420p", 8).write(RAMP), 0)
    assert (luma.min(), luma.max()) == (16, 235)


def test_sixteen_bit_pictures_keep_the_levels_of_ten_bit_film() -> None:
    ramp = np.broadcast_to(np.linspace(0, 65535, 512).astype(np.uint16)[None, :, None], (8, 512, 3))
    frame = RgbWriter(colour(9), "yuv420p10le", 16).write(ramp)
    back = RgbReader(colour(9), 16).read(frame)
    assert back.dtype == np.uint16
    assert np.abs(back.astype(int) - ramp).max() <= 65535 / 876
    assert len(np.unique(plane(frame, 0, np.uint16))) > 400


@pytest.mark.parametrize(("width", "height"), [(33, 17), (32, 17), (33, 16), (1, 1)])
def test_odd_sizes_are_read_whole(width: int, height: int) -> None:
    frame = VideoFrame(width, height, "yuv420p")
    for p in frame.planes:
        p.update(bytes([128]) * p.buffer_size)
    picture = RgbReader(colour(1), 8).read(frame)
    assert picture.shape == (height, width, 3)
    assert np.ptp(picture.astype(int)) <= 1


def test_rgb_film_needs_no_matrix() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    frame = VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="gbrp")
    assert (RgbReader(colour(1), 8).read(frame) == rgb).all()


def test_frames_carry_the_working_colour() -> None:
    wanted = Colour(primaries=9, transfer=16, matrix=9, full_range=False)
    frame = RgbWriter(wanted, "yuv420p10le", 8).write(RAMP)
    assert (frame.color_primaries, frame.color_trc, frame.colorspace) == (9, 16, 9)
    assert frame.color_range == 1


def test_reading_leaves_the_frame_as_it_was() -> None:
    frame = RgbWriter(colour(5), "yuv420p", 8).write(RAMP)
    frame.pts, frame.time_base = 7, Fraction(1, 25)
    tags = (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries)
    RgbReader(colour(5), 8).read(frame)
    assert (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries) == tags


def test_what_extract_accepts_can_be_converted() -> None:
    assert set(CONVERTIBLE_MATRICES) == set(SWS_MATRIX)


@pytest.mark.parametrize("matrix", [0, 2, 8, 14])
def test_a_matrix_that_is_not_known_is_refused(matrix: int) -> None:
    frame = VideoFrame(16, 16, "yuv420p")
    with pytest.raises(WorkerError, match=f"colour matrix {matrix}, which extract should") as e:
        RgbReader(colour(matrix), 8).read(frame)
    assert e.value.exit_code is ExitCode.BAD_REQUEST
