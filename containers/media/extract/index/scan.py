"""One pass over the packets: the timestamps of all frames, and everything else to the sidecar."""

import contextlib
import sys
from array import array
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import av.error
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from containers.common.film.decoding import frame_pts
from containers.common.film.kinds import kind_change, kind_of
from containers.common.film.media_errors import suppress_media_errors
from containers.common.film.opening import (
    OpenFilm,
    discard_others,
    read_packets,
    use_threads,
)
from containers.common.runtime.errors import WorkerError
from containers.media.extract.index.checksums import Checksums
from containers.media.extract.judge.budget import Budget
from containers.media.extract.judge.probe import bad_source
from containers.media.extract.judge.sizes import SizeWatch
from containers.media.labels.captions import Captions, messages_of
from containers.media.labels.sidecar import SidecarWriter

HEAD_FRAMES = 32
"""Decoded at the beginning as a test of order and timestamps."""
KEYFRAME_PATIENCE = 300
"""Packets at the beginning that may precede the first keyframe (recordings begin anywhere)."""
LOOSE_END = frozenset({"mpegts", "mpeg"})
"""Formats whose header has no length: recordings, cut off anywhere."""
SLACK_SECONDS = 1.0
CUE_SLACK_SECONDS = Fraction(1, 10)
"""For writers that round."""
AVI_CHUNK_HEADER = 8
"""Bytes: AVI's index points at it, FFmpeg behind it."""


@dataclass(frozen=True)
class Head:
    """The beginning, decoded: the first good frame, and the timestamps of the first few."""

    first: VideoFrame
    timestamps: tuple[int | None, ...]


def decode_head(film: OpenFilm, threads: int) -> Head:
    """Decode the first frames. BAD_SOURCE where nothing can be decoded."""
    discard_others(film.container, film.stream)
    use_threads(film.stream, threads)
    frames = _decode_first_frames(film, from_keyframe=True)
    if not frames:
        with contextlib.suppress(av.error.FFmpegError):
            film.container.seek(0)
        frames = _decode_first_frames(film, from_keyframe=False)
    good = next((i for i, frame in enumerate(frames) if not frame.is_corrupt), None)
    if good is None:
        raise bad_source(f"{film.name}: not one frame can be decoded; upload it again")
    return Head(frames[good], tuple(frame_pts(frame) for frame in frames[good:]))


def _decode_first_frames(film: OpenFilm, *, from_keyframe: bool) -> list[VideoFrame]:
    frames: list[VideoFrame] = []
    key_seen = not from_keyframe
    with suppress_media_errors():  # the scan meets the same damage and names it
        for number, packet in enumerate(film.packets()):
            key_seen = key_seen or packet.is_keyframe
            if key_seen:
                frames += film.decode(packet)
            if len(frames) >= HEAD_FRAMES or (not frames and number > KEYFRAME_PATIENCE):
                break
    return frames[:HEAD_FRAMES]


@dataclass
class Scan:
    """What the packets say. Timestamps in the video stream's time base."""

    time_base: Fraction
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    corrupt: list[int] = field(default_factory=list)
    """Timestamps of damaged packets, by the demuxer or by their own checksums."""
    first_key: int | None = None
    before_key: int = 0
    """Frames that come before the first keyframe in the file."""
    keys: "array[int]" = field(default_factory=lambda: array("q"))
    """Timestamps of the keyframes, in the file's order."""
    key_places: "array[int]" = field(default_factory=lambda: array("q"))
    """Of each keyframe its place in the file (bytes) and its decoding time, in turns."""
    last_pts: int | None = None
    last_duration: int = 0
    packets: int = 0
    smallest: int = sys.maxsize
    """Bytes of the smallest packet that shows a frame."""
    complete: bool = True
    """Every packet that shows a frame has its own timestamp."""
    seconds_seen: float = 0.0
    """Where the last packet of any stream ends."""
    captions: Captions = field(default_factory=Captions)

    def note_end(self, packet: Packet) -> None:
        """Of any stream."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            end = float((stamp + (packet.duration or 0)) * packet.time_base)
            self.seconds_seen = max(self.seconds_seen, end)

    def add(self, packet: Packet, *, shown: bool) -> None:
        """Take in a packet of the film; `shown`: it makes a frame that is shown."""
        self.packets += 1
        if packet.is_keyframe and packet.pos is not None and packet.dts is not None:
            self.key_places.extend((packet.pos, packet.dts))
        if self.first_key is None:
            self.before_key += not packet.is_keyframe
            self.first_key = packet.pts if packet.is_keyframe else None
        if packet.is_discard or not shown:
            return
        self.smallest = min(self.smallest, packet.size)
        if packet.pts is None:
            self.complete = False
            return
        if self.last_pts is None or packet.pts > self.last_pts:
            self.last_pts, self.last_duration = packet.pts, packet.duration or 0
        self.pts.append(packet.pts)
        if packet.is_corrupt:
            self.corrupt.append(packet.pts)
        if packet.is_keyframe:
            self.keys.append(packet.pts)


def scan_packets(film: OpenFilm, head: Head, sidecar: SidecarWriter, budget: Budget) -> Scan:
    """Read every packet once. BAD_SOURCE where the file breaks off, LIMIT_EXCEEDED early,
    UNSUPPORTED where the pictures change their size.
    """
    scan = Scan(time_base=film.stream.time_base or Fraction(1))
    watch = _FilmWatch(film, head, scan, budget)
    try:
        for packet in read_packets(film.container):
            if packet.size == 0 and packet.dts is None:
                continue  # the end of a stream
            scan.note_end(packet)
            if packet.stream_index == film.stream.index:
                watch.add(packet)
            else:
                sidecar.add(packet)
    except av.error.FFmpegError as error:
        seconds = f"{scan.seconds_seen:.3f} s"
        raise bad_source(
            f"{film.name} is cut off or damaged at {seconds} ({error.strerror}); upload it again"
        ) from error
    scan.corrupt += watch.checksums.wrong()
    _check_whole(film, scan)
    return scan


class _FilmWatch:
    """Takes the film's packets into a scan, and watches sizes, checksums and limits meanwhile."""

    def __init__(self, film: OpenFilm, head: Head, scan: Scan, budget: Budget) -> None:
        self._scan, self._budget, self._first = scan, budget, head.first
        self._size = head.first.width, head.first.height
        self._sizes = SizeWatch(film.stream, self._size)
        self._messages = messages_of(film.stream, fields=head.first.interlaced_frame)
        self._shows = _SHOWS.get(film.stream.codec_context.codec.canonical_name, _always)
        self.checksums = Checksums.of(film.stream)

    def add(self, packet: Packet) -> None:
        scan, limits = self._scan, self._budget.limits
        after = self._sizes.find_change(packet)
        if after is not None and not packet.is_discard:
            raise _size_change(limits.name, scan, packet, self._first, after)
        scan.add(packet, shown=self._shows(packet))
        scan.captions.add(packet, self._messages)
        self.checksums.add(packet)
        if not scan.packets % 1000:
            limits.check("max_frames", scan.packets, "has more than {got} frames")
            self._budget.check(self._size, scan.packets, scan.seconds_seen)


