"""Converts planes of integers to R'G'B' in float32 and back: matrix, range, depth, chroma's place.

Matrices and ranges are those of ITU-T H.273, 8.2 and 8.3. Nothing is clipped on the way in: samples
beyond black and white become values below 0 and above 1, and come back as the same samples. On the
way out, values stay within the nominal range, or go as far beyond it as the source itself does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from av.video.format import VideoFormat
from torch import Tensor

from containers.common.film.pictures import has_alpha
from containers.upscaler.device import chroma
from containers.upscaler.device.packing import Planes
from contracts.film.facts import Colour

LUMA = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
    7: (0.212, 0.087), 9: (0.2627, 0.0593),
}  # fmt: skip
"""Kr and Kb by matrix coefficients, H.273 table 4."""
BAND = 1 << 19
"""Samples of a plane to finish at a time on processors, so that they fit the caches."""

Limits = tuple[Tensor, Tensor]
"""Lowest and highest code of each picture, (n, 1, 1, 1, 1) or (1, 1, 1, 1, 1)."""


@dataclass(frozen=True)
class Cells:
    """Pictures as networks return them: cells of `side` x `side` pixels, a plane for each pixel."""

    side: int
    height: int
    """Rows of cells."""
    rows: Callable[[int, int], Tensor]
    """Computes rows `start` to `stop` of the cells: (n, 3, side, side, stop - start, columns)
    float32."""

    @classmethod
    def of(cls, rgb: Tensor, side: int) -> Self:
        """From (n, 3 * side**2, h, w), which pixel_shuffle by `side` would turn into pictures.

        Whole pictures (side 1) become cells of 2 x 2, so that chroma can be halved, unless a side
        is odd.
        """
        cells = rgb.unflatten(1, (3, side, side))
        if side == 1 and rgb.shape[2] % 2 == rgb.shape[3] % 2 == 0:
            pairs = rgb.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
            cells, side = pairs.permute(0, 1, 3, 5, 2, 4), 2
        return cls(side, cells.shape[4], lambda start, stop: cells[..., start:stop, :])


@dataclass(frozen=True)
class Codes:
    """How one kind of component is stored: code = value * span + zero."""

    span: float
    zero: float
    low: float
    high: float
    """Nominal lowest and highest code."""
    peak: float
    """The largest code of the format."""


def codes(bits: int, *, chroma: bool, full: bool) -> Codes:
    """Return the codes of a depth and range (H.273, 8.3).

    Values of luma, R, G and B run from 0 to 1, those of chroma from -1/2 to 1/2.
    """
    peak, unit = float(2**bits - 1), float(2 ** (bits - 8))
    if full:
        return Codes(peak, 128 * unit if chroma else 0.0, 0.0, peak, peak)
    if chroma:
        return Codes(224 * unit, 128 * unit, 16 * unit, 240 * unit, peak)
    return Codes(219 * unit, 16 * unit, 16 * unit, 235 * unit, peak)


@dataclass(frozen=True)
class Layout:
    """A plain pixel format (see pictures.plain_format) with the meaning of its samples."""

    pixel_format: str
    colour: Colour
    site: chroma.Site
    """Of chroma in the format, whether or not it has any."""

    @property
    def _components(self) -> VideoFormat:
        return VideoFormat(self.pixel_format, 64, 64)

    @property
    def bits(self) -> int:
        return self._components.components[0].bits

    @property
    def is_rgb(self) -> bool:
        return self._components.is_rgb

    @property
    def has_alpha(self) -> bool:
        return has_alpha(self.pixel_format)

    @property
    def has_chroma(self) -> bool:
        return not self.is_rgb and len(self._components.components) >= 3

    @property
    def halved(self) -> tuple[bool, bool]:
        """Whether chroma has half the columns, and whether half the rows."""
        part = self._components.components[1]
        return part.width < 64, part.height < 64

    def codes(self, *, chroma: bool = False) -> Codes:
        full = self.is_rgb or self.colour.full_range
        return codes(self.bits, chroma=chroma, full=full)


class ToRgb:
    """Converts planes of one layout to RGB."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._luma, self._chroma = layout.codes(), layout.codes(chroma=True)

    def __call__(self, planes: Planes) -> Tensor:
        """Return (n, 3, h, w) float32, black 0 and white 1."""
        if self._layout.is_rgb:
            green, blue, red = (self.level(plane) for plane in planes[:3])
            return torch.stack((red, green, blue), dim=1)
        luma = self.level(planes[0])
        if not self._layout.has_chroma:
            return luma.unsqueeze(1).repeat(1, 3, 1, 1)
        kr, kb = LUMA[self._layout.colour.matrix]
        kg = 1 - kr - kb
        cb, cr = (self._upsample(plane, *luma.shape[1:]) for plane in planes[1:3])
        red = luma + cr * (2 * (1 - kr))
        blue = luma + cb * (2 * (1 - kb))
        green = luma - cb * (2 * (1 - kb) * kb / kg) - cr * (2 * (1 - kr) * kr / kg)
        return torch.stack((red, green, blue), dim=1)

    def level(self, plane: Tensor) -> Tensor:
        """Convert luma, red, green or blue: (n, h, w) codes -> float32, 0 to 1."""
        return _to_value(plane, self._luma)

    def _upsample(self, plane: Tensor, rows: int, columns: int) -> Tensor:
        value = _to_value(plane, self._chroma)
        wide, high = self._layout.halved
        if high:
            value = chroma.upsample(value, -2, site=self._layout.site[1], length=rows)
        if wide:
            value = chroma.upsample(value, -1, site=self._layout.site[0], length=columns)
        return value


