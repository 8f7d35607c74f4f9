"""The plan of one result: what its writer puts in and its proof expects to find."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from containers.media.labels.captions import ByTime
from containers.media.labels.sidecar import SidecarFiles, exact_times
from contracts.film.facts import SidecarStream
from contracts.film.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class ResultPlan:
    """A manifest, and the objects that it refers to."""

    manifest: Manifest
    timestamps: NDArray[np.int64]
    """Of the film's frames, in the manifest's time base."""
    sidecar: SidecarFiles | None
    """None where nothing was set aside."""
    captions: ByTime
    """Captions that the result carries, by the timestamps of their frames."""

    def head_start(self) -> Fraction:
        """Seconds by which the whole result is later than the source, so that no frame is before
        zero: a whole number of the film's units.

        Only a transport stream whose clock wraps soon after its start has such frames.
        """
        video = self.manifest.video
        film = video.start_pts * video.time_base
        if film >= 0 or self.sidecar is None:
            return max(-film, Fraction(0))
        others = (self.first_second(stream) for stream in self.manifest.sidecar.streams)
        earliest = min([film, *(start for start in others if start is not None)])
        return math.ceil(-earliest / video.time_base) * video.time_base

    def first_second(self, stream: SidecarStream) -> Fraction | None:
        """Of a stream that was set aside, at which second of the source it begins; None where it
        has no packets."""
        if self.sidecar is None:
            return None
        times = exact_times(self.sidecar.index, stream.sidecar_index).pts
        return int(times[0]) * stream.time_base if len(times) else None
