"""Lanczos by OpenCV: the fast model without weights, and the yardstick for the others."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from containers.common.pictures import Picture
from containers.upscaler.models import Target


class Lanczos:
    """An Upscaler of 8-tap Lanczos kernels; needs no torch, so it starts in a fraction of a second.

    https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html (INTER_LANCZOS4)
    """

    def __init__(self, target: Target, threads: int) -> None:
        cv2.setNumThreads(threads)
        self._size = target.size
        self._converter = target.converter()
        self.device = "cpu"
        self.versions: Mapping[str, str] = {"opencv": cv2.__version__}

    @property
    def tile(self) -> int:
        """See Upscaler.tile."""
        return 0

    def device_memory_mib(self) -> int:
        """See Upscaler.device_memory_mib."""
        return 0

    def upscale(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See Upscaler.upscale."""
        (width, height), rgb = self._size, self._converter.rgb(pictures)
        result = np.empty((len(rgb), height, width, 3), rgb.dtype)
        for source, target in zip(rgb, result, strict=True):
            cv2.resize(source, self._size, dst=target, interpolation=cv2.INTER_LANCZOS4)
        return self._converter.pictures(result, pictures)
