"""Opening and decoding untrusted media: allow-lists for formats and protocols, exact ranges."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import av
import av.error
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.runtime.errors import WorkerError
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
"""Files of ISO 14496-12's kind."""
BACK_OFF_SECONDS = (0, 2, 10, 60)
AUTO_THREADS, ONE_THREAD = 0, 1
_ATTEMPTS = (
    *((back, AUTO_THREADS) for back in (*BACK_OFF_SECONDS, None)),
    *((back, ONE_THREAD) for back in (0, 10)),
)
"""Seconds to go back, and threads. Several threads lose what they hold when the film's end meets
a damaged packet; one loses nothing else."""
DAMAGE_ADVICE = (
    "repair it, upload it again, or have its few damaged frames concealed (--damage conceal, "
    "superres-damage=conceal)"
)
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


def frame_pts(frame: VideoFrame) -> int | None:
    """Presentation timestamp; the decoding one where the format has no other."""
    return frame.pts if frame.pts is not None else frame.dts


def _nothing() -> None:
    pass


on_packet: Callable[[], None] = _nothing
"""Called before each packet is decoded; a confined child tells by it that it is alive."""


def decode_packet(packet: Packet) -> list[VideoFrame]:
    """Decode; a damaged packet gives no frame, which the caller then misses by its timestamp."""
    on_packet()
    try:
        return packet.decode()
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return []


def demuxed(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """The packets of these streams (without any: of all), and each decoder's order to end."""
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


def film_stream(container: InputContainer, index: int) -> VideoStream:
    """The stream with this index, which is video by the manifest; all others are discarded."""
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)  # noqa: S101 - by the manifest
    discard_others(container, stream)
    return stream


def seek_before(
    container: InputContainer, stream: VideoStream, start: int, back: int | None
) -> bool:
    """Go to a keyframe `back` seconds before `start` (in the stream's unit); None: stay at the
    beginning. False where the file cannot."""
    if back is None:
        return True
    try:
        container.seek(start - int(back / (stream.time_base or 1)), stream=stream)
    except av.error.FFmpegError:
        return False
    return True


def use_threads(stream: VideoStream, threads: int) -> None:
    """Say it before the first packet; AUTO_THREADS: as many as the machine has use for."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads


class _Unlike(Exception):  # noqa: N818 - control flow within this file
    """The frame at hand is not the one wanted."""


def decode_frames(
    open_fn: Callable[[], InputContainer],
    timestamps: Sequence[int],
    *,
    stream_index: int,
    first_frame: int = 0,
    name: str = "the film",
) -> Iterator[VideoFrame]:
    """Decode exactly the frames with these timestamps (sorted, in the stream's time base).

    Seeks to the keyframe before the first; where that proves too late (open GOP, MPEG-TS) goes
    back 2, 10 and 60 s, at last to the beginning. What is missing then is tried once more with one
    thread. Reads nothing behind the last timestamp beyond the decoder's delay. `open_fn` opens the
    source anew (the container is closed here); `first_frame` is the number of timestamps[0] in the
    film, for messages. Raises WorkerError BAD_SOURCE naming the first frame that is missing or
    damaged.
    """
    done, seconds, trouble = 0, 0.0, ""
    for back, threads in _ATTEMPTS:
        if done and threads != ONE_THREAD:
            continue  # the decoder had a good start
        with contextlib.closing(open_fn()) as container:
            stream = film_stream(container, stream_index)
            try:
                for frame in _frames_from(container, stream, int(timestamps[done]), back, threads):
                    _compare(frame, int(timestamps[done]))
                    yield frame
                    done += 1
                    if done == len(timestamps):
                        return
                trouble = "is missing"
            except _Unlike as unlike:
                trouble = str(unlike)
            seconds = float(int(timestamps[done]) * (stream.time_base or 1))
    raise WorkerError(
        ExitCode.BAD_SOURCE,
        f"{name}: frame {first_frame + done} (at {seconds:.3f} s) {trouble}; "
        f"the file is damaged there: {DAMAGE_ADVICE}",
    )


def decode_in_order(
    open_fn: Callable[[], InputContainer],
    numbers: range,
    *,
    stream_index: int,
    name: str = "the film",
) -> Iterator[VideoFrame]:
    """The frames of these numbers, as the decoder gives them from the film's beginning.

    Raises WorkerError BAD_SOURCE naming the first frame that is missing or damaged.
    """
    given = 0
    damaged = "cannot be decoded; the file is damaged there: repair it or upload it again"
    with contextlib.closing(open_fn()) as container:
        stream = film_stream(container, stream_index)
        use_threads(stream, AUTO_THREADS)
        for packet in demuxed(container, stream):
            for frame in decode_packet(packet):
                if given in numbers:
                    if frame.is_corrupt:
                        raise WorkerError(ExitCode.BAD_SOURCE, f"{name}: frame {given} {damaged}")
                    yield frame
                given += 1
                if given == numbers.stop:
                    return
    raise WorkerError(ExitCode.BAD_SOURCE, f"{name}: frame {given} {damaged}")


def _compare(frame: VideoFrame, wanted: int) -> None:
    if frame_pts(frame) != wanted:
        raise _Unlike("is missing")
    if frame.is_corrupt:
        raise _Unlike("cannot be decoded")


def _frames_from(
    container: InputContainer, stream: VideoStream, start: int, back: int | None, threads: int
) -> Iterator[VideoFrame]:
    """Frames from `start` on, in presentation order, decoded from a keyframe `back` s before."""
    use_threads(stream, threads)
    if not seek_before(container, stream, start, back):
        return
    key_seen = back is None
    for packet in demuxed(container, stream):
        key_seen = key_seen or packet.is_keyframe
        if not key_seen:
            if packet.dts is not None and packet.dts > start:
                return
            continue
        for frame in decode_packet(packet):
            pts = frame_pts(frame)
            if pts is not None and pts >= start:
                yield frame
