"""Decoding exactly the frames that were asked for, by timestamps or in the decoder's order."""

from collections.abc import Iterator, Sequence

from av.video.frame import VideoFrame

from containers.common.film.opening import (
    AUTO_THREADS,
    ONE_THREAD,
    FilmFile,
    OpenFilm,
    use_threads,
)
from containers.common.runtime.errors import WorkerError
from contracts.names import ExitCode

BACK_OFF_SECONDS = (0, 2, 10, 60)
_ATTEMPTS = (
    *((back, AUTO_THREADS) for back in (*BACK_OFF_SECONDS, None)),
    *((back, ONE_THREAD) for back in (0, 10)),
)
"""Seconds to go back, and threads. Several threads lose the frames they hold where the film's end
meets a damaged packet; one thread loses nothing else."""
DAMAGE_ADVICE = (
    "repair it, upload it again, or have its few damaged frames concealed (--damage conceal, "
    "superres-damage=conceal)"
)


def frame_pts(frame: VideoFrame) -> int | None:
    """Presentation timestamp; the decoding one where the format has no other."""
    return frame.pts if frame.pts is not None else frame.dts


class _Unlike(Exception):  # noqa: N818 - control flow within this file
    """The frame at hand is not the one wanted."""


def decode_frames(
    film: FilmFile, timestamps: Sequence[int], *, first_frame: int = 0
) -> Iterator[VideoFrame]:
    """Decode exactly the frames with these timestamps (sorted, in the stream's time base).

    Seeks to the keyframe before the first; where that proves too late (open GOP, MPEG-TS) goes
    back 2, 10 and 60 s, at last to the beginning. What is still missing is tried once more with one
    thread. Reads nothing behind the last timestamp beyond the decoder's delay. `first_frame` is the
    number of timestamps[0] in the film, for messages. Raises WorkerError BAD_SOURCE naming the
    first frame that is missing or damaged.
    """
    done, seconds, trouble = 0, 0.0, ""
    for back, threads in _ATTEMPTS:
        if done and threads != ONE_THREAD:
            continue  # the decoder had a good start
        with film.open() as opened:
            try:
                for frame in _frames_from(opened, int(timestamps[done]), back, threads):
                    _check_frame(frame, int(timestamps[done]))
                    yield frame
                    done += 1
                    if done == len(timestamps):
                        return
                trouble = "is missing"
            except _Unlike as unlike:
                trouble = str(unlike)
            seconds = float(int(timestamps[done]) * (opened.stream.time_base or 1))
    raise WorkerError(
        ExitCode.BAD_SOURCE,
        f"{film.name}: frame {first_frame + done} (at {seconds:.3f} s) {trouble}; "
        f"the file is damaged there: {DAMAGE_ADVICE}",
    )


def decode_in_order(film: FilmFile, numbers: range) -> Iterator[VideoFrame]:
    """The frames with these numbers, as the decoder gives them from the film's beginning.

    Raises WorkerError BAD_SOURCE naming the first frame that is missing or damaged.
    """
    given = 0
    damaged = "cannot be decoded; the file is damaged there: repair it or upload it again"
    with film.open() as opened:
        use_threads(opened.stream, AUTO_THREADS)
        for packet in opened.packets():
            for frame in opened.decode(packet):
                if given in numbers:
                    if frame.is_corrupt:
                        message = f"{film.name}: frame {given} {damaged}"
                        raise WorkerError(ExitCode.BAD_SOURCE, message)
                    yield frame
                given += 1
                if given == numbers.stop:
                    return
    raise WorkerError(ExitCode.BAD_SOURCE, f"{film.name}: frame {given} {damaged}")


def _check_frame(frame: VideoFrame, wanted: int) -> None:
    if frame_pts(frame) != wanted:
        raise _Unlike("is missing")
    if frame.is_corrupt:
        raise _Unlike("cannot be decoded")


def _frames_from(
    film: OpenFilm, start: int, back: int | None, threads: int
) -> Iterator[VideoFrame]:
    """Frames from `start` on, in presentation order, decoded from a keyframe `back` s before."""
    use_threads(film.stream, threads)
    if not film.seek_before(start, back):
        return
    key_seen = back is None
    for packet in film.packets():
        key_seen = key_seen or packet.is_keyframe
        if not key_seen:
            if packet.dts is not None and packet.dts > start:
                return
            continue
        for frame in film.decode(packet):
            pts = frame_pts(frame)
            if pts is not None and pts >= start:
                yield frame
