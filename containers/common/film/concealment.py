"""Damaged stretches of a film: decoded so that every worker gets the same, stand-ins included."""

import contextlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.film.kinds import Kind, kind_of
from containers.common.film.opening import (
    BACK_OFF_SECONDS,
    ONE_THREAD,
    decode_packet,
    demuxed,
    film_stream,
    frame_pts,
    seek_before,
    use_threads,
)
from containers.common.runtime.errors import WorkerError
from contracts.base import Contract
from contracts.names import ExitCode

SILENT_CODECS = frozenset({"mjpeg"})
"""Their decoders hand out a damaged picture with what lay in memory; asked to, they refuse it."""
DECODER = -1
"""Stands in where the decoder made something of a damaged frame."""


class Concealment(Contract):
    """A stretch, and what stands in for its damaged frames."""

    first_frame: int
    timestamps: tuple[int, ...]
    """Of the stretch's frames, and of the good keyframe behind it where there is one."""
    stand_ins: dict[int, int]
    """By the damaged frame's number: DECODER, or the number of a good frame."""


@dataclass(frozen=True)
class Given:
    """What the decoder gave: a frame's place among the timestamps, its picture, its state."""

    place: int
    frame: VideoFrame
    damaged: bool


def expect_damage(stream: VideoStream) -> None:
    """Say it before the first packet: the same pictures and flags then come in every process."""
    use_threads(stream, ONE_THREAD)
    if stream.codec_context.codec.canonical_name in SILENT_CODECS:
        stream.codec_context.options = {"err_detect": "explode"}


def decode_stretch(
    open_fn: Callable[[], InputContainer],
    timestamps: Sequence[int],
    marked: Collection[int],
    stream_index: int,
    kind: Kind,
) -> Generator[Given]:
    """Decode from the keyframe at timestamps[0] to the frame at timestamps[-1].

    `marked`: timestamps of frames that are damaged whatever their decoder says. One thread: with
    several, what a decoder makes of damage depends on their race. Places rise; frames that come too
    late or are of another kind are left out.
    """
    places = {pts: place for place, pts in enumerate(timestamps)}
    last = -1
    packets = _packets_from(open_fn, stream_index, timestamps[0])
    with contextlib.closing(packets):
        for packet in packets:
            for frame in decode_packet(packet):
                pts = frame_pts(frame)
                if pts is not None and pts > timestamps[-1]:
                    return
                place = -1 if pts is None else places.get(pts, -1)
                if place > last and kind_of(frame) == kind:
                    last = place
                    yield Given(place, frame, frame.is_corrupt or pts in marked)
            if last == len(timestamps) - 1:
                return


def _packets_from(
    open_fn: Callable[[], InputContainer], stream_index: int, start: int
) -> Generator[Packet]:
    """From the keyframe with this timestamp on; where there is none, from the film's beginning (an
    edit list may hide the keyframe of its first frame)."""
    for back in (*BACK_OFF_SECONDS, None):
        with contextlib.closing(open_fn()) as container:
            stream = film_stream(container, stream_index)
            expect_damage(stream)
            if not seek_before(container, stream, start, back):
                continue
            begun = back is None
            for packet in demuxed(container, stream):
                begun = begun or (packet.pts == start and packet.is_keyframe)
                if begun:
                    yield packet
                elif packet.dts is not None and packet.dts > start:
                    break
            if begun:
                return


def conceal_frames(
    open_fn: Callable[[], InputContainer],
    mend: Concealment,
    part: range,
    *,
    stream_index: int,
    kind: Kind,
    name: str,
) -> Iterator[VideoFrame]:
    """The frames with these numbers, of a stretch; stand-ins in the place of damaged ones.

    Raises WorkerError BAD_SOURCE where the film decodes otherwise than it did for the plan.
    """

    marked = {
        mend.timestamps[number - mend.first_frame]
        for number, stand_in in mend.stand_ins.items()
        if stand_in == DECODER
    }

    def given() -> Generator[Given]:
        return decode_stretch(open_fn, mend.timestamps, marked, stream_index, kind)

    good = _later_frame(mend, given)
    source = given()
    with contextlib.closing(source):
        for number in range(mend.first_frame, part.stop):
            stand_in = mend.stand_ins.get(number)
            frame = good
            if stand_in is None or stand_in == DECODER:
                found = next(source, None)
                planned = (number - mend.first_frame, stand_in == DECODER)
                if found is None or (found.place, found.damaged) != planned:
                    raise _otherwise(name, number)
                frame = found.frame
                good = frame if stand_in is None else good
            if frame is None:
                raise _otherwise(name, number)
            if number in part:
                yield frame


def _later_frame(mend: Concealment, given: Callable[[], Generator[Given]]) -> VideoFrame | None:
    """The good frame that stands in for those before it, at the beginning of a film."""
    later = next((good for number, good in mend.stand_ins.items() if good > number), None)
    if later is None:
        return None
    return next((g.frame for g in given() if g.place == later - mend.first_frame), None)


def _otherwise(name: str, number: int) -> WorkerError:
    return WorkerError(
        ExitCode.BAD_SOURCE,
        f"{name}: frame {number} decodes otherwise than it did when the film was planned, so its "
        "damage cannot be concealed; repair the film",
    )
