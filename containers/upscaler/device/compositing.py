"""The work before and after a network: planes to R'G'B' on the device, and results to planes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from containers.common.film.pictures import Picture, plane_shapes
from containers.upscaler.device.chroma import LEFT, SITES
from containers.upscaler.device.grain import GrainSynthesizer
from containers.upscaler.device.packing import PackedPlanes, Planes
from containers.upscaler.device.planes import Cells, FromRgb, Layout, ToRgb, luma_of
from containers.upscaler.device.resample import Resampler
from containers.upscaler.device.target import Target
from contracts.film.manifest import Inference


@dataclass(frozen=True)
class SourceBatch:
    """The pictures that a network's result was computed from."""

    planes: Planes
    rgb: Tensor
    """(n, 3, h, w) float32, black 0 and white 1, as the network saw it."""
    stamps: Sequence[int]
    """The pictures' timestamps."""


class Compositor:
    """Composes results of the network, the source and grain, for sources of one size and format.

    `source` is a picture of that size and format. The result is rounded once, at the end.
    """

    def __init__(
        self, inference: Inference, target: Target, *, source: Picture, device: torch.device
    ) -> None:
        site = SITES[target.chroma_location]
        self._device = device
        self._strength, self._anchored = inference.strength, inference.anchored
        self._size, self._format = target.size, target.pixel_format
        self._in = Layout(source.pixel_format, target.source_colour, site)
        if "420" not in target.pixel_format:
            site = SITES[LEFT]
        self._out = Layout(target.pixel_format, target.colour, site)
        self.to_rgb = ToRgb(self._in)
        """Planes -> (n, 3, h, w) float32, black 0 and white 1."""
        self._from_rgb = FromRgb(self._out, self._in)
        size = (source.width, source.height)
        self._lanczos = Resampler(size, target.size, device)
        self._grain = None
        if inference.grain is not None:
            self._grain = GrainSynthesizer(inference.grain, size, target.size, device=device)

    def compose(self, cells: Tensor, side: int, source: SourceBatch) -> PackedPlanes:
        """Make planes of the target's size and format.

        `cells` are the network's result, (n, 3 * side**2, h, w) float32, black 0 and white 1.
        """
        shapes = plane_shapes(self._format, *self._size)
        result = PackedPlanes.empty(
            shapes, count=len(cells), bits=self._out.bits, device=self._device
        )
        means = None
        if self._grain is not None or self._anchored:
            means = _means(cells, side, source.rgb.shape[2:])
        grain = None
        if self._grain is not None and means is not None:
            grain = self._draw_grain(self._grain, source, means)
        soft = source.rgb * (1 - self._strength) if self._strength < 1 else None
        if self._anchored and means is not None:
            lost = (source.rgb - means).mul_(self._strength)
            soft = lost if soft is None else soft.add_(lost)
        picture = self._mix(self._resize(cells, side), soft)
        self._from_rgb.write(picture, result.planes, source.planes, grain=grain)
        if self._out.has_alpha:
            self._write_alpha(result.planes[-1], source.planes)
        return result

    def _draw_grain(self, grain: GrainSynthesizer, source: SourceBatch, means: Tensor) -> Tensor:
        """Draw grain by the luma of the source and of the result, both at the source's size."""
        result = source.rgb
        if not self._anchored:
            result = (means * self._strength).add_(source.rgb * (1 - self._strength))
        before, after = (luma_of(rgb, self._in.colour) for rgb in (source.rgb, result))
        return grain.draw(before, after, source.stamps)

    def _resize(self, cells: Tensor, side: int) -> Cells:
        """Resample by an antialiased bicubic kernel unless the result has the target's size."""
        width, height = self._size
        if (cells.shape[3] * side, cells.shape[2] * side) == self._size:
            return Cells.of(cells, side)
        whole = functional.pixel_shuffle(cells, side)
        size = (height, width)
        whole = functional.interpolate(whole, size=size, mode="bicubic", antialias=True)
        return Cells.of(whole, 1)

    def _mix(self, network: Cells, soft: Tensor | None) -> Cells:
        """Add `soft`, of the source's size and enlarged by Lanczos, to the network's share."""
        if soft is None:
            return network
        columns, side = self._lanczos.columns(soft).contiguous(), network.side

        def rows(start: int, stop: int) -> Tensor:
            large = self._lanczos.rows(columns, start * side, stop * side)
            cells = large.unflatten(3, (-1, side)).unflatten(2, (-1, side))
            share = network.rows(start, stop) * self._strength
            return share.add_(cells.permute(0, 1, 3, 5, 2, 4))

        return Cells(side, network.height, rows)

    def _write_alpha(self, plane: Tensor, source: Planes) -> None:
        peak = float(2**self._out.bits - 1)
        if not self._in.has_alpha:
            plane.fill_(int(peak))
            return
        share = source[-1].to(torch.float32).mul_(1 / (2**self._in.bits - 1))
        code = self._lanczos(share).mul_(peak).round_().clamp_(0.0, peak)
        plane.copy_(code.to(plane.dtype))


def _means(cells: Tensor, side: int, size: Sequence[int]) -> Tensor:
    """Return the result's mean over each pixel of the source: (n, 3, h, w)."""
    inner = cells.unflatten(1, (3, side**2))
    total = inner[:, :, 0].clone()
    for number in range(1, side**2):
        total.add_(inner[:, :, number])
    factor = cells.shape[2] // size[0]
    means = total.mul_(1 / side**2)
    return functional.avg_pool2d(means, factor) if factor > 1 else means
