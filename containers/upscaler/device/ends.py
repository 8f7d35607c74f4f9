"""What stands before and behind a network: planes to R'G'B' on the device, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from containers.common.film.pictures import Picture, plane_shapes
from containers.upscaler.device.chroma import LEFT, SITES
from containers.upscaler.device.grain import Grain
from containers.upscaler.device.planes import Cells, FromRgb, Layout, ToRgb, weighted
from containers.upscaler.device.resample import Resampler
from containers.upscaler.device.samples import Planes, Sheet
from containers.upscaler.device.target import Target
from contracts.film.manifest import Inference


class Ends:
    """Both ends, for pictures of one size and format. The result is rounded once, at its end."""

    def __init__(
        self, inference: Inference, target: Target, first: Picture, device: torch.device
    ) -> None:
        site = SITES[target.chroma_location]
        self._device = device
        self._strength, self._anchored = inference.strength, inference.anchored
        self._size, self._format = target.size, target.pixel_format
        self._in = Layout(first.pixel_format, target.source_colour, site)
        if "420" not in target.pixel_format:
            site = SITES[LEFT]
        self._out = Layout(target.pixel_format, target.colour, site)
        self.rgb = ToRgb(self._in)
        """Planes -> (n, 3, h, w) float32, black 0 and white 1."""
        self._from_rgb = FromRgb(self._out)
        size = (first.width, first.height)
        self._lanczos = Resampler(size, target.size, device)
        self._grain = None
        if inference.grain is not None:
            self._grain = Grain(inference.grain, size, target.size, device)

    def write(
        self, cells: Tensor, side: int, source: Planes, rgb: Tensor, stamps: Sequence[int]
    ) -> Sheet:
        """(n, 3 * side**2, h, w) of a network's result -> planes of the target's size.

        `source` and `rgb` are what the network was given, `stamps` its pictures' timestamps.
        """
        shapes = plane_shapes(self._format, *self._size)
        sheet = Sheet.empty(shapes, len(cells), self._out.bits, self._device)
        means = None
        if self._grain is not None or self._anchored:
            means = _means(cells, side, rgb.shape[2:])
        grain = None
        if self._grain is not None and means is not None:
            before, after = (weighted(x, self._in.colour) for x in (rgb, self._shares(means, rgb)))
            grain = self._grain.field(before, after, stamps)
        soft = rgb * (1 - self._strength) if self._strength < 1 else None
        if self._anchored and means is not None:
            lost = (rgb - means).mul_(self._strength)
            soft = lost if soft is None else soft.add_(lost)
        picture = self._with(self._sized(cells, side), soft)
        self._from_rgb.write(picture, sheet.planes, source, self._in, grain)
        if self._out.has_alpha:
            self._write_alpha(sheet.planes[-1], source)
        return sheet

    def _shares(self, network: Tensor, rgb: Tensor) -> Tensor:
        """What of the source's noise the result has, measured at the source's size."""
        if self._anchored:
            return rgb
        return (network * self._strength).add_(rgb * (1 - self._strength))

    def _sized(self, cells: Tensor, side: int) -> Cells:
        """Resampled by an antialiased bicubic kernel where the network's own size is another."""
        width, height = self._size
        if (cells.shape[3] * side, cells.shape[2] * side) == self._size:
            return Cells.of(cells, side)
        whole = functional.pixel_shuffle(cells, side)
        size = (height, width)
        whole = functional.interpolate(whole, size=size, mode="bicubic", antialias=True)
        return Cells.of(whole, 1)

    def _with(self, drawn: Cells, soft: Tensor | None) -> Cells:
        """The network's share and `soft`, which is of the source's size, enlarged by Lanczos."""
        if soft is None:
            return drawn
        columns, side = self._lanczos.columns(soft).contiguous(), drawn.side

        def rows(start: int, stop: int) -> Tensor:
            large = self._lanczos.rows(columns, start * side, stop * side)
            cells = large.unflatten(3, (-1, side)).unflatten(2, (-1, side))
            network = drawn.rows(start, stop) * self._strength
            return network.add_(cells.permute(0, 1, 3, 5, 2, 4))

        return Cells(side, drawn.height, rows)

    def _write_alpha(self, plane: Tensor, source: Planes) -> None:
        peak = float(2**self._out.bits - 1)
        if not self._in.has_alpha:
            plane.fill_(int(peak))
            return
        share = source[-1].to(torch.float32).mul_(1 / (2**self._in.bits - 1))
        code = self._lanczos(share).mul_(peak).round_().clamp_(0.0, peak)
        plane.copy_(code.to(plane.dtype))


def _means(cells: Tensor, side: int, size: Sequence[int]) -> Tensor:
    """The result's mean over each pixel of the source: (n, 3, h, w)."""
    inner = cells.unflatten(1, (3, side**2))
    total = inner[:, :, 0].clone()
    for number in range(1, side**2):
        total.add_(inner[:, :, number])
    factor = cells.shape[2] // size[0]
    means = total.mul_(1 / side**2)
    return functional.avg_pool2d(means, factor) if factor > 1 else means
