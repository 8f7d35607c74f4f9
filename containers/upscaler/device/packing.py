"""Packs the planes of a batch into one tensor of integers: one copy in each direction."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from containers.common.film.pictures import Picture

Planes = list[Tensor]
"""A batch of one format: for each plane (n, rows, columns), in Picture's order."""


def upload(
    pictures: Sequence[Picture], device: torch.device, send: Callable[[Tensor], Tensor]
) -> Planes:
    """Copy pictures of one size and format to the device: planes of uint8 or uint16.

    `send` copies one tensor from the host. On a processor the planes are the pictures' own memory
    where a batch holds one picture.
    """
    planes = list(zip(*(picture.planes for picture in pictures), strict=True))
    if device.type == "cpu":
        return [torch.from_numpy(p[0][None] if len(p) == 1 else np.stack(p)) for p in planes]
    shapes = [(len(pictures), *plane[0].shape) for plane in planes]
    packed = np.concatenate([samples.ravel() for plane in planes for samples in plane])
    return _split(send(torch.from_numpy(packed)), shapes)


@dataclass(frozen=True)
class PackedPlanes:
    """Planes that lie one after the other in one tensor: fill them, then copy them at once."""

    packed: Tensor
    planes: Planes

    @classmethod
    def empty(
        cls, shapes: Sequence[tuple[int, int]], *, count: int, bits: int, device: torch.device
    ) -> "PackedPlanes":
        """Allocate for `count` pictures whose planes have these (rows, columns)."""
        dtype = torch.uint8 if bits <= 8 else torch.uint16
        full = [(count, *shape) for shape in shapes]
        packed = torch.empty(sum(map(math.prod, full)), dtype=dtype, device=device)
        return cls(packed, _split(packed, full))

    def unpack(self, packed: Tensor, pixel_format: str, stamps: Sequence[int]) -> list[Picture]:
        """Make pictures with these timestamps of the filled tensor, copied to the host."""
        planes = _split(packed, [plane.shape for plane in self.planes])
        return [
            Picture(pts, pixel_format, tuple(plane[number].numpy() for plane in planes))
            for number, pts in enumerate(stamps)
        ]


def _split(packed: Tensor, shapes: Iterable[Sequence[int]]) -> Planes:
    planes: Planes = []
    start = 0
    for shape in shapes:
        size = math.prod(shape)
        planes.append(packed[start : start + size].view(*shape))
        start += size
    return planes
