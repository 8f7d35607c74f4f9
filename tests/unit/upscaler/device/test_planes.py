"""Planes to R'G'B' and back on the device: to a level, whatever matrix, range, depth and place."""

import itertools

import numpy as np
import pytest
import torch

from containers.common.film.pictures import (
    Picture,
    plane_shapes,
    sample_type,
    to_frame,
)
from containers.upscaler.device import packing
from containers.upscaler.device.chroma import LEFT, SITES
from containers.upscaler.device.colour import RgbReader
from containers.upscaler.device.packing import PackedPlanes, Planes
from containers.upscaler.device.planes import LUMA, Cells, FromRgb, Layout, ToRgb
from contracts.film.facts import CONVERTIBLE_MATRICES, Colour

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le")
CENTRE, TOP_LEFT = 2, 3
BARS = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))


def layout(pixel_format: str, matrix: int = 1, *, full: bool = False, site: int = LEFT) -> Layout:
    colour = Colour(primaries=1, transfer=1, matrix=matrix, full_range=full)
    return Layout(pixel_format, colour, SITES[site])


def written(rgb: torch.Tensor, to: Layout, side: int = 1, source: Planes | None = None) -> Planes:
    """R'G'B' (n, 3, h, w) as planes, given as pictures or as a network's cells."""
    n, _, height, width = rgb.shape
    made_planes = PackedPlanes.empty(
        plane_shapes(to.pixel_format, width, height), count=n, bits=to.bits, device=rgb.device
    )
    cells = torch.nn.functional.pixel_unshuffle(rgb, side) if side > 1 else rgb
    source = made_planes.planes if source is None else source
    for plane in made_planes.planes if source is made_planes.planes else ():
        plane.fill_(2 ** (to.bits - 1))
    FromRgb(to, to).write(Cells.of(cells, side), made_planes.planes, source)
    return made_planes.planes


def bars(device: str) -> torch.Tensor:
    """Eight colours at 75 % and a grey ramp below them: (1, 3, 96, 256), values 0 to 1."""
    top = np.repeat(np.array(BARS, np.float32).T[:, None] * 0.75, 32, axis=2).repeat(48, axis=1)
    ramp = np.broadcast_to(np.linspace(0, 1, 256, dtype=np.float32), (3, 48, 256))
    return torch.from_numpy(np.concatenate((top, ramp), axis=1)[None]).to(device)


