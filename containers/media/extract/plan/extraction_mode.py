"""Where the workers are to take the pictures from: what ranges of the source cost, measured."""

import logging
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from containers.common.film.deinterlacing import Decode
from containers.common.runtime.errors import WorkerError
from contracts.film.facts import Video
from contracts.film.manifest import Extraction, SeekProbe
from contracts.job import ExtractionChoice
from contracts.names import ExitCode

BASE_FRAMES = 24
"""Decoded one after another for the usual cost of a frame."""
MAX_PROBES = 3
LOSSLESS_SECONDS_PER_PIXEL = (59e-3 + 74e-3) / (1920 * 1080)
"""To encode and decode FFV1, on two cores of 2.1 GHz; decisions/0042."""

log = logging.getLogger(__name__)


def choose_extraction_mode(
    choice: ExtractionChoice,
    video: Video,
    stamps: NDArray[np.int64],
    keyframes: NDArray[np.int64],
    starts: list[int],
    decode: Decode,
    bytes_read: Callable[[], int],
) -> Extraction:
    """Choose. `stamps` and `keyframes`: timestamps of coded frames; `starts`: the coded frame at
    which each run begins. Raises what `decode` raises.
    """
    if choice in ("ranged", "shards"):
        return Extraction(mode=choice, reason="as asked")
    if len(starts) < 2:
        return Extraction(reason="one run reads the film from its beginning")
    leads = lead_frames(stamps, keyframes, starts)
    for _ in decode(0, 1):  # or the clock would count the decoder's start
        pass
    begun = time.perf_counter()
    count = sum(1 for _ in decode(0, min(BASE_FRAMES, len(stamps))))
    frame_seconds = (time.perf_counter() - begun) / count
    probes = tuple(_probe(decode, place, bytes_read) for place in _places(starts, leads))
    extra = max((p.seconds - frame_seconds for p in probes), default=0.0)
    ranged = max(extra, 0.0) * (len(starts) - 1)
    pixels = video.width * video.height
    lossless = len(stamps) * (frame_seconds + pixels * LOSSLESS_SECONDS_PER_PIXEL)
    shards = bool(probes) and ranged > lossless
    verb = "more" if shards else "no more"
    reason = (
        f"beginning at {len(starts)} places costs about {ranged:.1f} s of decoding "
        f"({sum(leads)} frames that are dropped), {verb} than lossless shards ({lossless:.1f} s)"
    )
    extraction = Extraction(
        mode="shards" if shards else "ranged",
        reason=reason,
        frame_seconds=round(frame_seconds, 6),
        probes=probes,
        lead_frames=sum(leads),
    )
    log.info("extraction", extra=extraction.model_dump(mode="json"))
    return extraction


def only_shards(choice: ExtractionChoice, name: str) -> Extraction:
    """For a film that is decoded from its beginning only.

    Raises UNSUPPORTED where ranges were asked for.
    """
    if choice == "ranged":
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} does not tell when its frames are shown, so it cannot be read by ranges; "
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


def _places(starts: list[int], leads: list[int]) -> list[int]:
    """The starts that look dearest, without the film's own beginning."""
    later = [(lead, start) for start, lead in zip(starts, leads, strict=True) if start > 0]
    return sorted(start for _, start in sorted(later, reverse=True)[:MAX_PROBES])


def _probe(decode: Decode, place: int, bytes_read: Callable[[], int]) -> SeekProbe:
    before, begun = bytes_read(), time.perf_counter()
    for _ in islice(decode(place, 1), 1):
        pass
    seconds = time.perf_counter() - begun
    return SeekProbe(frame=place, seconds=round(seconds, 6), bytes_read=bytes_read() - before)
