"""Film grain: measured in the source, and drawn again in the result's luma.

Networks take grain for noise and remove it. We draw white noise on the source's grid and enlarge
it, so grain grows with the picture. It depends on the picture's timestamp and the sample's place
only: not on shards, batches, tiles, threads or the device.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from containers.upscaler.device.resample import Resampler
from contracts.job import KEEP_GRAIN, Grain

LEVEL = 1 / 255
_BLOCK = 8
_NODES = 17
_FEWEST_BLOCKS = 8
_QUIET = 0.25
"""The share of blocks of similar brightness taken as flat; detail in the others is not grain."""
_QUIET_BIAS = 1.10
"""The power of white noise over what that share of its blocks shows; a test recovers it."""
_IMMERKAER = math.sqrt(math.pi / 2) / 6
_ROOM = 3.0
_MASK = 0xFFFFFFFF


class GrainSynthesizer:
    """Draws grain for pictures of one size; sizes are (width, height). Luma runs from 0 to 1.

    `amount` is a standard deviation in levels of 8 bits, or `keep` for what the network removed.
    """

    def __init__(
        self, amount: Grain, source: tuple[int, int], target: tuple[int, int],
        *, device: torch.device,
    ) -> None:  # fmt: skip
        self._amount = amount
        self._enlarge = Resampler(source, target, device, of_noise=True)
        width, height = source
        places = torch.arange(width * height, dtype=torch.int64, device=device)
        self._places = _hash(places).view(height, width)

    def draw(self, source: Tensor, result: Tensor, stamps: Sequence[int]) -> Tensor:
        """Draw what to add to luma: (n, target's rows, target's columns) float32.

        `source` and `result` are luma before and after the network, (n, rows, columns), both of
        the source's size; `stamps` are the pictures' timestamps.
        """
        keep = self._amount == KEEP_GRAIN
        sigma = self._lost(source, result) if keep else self._constant(result)
        white = torch.stack([self._white(pts) for pts in stamps])
        return self._enlarge(white.mul_(sigma))

    def _constant(self, luma: Tensor) -> Tensor:
        """Return the wanted sigma, less where luma has no room for it, so that its mean stays."""
        sigma = float(self._amount) * LEVEL
        room = torch.minimum(luma, 1 - luma).mul_(1 / (_ROOM * sigma)).clamp_(0.0, 1.0)
        return room.mul_(sigma)

    @staticmethod
    def _lost(source: Tensor, result: Tensor) -> Tensor:
        """Return the sigma of the grain that the result has lost, by its brightness."""
        maps: list[Tensor] = []
        for before, after in zip(source, result, strict=True):
            lost = measure_noise(before) ** 2 - measure_noise(after) ** 2
            table = torch.from_numpy(np.sqrt(lost.clip(0)).astype(np.float32)).to(after.device)
            place = after.clamp(0.0, 1.0).mul_(_NODES - 1)
            low = place.floor().clamp_(max=_NODES - 2)
            index = low.to(torch.int64)
            step = table[index + 1].sub_(table[index])
            maps.append(step.mul_(place.sub_(low)).add_(table[index]))
        return torch.stack(maps)

    def _white(self, pts: int) -> Tensor:
        """Draw noise of mean 0 and variance 1: the sum of a hash's four bytes, nearly normal."""
        x = _hash(self._places ^ _key(pts))
        total = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)
        return total.sub_(510).to(torch.float32).mul_(1 / math.sqrt((256**2 - 1) / 3))


def measure_noise(luma: Tensor) -> np.ndarray:
    """Measure the standard deviation of noise in (rows, columns), at 17 brightnesses from 0 to 1.

    Laplacian differences (Immerkaer, Computer Vision and Image Understanding 64(2), 1996) in blocks
    of 8 x 8; each brightness takes the quietest quarter of its blocks.
    """
    if min(luma.shape) < _BLOCK + 2:
        return np.zeros(_NODES)
    across = luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]
    rough = (across[:-2] - 2 * across[1:-1] + across[2:]).abs_()
    sigma = functional.avg_pool2d(rough[None, None], _BLOCK).flatten().mul_(_IMMERKAER)
    bright = functional.avg_pool2d(luma[None, None, 1:-1, 1:-1], _BLOCK).flatten()
    sigmas, node = sigma.cpu().numpy(), bright.cpu().numpy() * (_NODES - 1)
    known: list[int] = []
    powers: list[float] = []
    for number in range(_NODES):
        alike = sigmas[np.abs(node - number) < 1]
        if len(alike) >= _FEWEST_BLOCKS:
            known.append(number)
            powers.append(float(np.quantile(alike, _QUIET)) * _QUIET_BIAS)
    if not known:
        return np.zeros(_NODES)
    return np.interp(np.arange(_NODES), known, powers)


def _key(pts: int) -> int:
    """Hash a timestamp of 64 bits to 32."""
    words = torch.tensor([pts & _MASK, pts >> 32 & _MASK], dtype=torch.int64)
    low, high = _hash(words).tolist()
    return int(_hash(torch.tensor([low ^ (high + 0x9E3779B9 & _MASK)]))[0])


def _hash(x: Tensor) -> Tensor:
    """Hash 32 bits; in int64, so that no product overflows."""
    for _ in range(2):
        x = ((x >> 16) ^ x) * 0x45D9F3B & _MASK
    return (x >> 16) ^ x