def by_formula(rgb: np.ndarray, to: Layout) -> list[np.ndarray]:
    """H.273 in float64: codes of Y, Cb and Cr, not rounded."""
    kr, kb = LUMA[to.colour.matrix]
    r, g, b = rgb.astype(np.float64)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    if to.colour.full_range:
        peak = 2**to.bits - 1
        return [y * peak, *(c * peak + 2 ** (to.bits - 1) for c in (cb, cr))]
    unit = 2 ** (to.bits - 8)
    return [(219 * y + 16) * unit, *((224 * c + 128) * unit for c in (cb, cr))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("side", [1, 4])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", LUMA)
def test_bars_and_a_grey_ramp_survive_within_a_level(
    matrix: int, full: bool, side: int, device: str
) -> None:
    rgb = bars(device)
    for pixel_format, site in itertools.product(FORMATS, (LEFT, CENTRE, TOP_LEFT)):
        if site != LEFT and "420" not in pixel_format:
            continue
        kind, peak = (
            layout(pixel_format, matrix, full=full, site=site),
            2.0 ** layout(pixel_format).bits,
        )
        back = ToRgb(kind)(written(rgb, kind, side))
        error = ((back * (peak - 1)).round() - (rgb * (peak - 1)).round()).abs().cpu().numpy()[0]
        # The interiors: chroma of one bar reaches four pixels into the next.
        inner = np.tile(np.r_[[False] * 5, [True] * 22, [False] * 5], 8)
        assert error[:, 5:43, inner].max() <= 1
        assert error[:, 53:].max() <= 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le", "yuv444p16le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", LUMA)
def test_codes_are_the_standards_rounded_once(
    matrix: int, full: bool, pixel_format: str, device: str
) -> None:
    rgb = torch.rand((1, 3, 16, 32), generator=torch.Generator().manual_seed(matrix))
    kind = layout(pixel_format, matrix, full=full)
    for plane, expected in zip(
        written(rgb.to(device), kind), by_formula(rgb[0].numpy(), kind), strict=True
    ):
        slack = 0.5 + 4e-7 * 2**kind.bits  # half a code, and float32's own error
        assert np.abs(plane[0].cpu().numpy().astype(float) - expected).max() <= slack


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_reading_agrees_with_swscale_and_is_nearer_to_the_truth(pixel_format: str) -> None:
    """swscale takes chroma for centred between columns, and rounds down by half a level."""
    x, y = np.meshgrid(np.linspace(0, 1, 96), np.linspace(0, 1, 64))
    rgb = np.stack((x, y, 0.5 + 0.4 * np.sin(3 * x + 2 * y))).astype(np.float32)
    kind = layout(pixel_format, site=CENTRE)
    planes = written(torch.from_numpy(rgb[None]), kind)
    picture = Picture(0, pixel_format, tuple(plane[0].numpy() for plane in planes))
    theirs = RgbReader(kind.colour, 16).read(to_frame(picture)).transpose(2, 0, 1) / 257
    ours = ToRgb(kind)(planes)[0].clamp(0, 1).numpy() * 255
    inner = np.s_[:, 4:-4, 4:-4]
    assert np.abs(ours - theirs)[inner].max() <= 1.3
    error, their_error = (np.abs(a - rgb * 255)[inner].max() for a in (ours, theirs))
    assert error < their_error
    assert error <= 1.8  # chroma's half step times 2 - 2 Kb, and luma's half step


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("full", [False, True])
def test_every_code_comes_back_even_beyond_black_and_white(full: bool, device: str) -> None:
    y, cb, cr = np.random.default_rng(3).integers(0, 256, (3, 1, 32, 32), dtype=np.uint8)
    kind = layout("yuv444p", full=full)
    source = [torch.from_numpy(plane).to(device) for plane in (y, cb, cr)]
    for plane, wanted in zip(written(ToRgb(kind)(source), kind, 1, source), source, strict=True):
        assert torch.equal(plane, wanted)


def test_a_network_does_not_go_beyond_the_nominal_range_where_its_source_did_not() -> None:
    rgb = torch.full((1, 3, 8, 8), 1.2)
    rgb[..., :4] = -0.2
    luma = written(rgb, layout("yuv420p"))[0]
    assert (luma.min(), luma.max()) == (16, 235)
    bright = [torch.full((1, *shape), 250, dtype=torch.uint8) for shape in ((8, 8), (4, 4), (4, 4))]
    luma = written(rgb, layout("yuv420p"), 1, bright)[0]
    assert (luma.min(), luma.max()) == (16, 250)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("side", [1, 4])
@pytest.mark.parametrize("site", SITES)
def test_chroma_stands_where_the_format_puts_it(site: int, side: int, device: str) -> None:
    """A plane of colour, linear in x and y, has its value at each chroma sample's own place."""
    y, x = np.mgrid[0:32, 0:48].astype(np.float32)
    blue = 0.2 + 0.006 * x + 0.009 * y
    rgb = np.zeros((1, 3, 32, 48), np.float32)
    rgb[0, 2] = blue
    kind = layout("yuv420p16le", full=True, site=site)
    planes = written(torch.from_numpy(rgb).to(device), kind, side)
    right, down = SITES[site]
    cy, cx = np.mgrid[0:16, 0:24]
    expected = (0.2 + 0.006 * (2 * cx + right) + 0.009 * (2 * cy + down)) / 2 * 65535 + 32768
    error = np.abs(planes[1][0].cpu().numpy().astype(float) - expected)[2:-2, 2:-2]
    assert error.max() <= 1.0
    back = ToRgb(kind)(planes)[0, 2].cpu().numpy()
    assert np.abs(back - blue)[6:-6, 6:-6].max() < 1e-4


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_bands_do_not_change_a_bit(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = layout("yuv420p10le", 9)
    rgb = torch.rand((1, 3, 64, 328), generator=torch.Generator().manual_seed(1)) * 1.2 - 0.1
    before = torch.get_num_threads()
    expected = [plane.clone() for plane in written(rgb, kind, 4)]
    try:
        torch.set_num_threads(threads)
        for band in (1 << 10, 1 << 13, 1 << 30):
            monkeypatch.setattr("containers.upscaler.device.planes.BAND", band)
            for side in (1, 4):
                for plane, wanted in zip(written(rgb, kind, side), expected, strict=True):
                    assert torch.equal(plane, wanted)
            assert torch.equal(ToRgb(kind)(expected), ToRgb(kind)(expected))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("device", DEVICES)
def test_grey_and_rgb_need_no_chroma(device: str) -> None:
    code = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).to(device)
    grey = ToRgb(layout("gray", full=True))([code])
    assert torch.equal(grey[:, 0], grey[:, 2])
    assert torch.equal(written(grey, layout("gray", full=True))[0], code)
    planes = [code, code.flip(1), code.flip(2)]
    rgb = ToRgb(layout("gbrp"))(planes)
    assert torch.allclose(rgb[:, 1] * 255, code.to(torch.float32))
    for plane, wanted in zip(written(rgb, layout("gbrp")), planes, strict=True):
        assert torch.equal(plane, wanted)


@pytest.mark.parametrize(("width", "height"), [(33, 17), (32, 17), (33, 16), (1, 1)])
def test_odd_sources_are_read_whole(width: int, height: int) -> None:
    shapes = plane_shapes("yuv420p", width, height)
    planes = [torch.full((1, *shape), 128, dtype=torch.uint8) for shape in shapes]
    rgb = ToRgb(layout("yuv420p"))(planes)
    assert rgb.shape == (1, 3, height, width)
    assert float(rgb.max() - rgb.min()) < 1e-6


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuva444p10le", "gbrp12le", "gray16le"])
def test_pictures_go_up_and_come_down_in_one_piece(pixel_format: str) -> None:
    generator = np.random.default_rng(5)
    kind, shapes = sample_type(pixel_format), plane_shapes(pixel_format, 30, 20)
    pictures = [
        Picture(
            pts, pixel_format, tuple(generator.integers(0, 255, s).astype(kind) for s in shapes)
        )
        for pts in (7, 9)
    ]
    sent: list[torch.Tensor] = []

    def send(tensor: torch.Tensor) -> torch.Tensor:
        sent.append(tensor)
        return tensor

    bits = layout(pixel_format).bits
    planes = packing.upload(pictures, torch.device("meta"), send)  # packs, as for every device
    assert len(sent) == 1
    made_planes = PackedPlanes.empty(shapes, count=2, bits=bits, device=torch.device("cpu"))
    for plane, filled in zip(made_planes.planes, planes, strict=True):
        plane.copy_(filled)
    for made, given in zip(
        made_planes.unpack(made_planes.packed, pixel_format, [7, 9]), pictures, strict=True
    ):
        assert made.pts == given.pts
        assert all(np.array_equal(a, b) for a, b in zip(made.planes, given.planes, strict=True))


def test_what_extract_accepts_can_be_converted() -> None:
    assert set(CONVERTIBLE_MATRICES) == set(LUMA)
