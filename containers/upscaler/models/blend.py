"""A network's result and Lanczos's, mixed: less invented detail, and none where the share is 0."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from containers.common.pictures import Picture, Plane
from containers.upscaler.models import Pending, Upscaler


class Blend(Upscaler):
    """An Upscaler around two others. `strength`, over 0 and under 1, is the first one's share.

    Plane by plane: to mix Y'CbCr is to mix R'G'B', for the one is a linear map of the other.
    """

    def __init__(self, network: Upscaler, lanczos: Upscaler, strength: float) -> None:
        self._network = network
        self._lanczos = lanczos
        self._strength = strength
        self.device = network.device
        self.versions: Mapping[str, str] = {**network.versions, **lanczos.versions}

    @property
    def tile(self) -> int:
        """See Upscaler.tile."""
        return self._network.tile

    def device_memory_mib(self) -> int:
        """See Upscaler.device_memory_mib."""
        return self._network.device_memory_mib()

    @property
    def in_flight(self) -> int:
        """See Upscaler.in_flight."""
        return self._network.in_flight

    def busy_seconds(self) -> float:
        """See Upscaler.busy_seconds."""
        return self._network.busy_seconds()

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """See Upscaler.begin."""
        drawn = self._network.begin(pictures)
        soft = self._lanczos.begin(pictures)  # beside the network, where that has its own device

        def mixed() -> list[Picture]:
            pairs = zip(drawn.pictures(), soft.pictures(), strict=True)
            return [self._mixed(a, b) for a, b in pairs]

        return Pending(mixed, drawn.wait)

    def _mixed(self, sharp: Picture, soft: Picture) -> Picture:
        planes: list[Plane] = []
        for a, b in zip(sharp.planes, soft.planes, strict=True):
            planes.append(mixed := np.empty_like(a))
            cv2.addWeighted(a, self._strength, b, 1 - self._strength, 0, dst=mixed)
        return Picture(sharp.pts, sharp.pixel_format, tuple(planes))
