"""Lanczos by OpenCV: the fast model without weights, and the yardstick for the others."""

from collections.abc import Mapping

import cv2
import numpy as np

from containers.upscaler.models import Frames


class Lanczos:
    """An Upscaler of 8-tap Lanczos kernels; needs no torch, so it starts in a fraction of a second.

    https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html (INTER_LANCZOS4)
    """

    def __init__(self, size: tuple[int, int], threads: int) -> None:
        cv2.setNumThreads(threads)
        self._size = size
        self.device = "cpu"
        self.versions: Mapping[str, str] = {"opencv": cv2.__version__}

    @property
    def tile(self) -> int:
        """See Upscaler.tile."""
        return 0

    def device_memory_mib(self) -> int:
        """See Upscaler.device_memory_mib."""
        return 0

    def upscale(self, frames: Frames) -> Frames:
        """See Upscaler.upscale."""
        width, height = self._size
        result = np.empty((len(frames), height, width, 3), frames.dtype)
        for source, target in zip(frames, result, strict=True):
            cv2.resize(source, self._size, dst=target, interpolation=cv2.INTER_LANCZOS4)
        return result
