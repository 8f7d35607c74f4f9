"""The ledger: the finished file read back and held against the plan, packet by packet."""

import hashlib
import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from containers.common.media import ISO_MEDIA
from containers.media.clock import rescale
from containers.media.join import mismatch
from containers.media.mux import SidecarFiles, result_codec
from containers.media.sidecar import exact_times
from contracts.manifest import Ledger, LedgerStream, Manifest, ShardResult, SidecarStream

MATROSKA_ERROR = Fraction(1, 2000)
"""Matroska rounds to milliseconds."""
COPY_ERROR = Fraction(1, 1000)
"""By how many seconds a copied packet may lie off the film."""
EMPTY_TITLE = b"\0\0"
"""With these MP4 fills the time between titles."""
_MILLISECOND = Fraction(1, 1000)


@dataclass
class _Track:
    """What was read back of one stream."""

    time_base: Fraction
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, packet: Packet) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        self.pts.append(stamp or 0)
        self.digest.update(packet)


def check_result(
    path: Path,
    manifest: Manifest,
    timestamps: np.ndarray,
    shards: Iterable[ShardResult],
    sidecar: SidecarFiles | None,
) -> Ledger:
    """Read the result and account for every packet.

    Raises LEDGER_MISMATCH naming the first frame or packet that is not as planned.
    """
    film, *copies = _read_back(path, manifest)
    shift = _shift(film, manifest, timestamps)
    exact = manifest.output.container in ISO_MEDIA
    error = _largest_error(
        "frame",
        sorted(film.pts),
        timestamps.tolist(),
        units=(film.time_base, manifest.video.time_base),
        shift=shift,
        allowed=Fraction(0) if exact else MATROSKA_ERROR,
    )
    streams = [
        _check_copy(track, stream, sidecar, manifest, shift)
        for track, stream in zip(copies, manifest.sidecar.streams, strict=True)
        if sidecar is not None
    ]
    ledger = Ledger(
        frames_coded=manifest.fields.coded_frames or manifest.video.frames,
        frames_removed=manifest.fields.removed_frames,
        frames_planned=manifest.video.frames,
        frames_encoded=sum(shard.frames for shard in shards),
        frames_in_result=len(film.pts),
        timestamps_equal=True,
        max_timestamp_error_seconds=error,
        streams=tuple(streams),
        dropped=manifest.sidecar.dropped,
    )
    if not ledger.balanced:
        raise mismatch(f"the ledger does not balance: {ledger.to_json()}")
    return ledger


def _read_back(path: Path, manifest: Manifest) -> list[_Track]:
    """The film's track, then those of the copied streams in the manifest's order."""
    streams = manifest.sidecar.streams
    titles = {1 + i for i, s in enumerate(streams) if s.kind == "subtitle"}
    with av.open(str(path)) as container:
        wanted = [s for s in container.streams if s.type in ("video", "audio", "subtitle")]
        if len(wanted) != 1 + len(streams):
            raise mismatch(f"the result has {len(wanted)} streams instead of {1 + len(streams)}")
        tracks = {s.index: _Track(s.time_base or Fraction(1)) for s in wanted}
        for packet in container.demux(wanted):
            number = packet.stream_index
            filler = number in titles and bytes(memoryview(packet)[:2]) == EMPTY_TITLE
            if packet.size and not filler:
                tracks[number].add(packet)
    return [tracks[index] for index in sorted(tracks)]


def _shift(film: _Track, manifest: Manifest, timestamps: np.ndarray) -> Fraction:
    """Matroska cannot start below zero and then moves all streams by whole milliseconds."""
    if manifest.output.container in ISO_MEDIA or not film.pts:
        return Fraction(0)
    planned = rescale(int(timestamps[0]), manifest.video.time_base, _MILLISECOND)
    return (rescale(min(film.pts), film.time_base, _MILLISECOND) - planned) * _MILLISECOND


def _largest_error(
    what: str,
    found: Iterable[int],
    planned: list[int],
    *,
    units: tuple[Fraction, Fraction],
    shift: Fraction,
    allowed: Fraction,
) -> float:
    """In integers of the common unit, for films have millions of packets."""
    common = math.lcm(units[0].denominator, units[1].denominator, 1000)
    mine, theirs = int(units[0] * common), int(units[1] * common)
    moved, limit, largest = int(shift * common), allowed * common, 0
    for number, (got, wanted) in enumerate(zip_longest(found, planned)):
        if got is None or wanted is None:
            raise mismatch(f"{what} {number} is {'missing' if got is None else 'one too many'}")
        error = abs(got * mine - wanted * theirs - moved)
        if error > limit:
            raise mismatch(
                f"{what} {number}: planned at {float(wanted * units[1]):.6f} s, in the result at "
                f"{float(got * units[0] - shift):.6f} s"
            )
        largest = max(largest, error)
    return largest / common


def _check_copy(
    track: _Track,
    stream: SidecarStream,
    sidecar: SidecarFiles,
    manifest: Manifest,
    shift: Fraction,
) -> LedgerStream:
    """Times within a millisecond of the plan, payloads equal unless the text was converted."""
    codec = result_codec(stream, manifest.output.container)
    what = f"stream {stream.source_index} ({stream.codec}), packet"
    equal = track.digest.hexdigest() == stream.sha256
    if codec == stream.sidecar_codec and not equal:
        raise mismatch(f"stream {stream.source_index} ({stream.codec}) has other bytes than before")
    planned = exact_times(sidecar.index, stream.sidecar_index).pts.tolist()
    found, muxed = list(track.pts), len(track.pts)
    if codec.startswith("pcm_"):  # demuxers cut raw sound as they like
        found, planned, muxed = found[:1], planned[:1], stream.packets
    _largest_error(
        what,
        found,
        planned,
        units=(track.time_base, stream.time_base),
        shift=shift,
        allowed=COPY_ERROR,
    )
    return LedgerStream(
        source_index=stream.source_index,
        kind=stream.kind,
        codec=stream.codec,
        result_codec=codec,
        packets_planned=stream.packets,
        packets_muxed=muxed,
        payload_equal=equal and codec == stream.codec,
    )
