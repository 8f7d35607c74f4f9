"""Opening untrusted media: allow-lists for formats and protocols, and which stream is the film."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import av
import av.error
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.film.media_errors import suppress_media_errors
from containers.common.runtime.errors import WorkerError, mismatch
from contracts.film.formats import DEMUXERS
from contracts.job import Container
from contracts.names import ExitCode

# Any level but None installs a log callback that takes the interpreter's lock and deadlocks with
# codec threads.
av.logging.set_level(None)

MUXERS = {
    Container.MP4: "mp4",
    Container.MOV: "mov",
    Container.MKV: "matroska",
    Container.WEBM: "webm",
}
ISO_MEDIA = frozenset({Container.MP4, Container.MOV})
"""Containers of the ISO 14496-12 family."""
AUTO_THREADS, ONE_THREAD = 0, 1
BUFFER_BYTES = 256 * 1024
_STILLS = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


def open_source(file: IO[bytes] | Any) -> InputContainer:
    """Open a file object (a RangedReader, an open file) as media; the caller closes the container.

    Only demuxers of the allow-list run, and none can open a second file or address. Raises
    av.error.FFmpegError for what is not media, WorkerError where reading fails.
    """
    file.seek(0)
    return av.open(
        file,
        "r",
        container_options={
            "format_whitelist": ",".join(DEMUXERS),
            "protocol_whitelist": "none",
        },
        buffer_size=BUFFER_BYTES,
        io_open=_refuse_second_file,
        metadata_errors="replace",
    )


def _refuse_second_file(url: str, _flags: int, _options: dict[str, str]) -> IO[bytes]:
    raise WorkerError(ExitCode.BAD_SOURCE, f"the film refers to another file ({url[:80]!r})")


def is_still(stream: Stream) -> bool:
    """True of a cover or thumbnail that some containers carry as video."""
    return bool(stream.disposition & _STILLS)


def video_stream(container: InputContainer) -> VideoStream | None:
    """The film: the default video stream, else the first; None where there is only a still."""
    films = [s for s in container.streams.video if not is_still(s)]
    marked = [s for s in films if s.disposition & Disposition.default]
    return next(iter(marked or films), None)


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """The packets of these streams (of all where none is given), then an empty one for each, which
    flushes its decoder."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except IndexError:  # PyAV ends streams that damaged MPEG-TS announced on the way
            return
        yield packet


def discard_others(container: InputContainer, kept: Stream) -> None:
    """Let the demuxer skip all other streams, so that their bytes need not be read."""
    for stream in container.streams:
        if stream.index != kept.index:
            stream.discard = Discard.all


def use_threads(stream: VideoStream, threads: int) -> None:
    """Call it before the first packet. AUTO_THREADS: as many as the machine can use."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads


def do_nothing() -> None:
    """For `on_packet`, where nobody waits for a sign of life."""


@dataclass(frozen=True)
class OpenFilm:
    """A film that is being read: its container, its video stream, and its name for messages."""

    container: InputContainer
    stream: VideoStream
    name: str = "the film"
    on_packet: Callable[[], None] = do_nothing
    """Called before each packet is decoded: a confined child reports that it is alive."""

    @property
    def demuxer(self) -> str:
        """FFmpeg's name of the format."""
        return self.container.format.name.split(",")[0]

    def packets(self) -> Iterator[Packet]:
        """The video stream's packets, as `read_packets` gives them."""
        return read_packets(self.container, self.stream)

    def decode(self, packet: Packet) -> list[VideoFrame]:
        """The frames that a packet completes. A damaged packet gives none; the caller misses the
        frame by its timestamp. Raises MemoryError."""
        self.on_packet()
        with suppress_media_errors():
            return packet.decode()
        return []

    def seek_before(self, start: int, back: int | None) -> bool:
        """Go to a keyframe `back` seconds before `start`, a timestamp of the stream; None: stay at
        the beginning. False where the file cannot seek."""
        if back is None:
            return True
        try:
            offset = start - int(back / (self.stream.time_base or 1))
            self.container.seek(offset, stream=self.stream)
        except av.error.FFmpegError:
            return False
        return True


@dataclass(frozen=True)
class FilmFile:
    """A film that can be opened again and again. `file` is what `open_source` takes."""

    file: Any
    stream_index: int = 0
    name: str = "the film"
    on_packet: Callable[[], None] = do_nothing
    """As in OpenFilm."""

    @contextlib.contextmanager
    def open(self) -> Iterator[OpenFilm]:
        """From its beginning, with all other streams discarded.

        Raises WorkerError LEDGER_MISMATCH where the planned stream is missing or not video.
        """
        with contextlib.closing(open_source(self.file)) as container:
            stream = next((s for s in container.streams if s.index == self.stream_index), None)
            if not isinstance(stream, VideoStream):
                raise mismatch(
                    f"{self.name}: stream {self.stream_index} is not video, as it was planned"
                )
            discard_others(container, stream)
            yield OpenFilm(container, stream, self.name, self.on_packet)
