"""From packets to the plan's timestamps: strictly rising, each the time of one decodable frame."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from containers.common.film.decoding import DAMAGE_ADVICE, frame_pts
from containers.common.film.opening import (
    AUTO_THREADS,
    ONE_THREAD,
    OpenFilm,
    discard_others,
    use_threads,
)
from containers.common.runtime.errors import WorkerError
from containers.media.extract.index.scan import (
    HEAD_FRAMES,
    LOOSE_END,
    Head,
    Scan,
)
from containers.media.extract.judge.probe import bad_source
from contracts.names import ExitCode

TAIL_FRAMES_MIN, TAIL_FRAMES_MAX = 8, 300
"""Frames at the end that are decoded as a test: back to the last keyframe, within these bounds."""
HIDING_CODECS = frozenset({"mpeg4", "msmpeg4v3", "vp8"})
"""Their packets need not show a frame each."""
PLACEHOLDER_BYTES = 16
"""A packet that shows no frame is no larger."""


@dataclass(frozen=True)
class Timeline:
    """The plan's timestamps (int64) and where the last frame ends, in the stream's time base."""

    timestamps: np.ndarray
    end_pts: int
    skipped: int = 0
    """Frames of a recording before its first or behind its last whole one; no player shows them."""
    by_order: bool = False
    """As in film.Video."""

    def tail(self, keyframes: np.ndarray) -> int:
        """Number of the first frame of the test at the end; `keyframes` are timestamps."""
        frames = len(self.timestamps)
        key = int(np.searchsorted(self.timestamps, keyframes.max())) if len(keyframes) else 0
        return max(0, frames - TAIL_FRAMES_MAX, min(key, frames - TAIL_FRAMES_MIN))


def from_packets(film: OpenFilm, scan: Scan, head: Head, *, conceal: bool) -> Timeline | None:
    """The packets' timestamps, or None where only decoding the whole film gives them.

    Raises UNSUPPORTED for a film whose frames have no order in time, BAD_SOURCE for damage that
    must not be concealed.
    """
    name, demuxer = film.name, film.demuxer
    if not conceal:  # damage brings decoders out of order
        _check_order(head.timestamps, film)
    stamps = np.sort(np.array(scan.pts, np.int64))
    first = head.timestamps[0]
    if first is None or not scan.complete or (np.diff(stamps) == 0).any() or first not in stamps:
        return None
    if demuxer not in LOOSE_END and _begins_damaged(scan, first, int(stamps[0])):
        if scan.before_key or not conceal:
            raise bad_source(f"{name} begins with damaged frames; {DAMAGE_ADVICE}")
        first = max(scan.first_key or 0, int(stamps[0]))
    kept, end = stamps[stamps >= first], int(stamps[-1]) + _last_duration(scan, stamps)
    if demuxer in LOOSE_END and len(kept) > 1 and int(kept[-1]) in scan.corrupt:
        kept, end = kept[:-1], int(kept[-1])
    if conceal:
        agrees = _agrees_but_for_damage(kept, scan, head, film)
    else:
        agrees = tuple(kept[:HEAD_FRAMES].tolist()) == head.timestamps[: len(kept)]
    if not agrees:
        return None
    damaged = [pts for pts in sorted(scan.corrupt) if kept[0] <= pts <= kept[-1]]
    if damaged and not conceal:
        number = int(np.searchsorted(kept, damaged[0]))
        seconds = float(damaged[0] * scan.time_base)
        raise bad_source(f"{name}: frame {number} (at {seconds:.3f} s) is damaged; {DAMAGE_ADVICE}")
    return Timeline(kept, end, len(stamps) - len(kept))


def _agrees_but_for_damage(kept: np.ndarray, scan: Scan, head: Head, film: OpenFilm) -> bool:
    """True if each frame decoded at the beginning has its packet's time, and packets without a
    frame can only be damaged."""
    # Sets, for np.isin imports at first use, which a child without files cannot.
    decoded = {stamp for stamp in head.timestamps if stamp is not None}
    packets = set(kept.tolist())
    missing = any(stamp <= max(decoded) for stamp in packets - decoded)
    hiding = scan.smallest <= PLACEHOLDER_BYTES and _may_hide(scan, head, film)
    hiding |= head.first.interlaced_frame
    return decoded <= packets and not (missing and hiding)


def _begins_damaged(scan: Scan, first: int, earliest: int) -> bool:
    """True if more than the pictures that lead the first keyframe cannot be decoded."""
    if scan.first_key is None:
        return False
    return scan.before_key > 0 or first > max(scan.first_key, earliest)


def from_decoding(film: OpenFilm, scan: Scan, head: Head, *, conceal: bool) -> Timeline:
    """Decode the whole film for its timestamps, as some formats do not give them to packets."""
    name = film.name
    discard_others(film.container, film.stream)
    use_threads(film.stream, ONE_THREAD if conceal else AUTO_THREADS)
    first = head.timestamps[0] or 0
    stamps = array("q")
    for packet in film.packets():
        for frame in film.decode(packet):
            pts = frame_pts(frame)
            if pts is None or pts < first:
                continue
            if frame.is_corrupt and not conceal:
                raise bad_source(f"{name}: frame {len(stamps)} cannot be decoded; {DAMAGE_ADVICE}")
            stamps.append(pts)
    _check_order(stamps, film)
    expected = sorted(pts for pts in scan.pts if pts >= first)
    if len(stamps) < len(expected) and not _may_hide(scan, head, film):
        seconds = float(min(set(expected) - set(stamps), default=first) * scan.time_base)
        raise bad_source(
            f"{name}: of {len(expected)} frames only {len(stamps)} can be decoded, the first "
            f"that cannot is at {seconds:.3f} s; "
            + ("repair it or upload it again" if conceal else DAMAGE_ADVICE)
        )
    times = np.array(stamps, np.int64)
    return Timeline(times, int(times[-1]) + _last_duration(scan, times))


def has_order_only(film: OpenFilm, head: Head) -> bool:
    """True of B-frames in AVI, which notes when frames are decoded and not when they are shown."""
    reorders = bool(film.stream.codec_context.has_b_frames)
    return film.demuxer == "avi" and reorders and not _rising(head.timestamps)


def from_order(film: OpenFilm) -> tuple[Timeline, dict[int, int]]:
    """Decode the whole film: its k-th frame is shown at the k-th packet's time. Also returns when
    each packet's picture is shown, by the packet's own timestamp.

    Raises BAD_SOURCE for damaged frames, UNSUPPORTED where packets need not show a frame each.
    """
    name = film.name
    discard_others(film.container, film.stream)
    use_threads(film.stream, AUTO_THREADS)
    stamps: list[int | None] = []
    frames: list[int | None] = []
    for packet in film.packets():
        if packet.size:
            stamps.append(packet.dts)
        for frame in film.decode(packet):
            if frame.is_corrupt:
                raise bad_source(
                    f"{name}: frame {len(frames)} cannot be decoded; repair it or upload it again"
                )
            frames.append(frame.pts)
    codec = film.stream.codec_context.codec.canonical_name
    if len(frames) < len(stamps) and codec not in HIDING_CODECS:
        raise bad_source(
            f"{name}: of {len(stamps)} frames only {len(frames)} can be decoded; "
            "repair it or upload it again"
        )
    if len(frames) != len(stamps):
        raise _without_order(film)
    _check_order(stamps, film)
    times = np.array(stamps, np.int64)
    usual = int(np.median(np.diff(times))) if len(times) > 1 else 1
    line = Timeline(times, int(times[-1]) + max(usual, 1), by_order=True)
    shown = zip(frames, times.tolist(), strict=True)
    return line, {pts: time for pts, time in shown if pts is not None}


def _may_hide(scan: Scan, head: Head, film: OpenFilm) -> bool:
    """True where packets may be more than frames: field pairs, hidden frames, no timestamps."""
    codec = film.stream.codec_context.codec.canonical_name
    return codec in HIDING_CODECS or head.first.interlaced_frame or not scan.complete


def _check_order(stamps: Sequence[int | None], film: OpenFilm) -> None:
    if not _rising(stamps):
        raise _without_order(film)


def _rising(stamps: Sequence[int | None]) -> bool:
    """True if all are there, each after the one before."""
    times = [stamp for stamp in stamps if stamp is not None]
    whole = bool(times) and len(times) == len(stamps)
    return whole and all(a < b for a, b in pairwise(times))


def _without_order(film: OpenFilm) -> WorkerError:
    return WorkerError(
        ExitCode.UNSUPPORTED,
        f"{film.name} does not say when each of its frames is shown (its {film.demuxer.upper()} "
        "timestamps are missing or not in order); re-encode it to MP4 or Matroska first",
    )


def _last_duration(scan: Scan, stamps: np.ndarray) -> int:
    """Of the last frame; where the file has none, the median step."""
    if scan.last_duration > 0:
        return scan.last_duration
    usual = int(np.median(np.diff(stamps))) if len(stamps) > 1 else 0
    return max(usual, 1)
