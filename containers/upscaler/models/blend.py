"""A network's result and Lanczos's, mixed: less invented detail, and none where the share is 0."""

from collections.abc import Mapping

import cv2
import numpy as np

from containers.upscaler.models import Frames, Upscaler


class Blend:
    """An Upscaler around another. `strength`, over 0 and under 1, is the other's share."""

    def __init__(self, network: Upscaler, size: tuple[int, int], strength: float) -> None:
        self._network = network
        self._size = size
        self._strength = strength
        self.device = network.device
        self.versions: Mapping[str, str] = {**network.versions, "opencv": cv2.__version__}

    @property
    def tile(self) -> int:
        """See Upscaler.tile."""
        return self._network.tile

    def device_memory_mib(self) -> int:
        """See Upscaler.device_memory_mib."""
        return self._network.device_memory_mib()

    def upscale(self, frames: Frames) -> Frames:
        """See Upscaler.upscale."""
        result = np.empty_like(drawn := self._network.upscale(frames))
        for source, sharp, target in zip(frames, drawn, result, strict=True):
            soft = cv2.resize(source, self._size, interpolation=cv2.INTER_LANCZOS4)
            cv2.addWeighted(sharp, self._strength, soft, 1 - self._strength, 0, dst=target)
        return result
