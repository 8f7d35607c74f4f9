"""Lanczos by OpenCV: the fast model without weights, and the reference for the others."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from containers.common.film.pictures import Picture, has_alpha
from containers.upscaler.device.target import Target
from containers.upscaler.models.upscaler import Pending, Upscaler


class LanczosUpscaler(Upscaler):
    """An Upscaler with 8-tap Lanczos kernels.

    It does not import torch, so it starts in a fraction of a second.

    https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html (INTER_LANCZOS4)
    """

    def __init__(self, target: Target, threads: int) -> None:
        cv2.setNumThreads(threads)
        self._size = target.size
        self._converter = target.converter()
        self._has_alpha = has_alpha(target.pixel_format)
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
        (width, height), rgb = self._size, self._converter.to_rgb(pictures)
        result = np.empty((len(rgb), height, width, 3), rgb.dtype)
        began = time.perf_counter()
        for source, target in zip(rgb, result, strict=True):
            cv2.resize(source, self._size, dst=target, interpolation=cv2.INTER_LANCZOS4)
        self._busy += time.perf_counter() - began
        made = self._converter.to_pictures(result, pictures)
        if self._has_alpha:
            made = [self._with_alpha(*pair) for pair in zip(made, pictures, strict=True)]
        return Pending(lambda: made)

    def _with_alpha(self, made: Picture, source: Picture) -> Picture:
        """Replace the converter's opaque alpha by the source's, enlarged."""
        if not has_alpha(source.pixel_format):
            return made
        alpha = source.planes[-1].astype(np.float32)
        large = cv2.resize(alpha, self._size, interpolation=cv2.INTER_LANCZOS4)
        peak = 2**made.bits - 1
        codes = np.rint(large * (peak / (2**source.bits - 1))).clip(0, peak)
        return replace(made, planes=(*made.planes[:-1], codes.astype(made.planes[-1].dtype)))
