"""Resamples chroma of 4:2:0 and 4:2:2 to luma's density and back, by its samples' true places.

Upsampling uses Catmull-Rom's cubic (Keys, IEEE ASSP 29(6), 1981, a = -1/2: four samples),
downsampling a tent as wide as the reduction; both repeat the edge. Sites are those of ITU-T H.273,
8.7.
"""

import math

import torch
from torch import Tensor

Site = tuple[float, float]
"""(columns, rows) from the first luma sample to the first chroma sample, in luma samples."""
LEFT = 1
SITES: dict[int, Site] = {
    LEFT: (0.0, 0.5),
    2: (0.5, 0.5),
    3: (0.0, 0.0),
    4: (0.5, 0.0),
    5: (0.0, 1.0),
    6: (0.5, 1.0),
}
"""By FFmpeg's AVChromaLocation, which is H.273's code plus one."""


def upsample(plane: Tensor, dim: int, *, site: float, length: int) -> Tensor:
    """Resample (..., rows, columns) float to `length` samples, twice as dense, along `dim`.

    `dim` is -1 or -2; `site` is the first chroma sample's place along it.
    """
    plane = plane.transpose(dim, -2)
    first, last, rest = plane[..., :1, :], plane[..., -1:, :], plane.shape[:-2]
    padded = torch.cat((first.expand(*rest, 2, -1), plane, last.expand(*rest, 2, -1)), -2)
    phases: list[Tensor] = []
    for phase in (0, 1):
        offset = (phase - site) / 2
        start = math.floor(offset) - 1
        taps = [(start + tap, _catmull_rom(offset - start - tap)) for tap in range(4)]
        phases.append(_weighted_sum([
            (padded.narrow(-2, 2 + row, plane.shape[-2]), weight) for row, weight in taps
        ]))  # fmt: skip
    both = torch.stack(phases, dim=-2).flatten(-3, -2)
    return both[..., :length, :].transpose(dim, -2)


def _catmull_rom(x: float) -> float:
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def downsample(cells: Tensor, *, phase: int, place: int, site: float) -> Tensor:
    """Keep every second sample along one direction of cells, which halves dimension `phase`.

    Sample `side * i + p` lies at index p of dimension `phase` and i + 1 of dimension `place`: the
    first and the last place are context (see `repeat_edges`), which the result does not have.
    """
    side, length = cells.shape[phase], cells.shape[place] - 2

    def at(sample: int) -> Tensor:
        place_of = 1 + sample // side
        return cells.narrow(phase, sample % side, 1).narrow(place, place_of, length)

    taps = _tent(site)
    parts = [_weighted_sum([(at(first + j), w) for j, w in taps]) for first in range(0, side, 2)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=phase)


def repeat_edges(
    cells: Tensor, *, phase: int, place: int, before: bool = True, after: bool = True
) -> Tensor:
    """Add a cell before and after along `place`, filled with the first and the last sample."""
    parts = [cells]
    size = [-1] * cells.dim()
    size[phase] = cells.shape[phase]
    if before:
        parts.insert(0, cells.narrow(phase, 0, 1).narrow(place, 0, 1).expand(size))
    if after:
        last = cells.narrow(phase, cells.shape[phase] - 1, 1)
        parts.append(last.narrow(place, cells.shape[place] - 1, 1).expand(size))
    return torch.cat(parts, dim=place) if len(parts) > 1 else cells


def _tent(site: float) -> list[tuple[int, float]]:
    """Return (luma sample, weight) around a chroma sample `site` past the first luma sample."""
    weights = [(j, 2 - abs(j - site)) for j in range(-1, 4) if abs(j - site) < 2]
    total = sum(weight for _, weight in weights)
    return [(j, weight / total) for j, weight in weights]


def _weighted_sum(terms: list[tuple[Tensor, float]]) -> Tensor:
    """Sum the tensors, each times its weight."""
    (first, weight), *rest = [term for term in terms if term[1]]
    total = first * weight
    for tensor, weight in rest:
        total.add_(tensor * weight)
    return total