def _to_value(plane: Tensor, how: Codes) -> Tensor:
    return plane.to(torch.float32).sub_(how.zero).mul_(1 / how.span)


def luma_of(rgb: Tensor, colour: Colour) -> Tensor:
    """Return luma by the colour's matrix: (n, 3, ...) -> (n, ...)."""
    kr, kb = LUMA[colour.matrix]
    red, green, blue = rgb.unbind(1)
    return (green * (1 - kr - kb)).add_(red * kr).add_(blue * kb)


class FromRgb:
    """Converts float32 R'G'B' to planes of one layout, rounded once, band by band.

    `source` is the layout of the pictures that the R'G'B' was made from.
    """

    def __init__(self, layout: Layout, source: Layout) -> None:
        self._layout = layout
        self._source = source
        self._luma, self._chroma = layout.codes(), layout.codes(chroma=True)

    def write(
        self, picture: Cells, target: Planes, source: Planes, *, grain: Tensor | None = None
    ) -> None:
        """Fill the target's colour planes.

        `source` are the source's planes, whose lowest and highest codes bound those of the result.
        `grain`, (n, rows, columns) float32, is added to luma, or to each of R, G and B.
        """
        before = self._source
        luma = self._limits(self._luma, before.codes(), [] if before.is_rgb else source[:1])
        coloured = source[1:3] if before.has_chroma else []
        chroma = self._limits(self._chroma, before.codes(chroma=True), coloured)
        for start, stop in _bands(picture, target[0]):
            if self._layout.is_rgb:
                rgb, sides = picture.rows(start, stop), (picture.side, picture.side)
                if grain is not None:
                    rgb = rgb + _place(grain, sides, start, stop).unsqueeze(1)
                red, green, blue = rgb.unbind(1)
                for plane, value in zip(target, (green, blue, red), strict=False):
                    _store(_place(plane, sides, start, stop), value, self._luma, luma)
            else:
                self._write_band(picture, target, (start, stop), (luma, chroma), grain)

    def _write_band(
        self, picture: Cells, target: Planes, band: tuple[int, int],
        limits: tuple[Limits, Limits], grain: Tensor | None,
    ) -> None:  # fmt: skip
        (start, stop), side = band, picture.side
        wide, high = self._layout.halved if self._layout.has_chroma else (False, False)
        above, below = high and start > 0, high and stop < picture.height
        rgb = picture.rows(start - above, stop + below)
        luma = luma_of(rgb, self._layout.colour)
        if self._layout.has_chroma:
            kr, kb = LUMA[self._layout.colour.matrix]
            for plane, channel, share in ((target[1], 2, kb), (target[2], 0, kr)):
                value = rgb[:, channel] - luma
                if high:
                    value = chroma.repeat_edges(
                        value, phase=1, place=3, before=not above, after=not below
                    )
                    value = chroma.downsample(value, phase=1, place=3, site=self._layout.site[1])
                if wide:
                    value = chroma.repeat_edges(value, phase=2, place=4)
                    value = chroma.downsample(value, phase=2, place=4, site=self._layout.site[0])
                how = replace(self._chroma, span=self._chroma.span / (2 * (1 - share)))
                _store(_place(plane, value.shape[1:3], start, stop), value, how, limits[1])
        inner = luma[:, :, :, above : luma.shape[3] - below]
        if grain is not None:
            inner = inner + _place(grain, (side, side), start, stop)
        _store(_place(target[0], (side, side), start, stop), inner, self._luma, limits[0])

    @staticmethod
    def _limits(how: Codes, before: Codes, source: Planes) -> Limits:
        """Return the nominal limits, widened to the codes that the source uses."""
        low, high = torch.tensor(how.low), torch.tensor(how.high)
        for plane in source:
            flat = plane.flatten(1).to(torch.float32)
            least, most = (
                v.sub_(before.zero).mul_(how.span / before.span).add_(how.zero)
                for v in (flat.amin(1), flat.amax(1))
            )
            low = torch.minimum(low.to(least.device), least.clamp_(min=0.0))
            high = torch.maximum(high.to(most.device), most.clamp_(max=how.peak))
        return low.reshape(-1, 1, 1, 1, 1), high.reshape(-1, 1, 1, 1, 1)


def _store(place: Tensor, value: Tensor, how: Codes, limits: Limits) -> None:
    code = (value * how.span).add_(how.zero)
    low, high = limits
    torch.minimum(torch.maximum(code, low, out=code), high, out=code)
    place.copy_(code.round_().to(place.dtype))


def _place(plane: Tensor, sides: Sequence[int], start: int, stop: int) -> Tensor:
    """View rows of cells of a plane as (n, side, side, rows, columns)."""
    count, rows, columns = plane.shape
    high, wide = sides
    cells = plane.view(count, rows // high, high, columns // wide, wide)
    return cells[:, start:stop].permute(0, 2, 4, 1, 3)


def _bands(picture: Cells, luma: Tensor) -> Iterator[tuple[int, int]]:
    """Split the rows of cells into bands that fit a processor's caches; one on other devices."""
    step = picture.height
    if luma.device.type == "cpu":
        step = max(BAND // (luma.shape[2] * picture.side), 2)
    for start in range(0, picture.height, step):
        yield start, min(start + step, picture.height)