def _size_change(
    name: str, scan: Scan, packet: Packet, first: VideoFrame, after: tuple[int, int]
) -> WorkerError:
    """The frame's number holds where frames that come later in the file are shown later too."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    frame = scan.packets if stamp is None else sum(pts < stamp for pts in scan.pts)
    seconds = None if stamp is None else float(stamp * scan.time_base)
    before = kind_of(first)
    changed = replace(before, width=after[0], height=after[1])
    return kind_change(name, before, changed, frame=frame, seconds=seconds)


def _always(_packet: Packet) -> bool:
    return True


def _vp8_shows(packet: Packet) -> bool:
    """RFC 6386, 9.1: bit 4 of the first byte is show_frame."""
    return bool(packet.size) and bool(memoryview(packet)[0] & 0x10)


_SHOWS = {"vp8": _vp8_shows}


def _check_whole(film: OpenFilm, scan: Scan) -> None:
    """Compare what was announced with what came."""
    container, stream, name = film.container, film.stream, film.name
    if not scan.pts and scan.complete:
        raise bad_source(f"{name} holds no frames; upload it again")
    if film.demuxer == "mov" and scan.packets < len(stream.index_entries):
        raise bad_source(
            f"{name} is cut off: it announces {len(stream.index_entries)} frames and holds "
            f"{scan.packets}; upload it again"
        )
    if film.demuxer == "avi":
        _check_numbers(film, scan)
        announced = float(stream.frames * scan.time_base)
    else:
        announced = (container.duration or 0) / av.time_base
    start = max(0.0, (container.start_time or 0) / av.time_base)
    if film.demuxer == "matroska":
        start = 0.0  # its writers count from zero, wherever the film starts
    if film.demuxer not in LOOSE_END and scan.seconds_seen - start < announced - SLACK_SECONDS:
        raise bad_source(
            f"{name} is cut off: it announces {announced:.3f} s and ends after "
            f"{scan.seconds_seen - start:.3f} s; upload it again"
        )
    if film.demuxer == "matroska":
        _check_cues(film, scan)


def _check_cues(film: OpenFilm, scan: Scan) -> None:
    """Matroska's reader skips what it cannot read, seconds of film, and reports nothing. But the
    file has a list of keyframes, which FFmpeg reads when it seeks."""
    with contextlib.suppress(av.error.FFmpegError):
        film.container.seek(0)
    stamps = np.sort(np.array(scan.pts, np.int64))
    slack = int(CUE_SLACK_SECONDS / scan.time_base)
    for cue in sorted(entry.timestamp for entry in film.stream.index_entries):
        near = stamps[np.searchsorted(stamps, cue - slack) :][:1]
        if not len(near) or near[0] > cue + slack:
            raise bad_source(
                f"{film.name} is damaged: its index has a frame at "
                f"{float(cue * scan.time_base):.3f} s that is not there, nor those around it; "
                "repair it or upload it again"
            )


def _check_numbers(film: OpenFilm, scan: Scan) -> None:
    """AVI counts its frames for their times: after a lost one, reading on and seeking by the index
    give other times, and so other frames."""
    entries = film.stream.index_entries
    index = {entry.pos + AVI_CHUNK_HEADER: entry.timestamp for entry in entries}
    for place, dts in zip(scan.key_places[::2], scan.key_places[1::2], strict=True):
        if index.get(place, dts) != dts:
            seconds = float(dts * scan.time_base)
            raise bad_source(
                f"{film.name} is damaged: before {seconds:.3f} s it lacks frames that its index "
                "has, so no time behind is sure; remux it to Matroska or upload it again"
            )
