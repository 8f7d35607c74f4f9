"""The finished file, read back as anybody else would read it: packets, pictures, labels."""

import hashlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.confined.files import Descriptor
from containers.common.film.media_errors import media_errors_as
from containers.common.film.opening import do_nothing, is_still, open_source
from containers.common.film.pictures import has_alpha
from containers.common.runtime.errors import WorkerError, mismatch
from containers.media.labels.captions import Captions, messages_of
from containers.media.labels.orientation import Orientation, orientation
from containers.media.labels.streams import (
    chapters,
    is_cover,
    labels,
)
from contracts.film.facts import Chapter, Colour
from contracts.film.manifest import Manifest

EMPTY_TITLE = b"\0\0"
"""With these MP4 fills the time between titles."""
FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""


@dataclass
class Track:
    """What was read back of one stream."""

    time_base: Fraction
    labels: dict[str, str]
    disposition: int
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, packet: Packet) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        self.pts.append(stamp or 0)
        self.digest.update(packet)


@dataclass(frozen=True)
class ReadBack:
    """The result. `copies` stand in the manifest's order."""

    film: Track
    copies: list[Track]
    colour: Colour
    sample_aspect_ratio: Fraction
    orientation: Orientation
    alpha: bool
    frames_tested: int
    labels: dict[str, str]
    chapters: list[Chapter]
    attachments: list[str]
    """SHA-256 of attachments and covers."""
    captions: Captions


def read_back(
    file: Descriptor, manifest: Manifest, on_packet: Callable[[], None] = do_nothing
) -> ReadBack:
    """Read every packet; decode the first frame of each shard, and all from the last keyframe on.

    `on_packet` is called before a packet is decoded. Raises LEDGER_MISMATCH for another number of
    streams, or a frame that cannot be decoded.
    """
    with open_source(file.reopen()) as container:
        films = [s for s in container.streams.video if not is_still(s)]
        others = [s for s in container.streams if s.type in ("audio", "subtitle")]
        expected = 1 + len(manifest.sidecar.streams)
        if not films:
            raise mismatch("the result has no film in it")
        if len(films) + len(others) != expected:
            raise mismatch(f"the result has {len(films) + len(others)} streams, not {expected}")
        covers = [s for s in container.streams.video if is_cover(s)]
        test = _FrameTest(films[0], manifest, on_packet)
        captions, messages = Captions(), messages_of(films[0])
        tracks = {s.index: _track(s) for s in [*films, *others, *covers]}
        titles = {s.index for s in others if s.type == "subtitle"}
        for packet in container.demux([container.streams[i] for i in tracks]):
            number = packet.stream_index
            filler = number in titles and bytes(memoryview(packet)[:2]) == EMPTY_TITLE
            if packet.size and not filler:
                tracks[number].add(packet)
                if number == films[0].index:
                    captions.add(packet, messages)
                    test.add(packet)
        first = test.finish()
        return ReadBack(
            film=tracks[films[0].index],
            copies=[tracks[s.index] for s in others],
            colour=_colour(first),
            sample_aspect_ratio=films[0].sample_aspect_ratio or Fraction(1),
            orientation=orientation(first),
            alpha=has_alpha(first.format.name),
            frames_tested=test.tested,
            labels=labels(container.metadata),
            chapters=chapters(container),
            attachments=_attachments(container, (tracks[s.index] for s in covers)),
            captions=captions,
        )


def _track(stream: Stream) -> Track:
    unit = stream.time_base or Fraction(1)
    return Track(unit, labels(stream.metadata), int(stream.disposition))


def _colour(frame: VideoFrame) -> Colour:
    return Colour(
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        matrix=frame.colorspace,
        full_range=frame.color_range == FULL_RANGE,
    )


def _attachments(container: InputContainer, covers: Iterable[Track]) -> list[str]:
    files = [hashlib.sha256(a.data).hexdigest() for a in container.streams.attachments]
    return files + [cover.digest.hexdigest() for cover in covers]


class _FrameTest:
    """Decodes where joining may have gone wrong; the rest is as its encoder made it."""

    def __init__(
        self, stream: VideoStream, manifest: Manifest, on_packet: Callable[[], None]
    ) -> None:
        self.tested = 0
        self._on_packet = on_packet
        self._context = stream.codec_context
        self._size = manifest.output.width, manifest.output.height
        self._starts = {shard.first_frame: shard.index for shard in manifest.shards}
        self._count = 0
        self._first: VideoFrame | None = None
        self._tail: list[Packet] = []
        """From the last keyframe on."""

    def add(self, packet: Packet) -> None:
        if packet.is_keyframe:
            self._tail.clear()
        self._tail.append(packet)
        shard = self._starts.get(self._count)
        if shard is not None:
            frame = self._decode([packet], f"shard {shard}, frame {self._count}")
            self._first = self._first or frame
        self._count += 1

    def finish(self) -> VideoFrame:
        """The first frame of the film."""
        if self._first is None:
            raise mismatch("the result has no frames")
        self._decode(self._tail, f"the last {len(self._tail)} frames")
        return self._first

    def _decode(self, packets: list[Packet], what: str) -> VideoFrame:
        def undecodable(error: av.error.FFmpegError) -> WorkerError:
            return mismatch(f"{what}: cannot be decoded ({error.strerror})")

        context, frames = self._context, list[VideoFrame]()
        with media_errors_as(undecodable):
            for packet in [*packets, None]:
                self._on_packet()
                frames += context.decode(packet)
            context.flush_buffers()
        if len(frames) != len(packets) or any(frame.is_corrupt for frame in frames):
            raise mismatch(f"{what}: cannot be decoded")
        for frame in frames:
            if (frame.width, frame.height) != self._size:
                wanted = f"{self._size[0]}x{self._size[1]}"
                raise mismatch(f"{what}: has {frame.width}x{frame.height} instead of {wanted}")
        self.tested += len(frames)
        return frames[0]
