"""Ranges of the source or lossless shards: where workers take pictures from, by measured cost."""

import logging
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from containers.common.film.coded_film import CodedFrames
from containers.common.runtime.errors import WorkerError
from contracts.film.manifest import Extraction, SeekProbe
from contracts.job import ExtractionChoice
from contracts.names import ExitCode

BASE_FRAMES = 24
"""Decoded one after another, to measure what a frame usually costs."""
MAX_PROBES = 3
LOSSLESS_SECONDS_PER_PIXEL = (59e-3 + 74e-3) / (1920 * 1080)
"""To encode and decode FFV1, on two cores of 2.1 GHz; decisions/0042."""

log = logging.getLogger(__name__)


def choose_extraction_mode(
    choice: ExtractionChoice,
    coded: CodedFrames,
    starts: list[int],
    *,
    bytes_read: Callable[[], int],
    clock: Callable[[], float] = time.perf_counter,
) -> Extraction:
    """Choose between ranges of the source and lossless shards, by measuring where it is left open.

    `starts`: the coded frame at which each run begins; `bytes_read()`: of the source so far;
    `clock()`: seconds. Raises what `coded.decode` raises.
    """
    if choice in ("ranged", "shards"):
        return Extraction(mode=choice, reason="as asked")
    if len(starts) < 2:
        return Extraction(reason="one run reads the film from its beginning")
    leads = lead_frames(coded.timestamps, coded.keyframes, starts)
    meter = _SeekMeter(coded, bytes_read, clock)
    frame_seconds = meter.measure_frame()
    probes = tuple(meter.probe(place) for place in _dearest(starts, leads))
    extra = max((p.seconds - frame_seconds for p in probes), default=0.0)
    ranged = max(extra, 0.0) * (len(starts) - 1)
    pixels = coded.video.width * coded.video.height
    frames = len(coded.timestamps)
    lossless = frames * (frame_seconds + pixels * LOSSLESS_SECONDS_PER_PIXEL)
    shards = bool(probes) and ranged > lossless
    verb = "more" if shards else "no more"
    extraction = Extraction(
        mode="shards" if shards else "ranged",
        reason=(
            f"beginning at {len(starts)} places costs about {ranged:.1f} s of decoding "
            f"({sum(leads)} frames that are dropped), {verb} than lossless shards "
            f"({lossless:.1f} s)"
        ),
        frame_seconds=round(frame_seconds, 6),
        probes=probes,
        lead_frames=sum(leads),
    )
    log.info("extraction", extra=extraction.model_dump(mode="json"))
    return extraction


class _SeekMeter:
    """Measures what decoding costs, from the beginning and after a seek."""

    def __init__(
        self, coded: CodedFrames, bytes_read: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self._coded, self._bytes_read, self._clock = coded, bytes_read, clock

    def measure_frame(self) -> float:
        """Seconds a frame, of frames that are decoded one after another."""
        for _ in self._coded.decode(0, 1):  # or the clock would count the decoder's start
            pass
        begun = self._clock()
        frames = min(BASE_FRAMES, len(self._coded.timestamps))
        count = sum(1 for _ in self._coded.decode(0, frames))
        return (self._clock() - begun) / count

    def probe(self, place: int) -> SeekProbe:
        before, begun = self._bytes_read(), self._clock()
        for _ in islice(self._coded.decode(place, 1), 1):
            pass
        seconds = round(self._clock() - begun, 6)
        return SeekProbe(frame=place, seconds=seconds, bytes_read=self._bytes_read() - before)


def only_shards(choice: ExtractionChoice, name: str) -> Extraction:
    """For a film that is decoded from its beginning only.

    Raises UNSUPPORTED where ranges were asked for.
    """
    if choice == "ranged":
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} does not say when its frames are shown, so it cannot be read by ranges; "
            "choose extraction shards or auto",
        )
    return Extraction(mode="shards", reason="its frames have an order and no times of their own")


def lead_frames(
    stamps: NDArray[np.int64], keyframes: NDArray[np.int64], starts: list[int]
) -> list[int]:
    """How many frames lie between each start and the keyframe before it."""
    keys = np.sort(np.searchsorted(stamps, keyframes))
    keys = np.concatenate([[0], keys])
    return [start - int(keys[np.searchsorted(keys, start, "right") - 1]) for start in starts]


def _dearest(starts: list[int], leads: list[int]) -> list[int]:
    """The starts with the longest leads, without the film's own beginning."""
    later = [(lead, start) for start, lead in zip(starts, leads, strict=True) if start > 0]
    return sorted(start for _, start in sorted(later, reverse=True)[:MAX_PROBES])
