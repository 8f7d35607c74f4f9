"""Frames as PNGs for people: RGB of full range, 16 bits where the film has more than 8."""

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from containers.common.film.coded_film import Film
from containers.common.film.deinterlacing import Decode
from containers.common.film.pictures import Picture, to_frame
from containers.common.runtime.storage import S3Store
from contracts.film.facts import Colour, Video
from contracts.keys import frame_key

THREADS = 4
WAITING = 8
"""Pictures held for the threads."""
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_PNG_FORMATS = {
    (False, False): "rgb24", (False, True): "rgb48be",
    (True, False): "rgba", (True, True): "rgba64be",
}  # fmt: skip
"""By alpha, and more than 8 bits."""
SWS_MATRIX = {6: 5}
"""ITU-T H.273 -> swscale, where they differ: both are BT.601."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PngDestination:
    """Where the PNGs of a job go."""

    store: S3Store
    bucket: str
    job_id: str

    def key(self, video: Video, number: int, pts: int) -> str:
        return frame_key(self.job_id, number, float(pts * video.time_base))


def export_frames(destination: PngDestination, video: Video, film: Film, decode: Decode) -> int:
    """Upload the PNGs that are missing; returns the number of frames. Memory: some pictures."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for number, picture in _missing(destination, video, film, decode):
            waiting.append(pool.submit(_write, destination, video, number, picture))
            if len(waiting) > WAITING:
                waiting.popleft().result()
        for future in waiting:
            future.result()
    return video.frames


def _missing(
    destination: PngDestination, video: Video, film: Film, decode: Decode
) -> Iterator[tuple[int, Picture]]:
    """Frames that have no PNG yet. An attempt that was broken off has written the first frames, so
    the search ends at the first gap; what stands behind it is written again."""
    first = 0
    for first, pts in enumerate(film.timestamps.tolist()):
        if destination.store.info(destination.bucket, destination.key(video, first, pts)) is None:
            break
    else:
        return
    if first:
        log.info("%d frames are exported already", first)
    yield from enumerate(film.pictures(decode, first, video.frames - first), first)


def _write(destination: PngDestination, video: Video, number: int, picture: Picture) -> None:
    data = png(picture, video.working_colour)
    key = destination.key(video, number, picture.pts)
    destination.store.put_bytes(destination.bucket, key, data, content_type="image/png")


def png(picture: Picture, colour: Colour) -> bytes:
    """RGB of full range, with alpha where the picture has it; primaries and transfer are kept."""
    source = VideoFormat(picture.pixel_format)
    alpha = any(c.is_alpha for c in source.components)
    target = _PNG_FORMATS[alpha, picture.bits > 8]
    full = ColorRange.JPEG if colour.full_range or source.is_rgb else ColorRange.MPEG
    frame = VideoReformatter().reformat(
        to_frame(picture),
        format=target,
        src_colorspace=None if source.is_rgb else SWS_MATRIX.get(colour.matrix, colour.matrix),
        src_color_range=full,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    )
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, target
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"compression_level": "3"}
    frame.pts = None
    return b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)])
