"""Lanczos by OpenCV: the fast model without weights, and the yardstick for the others."""

import time
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from containers.common.pictures import Picture
from containers.upscaler.models import Pending, Target, Upscaler


class Lanczos(Upscaler):
    """An Upscaler of 8-tap Lanczos kernels; needs no torch, so it starts in a fraction of a second.

    https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html (INTER_LANCZOS4)
    """

    def __init__(self, target: Target, threads: int) -> None:
        cv2.setNumThreads(threads)
        self._size = target.size
        self._converter = target.converter()
        self._busy = 0.0
        self.device = "cpu"
        self.versions: Mapping[str, str] = {"opencv": cv2.__version__}

    @property
    def tile(self) -> int:
        """See Upscaler.tile."""
        return 0

    def device_memory_mib(self) -> int:
        """See Upscaler.device_memory_mib."""
        return 0

    def busy_seconds(self) -> float:
        """See Upscaler.busy_seconds."""
        return self._busy

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """See Upscaler.begin."""
        (width, height), rgb = self._size, self._converter.rgb(pictures)
        result = np.empty((len(rgb), height, width, 3), rgb.dtype)
        began = time.perf_counter()
        for source, target in zip(rgb, result, strict=True):
            cv2.resize(source, self._size, dst=target, interpolation=cv2.INTER_LANCZOS4)
        self._busy += time.perf_counter() - began
        made = self._converter.pictures(result, pictures)
        return Pending(lambda: made)
