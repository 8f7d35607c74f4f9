"""Lanczos's kernel along rows and columns: any size to any other, antialiased when reducing.

Four lobes a side (8 samples when enlarging): L(x) = sinc(x) sinc(x/4) (Turkowski, Graphics Gems I,
1990). Reducing stretches the kernel by the same factor. Sums are in float32; edges repeat.
"""

import math

import numpy as np
import torch
from torch import Tensor

LOBES = 4


class Resampler:
    """Resamples from one size to another, both (width, height). Keeps its weights on the device.

    With `of_noise`, the weights preserve the power of white noise instead of the mean.
    """

    def __init__(
        self, source: tuple[int, int], target: tuple[int, int], device: torch.device,
        *, of_noise: bool = False,
    ) -> None:  # fmt: skip
        self._columns = _table(source[0], target[0], device, of_noise=of_noise)
        self._rows = _table(source[1], target[1], device, of_noise=of_noise)

    def columns(self, x: Tensor) -> Tensor:
        """Resample the columns of (..., rows, columns) float32."""
        index, weights = self._columns
        if not len(index):
            return x
        return _gather(x.transpose(-1, -2).contiguous(), index, weights).transpose(-1, -2)

    def rows(self, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Resample the rows of (..., rows, columns) float32 to the target's `start` to `stop`."""
        index, weights = self._rows
        if not len(index):
            return x[..., start:stop, :]
        return _gather(x, index[:, start:stop], weights[:, start:stop])

    def __call__(self, x: Tensor) -> Tensor:
        """Resample (..., rows, columns) float32 to the target's size."""
        return self.rows(self.columns(x).contiguous())


def _gather(x: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    total = x.index_select(-2, index[0]).mul_(weights[0])
    for rows, weight in zip(index[1:], weights[1:], strict=True):
        total.add_(x.index_select(-2, rows).mul_(weight))
    return total


def _table(
    source: int, target: int, device: torch.device, *, of_noise: bool
) -> tuple[Tensor, Tensor]:
    """Return (samples to read, their weights), both (taps, target); no taps if sizes are equal."""
    if source == target:
        return torch.empty((0, target), dtype=torch.int64), torch.empty((0, target, 1))
    ratio = source / target
    wide = max(ratio, 1.0)
    taps = 2 * math.ceil(LOBES * wide)
    centre = (np.arange(target) + 0.5) * ratio - 0.5
    index = np.floor(centre)[None].astype(np.int64) - taps // 2 + 1 + np.arange(taps)[:, None]
    x = (centre - index) / wide
    weights = np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0.0)
    index = index.clip(0, source - 1)
    weights /= np.sqrt((weights**2).sum(0)) if of_noise else weights.sum(0)
    return (
        torch.from_numpy(index).to(device),
        torch.from_numpy(weights.astype(np.float32))[..., None].to(device),
    )
