"""Pictures to a device and back: one copy each way, of integers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from containers.common.film.pictures import Picture

Planes = list[Tensor]
"""A batch of one format: per plane (n, rows, columns), in Picture's order."""


def upload(
    pictures: Sequence[Picture], device: torch.device, send: Callable[[Tensor], Tensor]
) -> Planes:
    """Pictures of one size and format as planes of uint8 or uint16; one tensor is sent."""
    planes = list(zip(*(picture.planes for picture in pictures), strict=True))
    if device.type == "cpu":
        return [torch.from_numpy(p[0][None] if len(p) == 1 else np.stack(p)) for p in planes]
    shapes = [(len(pictures), *plane[0].shape) for plane in planes]
    packed = np.concatenate([samples.ravel() for plane in planes for samples in plane])
    return _unpacked(send(torch.from_numpy(packed)), shapes)


@dataclass(frozen=True)
class Sheet:
    """Planes side by side in one tensor, to be filled and copied at once."""

    packed: Tensor
    planes: Planes

    @classmethod
    def empty(
        cls, shapes: Sequence[tuple[int, int]], count: int, bits: int, device: torch.device
    ) -> "Sheet":
        """For `count` pictures whose planes have these (rows, columns)."""
        dtype = torch.uint8 if bits <= 8 else torch.uint16
        full = [(count, *shape) for shape in shapes]
        packed = torch.empty(sum(map(math.prod, full)), dtype=dtype, device=device)
        return cls(packed, _unpacked(packed, full))

    def pictures(self, on_host: Tensor, pixel_format: str, stamps: Sequence[int]) -> list[Picture]:
        """The filled tensor, come back to the host."""
        planes = _unpacked(on_host, [plane.shape for plane in self.planes])
        return [
            Picture(pts, pixel_format, tuple(plane[number].numpy() for plane in planes))
            for number, pts in enumerate(stamps)
        ]


def _unpacked(packed: Tensor, shapes: Iterable[Sequence[int]]) -> Planes:
    planes: Planes = []
    start = 0
    for shape in shapes:
        size = math.prod(shape)
        planes.append(packed[start : start + size].view(*shape))
        start += size
    return planes
