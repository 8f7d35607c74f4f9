"""Error concealment: a damaged stretch of a film decoded with stand-ins for its damaged frames.

Every worker gets the same frames, stand-ins included, wherever its shards begin and end.
"""

import contextlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.film.decoding import BACK_OFF_SECONDS, frame_pts
from containers.common.film.kinds import Kind, kind_of
from containers.common.film.opening import ONE_THREAD, FilmFile, OpenFilm, use_threads
from containers.common.runtime.errors import WorkerError
from contracts.base import Contract
from contracts.names import ExitCode

SILENT_CODECS = frozenset({"mjpeg"})
"""Their decoders fill a damaged picture with whatever lay in memory; an option makes them fail."""
DECODER = -1
"""The decoder itself made a picture of a damaged frame, which stands in."""


class Concealment(Contract):
    """A damaged stretch, and what stands in for its damaged frames."""

    first_frame: int
    timestamps: tuple[int, ...]
    """Of the stretch's frames, and of the good keyframe behind it where there is one."""
    stand_ins: dict[int, int]
    """By the damaged frame's number: DECODER, or the number of a good frame."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame that the decoder gave, and its place among the stretch's timestamps."""

    place: int
    frame: VideoFrame
    damaged: bool


def expect_damage(stream: VideoStream) -> None:
    """Call it before the first packet: then every process gets the same pictures and flags."""
    use_threads(stream, ONE_THREAD)
    if stream.codec_context.codec.canonical_name in SILENT_CODECS:
        stream.codec_context.options = {"err_detect": "explode"}


def decode_stretch(
    film: FilmFile, timestamps: Sequence[int], marked: Collection[int], kind: Kind
) -> Generator[DecodedFrame]:
    """Decode from the keyframe at timestamps[0] to the frame at timestamps[-1].

    `marked`: timestamps of frames that are damaged whatever their decoder says. One thread: with
    several, what a decoder makes of damage depends on their race. Places rise; frames that come too
    late or are of another kind are left out.
    """
    places = {pts: place for place, pts in enumerate(timestamps)}
    last = -1
    packets = _packets_from(film, timestamps[0])
    with contextlib.closing(packets):
        for opened, packet in packets:
            for frame in opened.decode(packet):
                pts = frame_pts(frame)
                if pts is not None and pts > timestamps[-1]:
                    return
                place = -1 if pts is None else places.get(pts, -1)
                if place > last and kind_of(frame) == kind:
                    last = place
                    yield DecodedFrame(place, frame, frame.is_corrupt or pts in marked)
            if last == len(timestamps) - 1:
                return


def _packets_from(film: FilmFile, start: int) -> Generator[tuple[OpenFilm, Packet]]:
    """From the keyframe with this timestamp on; where there is none, from the film's beginning (an
    edit list may hide the keyframe of its first frame)."""
    for back in (*BACK_OFF_SECONDS, None):
        with film.open() as opened:
            expect_damage(opened.stream)
            if not opened.seek_before(start, back):
                continue
            begun = back is None
            for packet in opened.packets():
                begun = begun or (packet.pts == start and packet.is_keyframe)
                if begun:
                    yield opened, packet
                elif packet.dts is not None and packet.dts > start:
                    break
            if begun:
                return


def conceal_frames(
    film: FilmFile, stretch: Concealment, part: range, kind: Kind
) -> Iterator[VideoFrame]:
    """The frames of a damaged stretch with these numbers, stand-ins in the place of damaged ones.

    Raises WorkerError BAD_SOURCE where the film decodes differently than it did for the plan.
    """
    marked = {
        stretch.timestamps[number - stretch.first_frame]
        for number, stand_in in stretch.stand_ins.items()
        if stand_in == DECODER
    }

    def decode() -> Generator[DecodedFrame]:
        return decode_stretch(film, stretch.timestamps, marked, kind)

    good = _decode_later_frame(stretch, decode)
    with contextlib.closing(decode()) as decoded:
        for number in range(stretch.first_frame, part.stop):
            stand_in = stretch.stand_ins.get(number)
            frame = good
            if stand_in is None or stand_in == DECODER:
                found = next(decoded, None)
                planned = (number - stretch.first_frame, stand_in == DECODER)
                if found is None or (found.place, found.damaged) != planned:
                    raise _unlike_the_plan(film.name, number)
                frame = found.frame
                good = frame if stand_in is None else good
            if frame is None:
                raise _unlike_the_plan(film.name, number)
            if number in part:
                yield frame


def _decode_later_frame(
    stretch: Concealment, decode: Callable[[], Generator[DecodedFrame]]
) -> VideoFrame | None:
    """The good frame that stands in for those before it, at the beginning of a film."""
    later = next((good for number, good in stretch.stand_ins.items() if good > number), None)
    if later is None:
        return None
    place = later - stretch.first_frame
    return next((found.frame for found in decode() if found.place == place), None)


def _unlike_the_plan(name: str, number: int) -> WorkerError:
    return WorkerError(
        ExitCode.BAD_SOURCE,
        f"{name}: frame {number} decodes differently than it did when the film was planned, so its "
        "damage cannot be concealed; repair the film",
    )
