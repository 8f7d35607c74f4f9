"""The ledger: what was read back of the result, held against the plan, packet by packet."""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import zip_longest

import numpy as np

from containers.common.film.opening import ISO_MEDIA
from containers.common.film.pictures import has_alpha
from containers.common.runtime.errors import mismatch
from containers.media.labels.sidecar import Index, exact_times
from containers.media.labels.streams import result_codec
from containers.media.labels.subtitles import lost_in_conversion
from containers.media.recompose.mux.clock import rescale
from containers.media.recompose.mux.result_plan import ResultPlan
from containers.media.recompose.proof.losses import lost_labels
from containers.media.recompose.proof.readback import (
    ReadBack,
    Track,
)
from contracts.film.facts import SidecarStream
from contracts.film.ledger import Ledger, LedgerStream
from contracts.film.manifest import Manifest

MATROSKA_ERROR = Fraction(1, 2000)
"""Matroska rounds to milliseconds."""
COPY_ERROR = Fraction(1, 1000)
"""By how many seconds a copied packet may lie off the film."""
_MILLISECOND = Fraction(1, 1000)


def check_result(found: ReadBack, plan: ResultPlan, made: Mapping[str, int]) -> Ledger:
    """Hold a result that was read back against its plan, and account for every packet.

    `made`: frames behind each stage of the workers (see ShardResult.counts), of all shards. Raises
    LEDGER_MISMATCH naming the first frame or packet that is not as planned.
    """
    shift = _shift(found.film, plan)
    error = _check_film(found.film, plan, shift)
    streams = _check_copies(found, plan, shift)
    _check_picture(found, plan.manifest)
    _check_attachments(found, plan.manifest)
    _check_captions(found, plan)
    ledger = _account(found, plan, made, error=error, streams=streams)
    if not ledger.balanced:
        raise mismatch(f"the ledger does not balance: {ledger.to_json()}")
    return ledger


def _account(
    found: ReadBack,
    plan: ResultPlan,
    made: Mapping[str, int],
    *,
    error: float,
    streams: tuple[LedgerStream, ...],
) -> Ledger:
    manifest = plan.manifest
    return Ledger(
        frames_coded=manifest.fields.coded_frames or manifest.video.frames,
        frames_removed=manifest.fields.removed_frames,
        frames_planned=manifest.video.frames,
        frames_decoded=made["decoded"],
        frames_upscaled=made["upscaled"],
        frames_encoded=made["encoded"],
        frames_in_result=len(found.film.pts),
        timestamps_equal=True,
        max_timestamp_error_seconds=error,
        frames_tested=found.frames_tested,
        colour=found.colour,
        sample_aspect_ratio=found.sample_aspect_ratio,
        rotation=found.orientation.rotation,
        mirrored=found.orientation.mirrored,
        alpha=found.alpha,
        attachments=len(manifest.sidecar.attachments),
        captioned_frames=len(plan.captions),
        streams=streams,
        dropped=manifest.sidecar.dropped,
        lost=tuple(lost_labels(found, manifest)),
    )


def _check_film(film: Track, plan: ResultPlan, shift: Fraction) -> float:
    """The largest error of a frame's time, in seconds."""
    exact = plan.manifest.output.container in ISO_MEDIA
    return _largest_error(
        "frame",
        sorted(film.pts),
        plan.timestamps.tolist(),
        units=(film.time_base, plan.manifest.video.time_base),
        shift=shift,
        allowed=Fraction(0) if exact else MATROSKA_ERROR,
    )


def _check_copies(found: ReadBack, plan: ResultPlan, shift: Fraction) -> tuple[LedgerStream, ...]:
    if plan.sidecar is None:
        return ()
    return tuple(
        _check_copy(track, stream, plan.sidecar.index, plan.manifest, shift=shift)
        for track, stream in zip(found.copies, plan.manifest.sidecar.streams, strict=True)
    )


def _check_picture(found: ReadBack, manifest: Manifest) -> None:
    """Wrong colours, shape or orientation garble every frame, so they fail the job."""
    wanted = manifest.result_colour
    pairs = [(f"colour {name}", getattr(found.colour, name), value) for name, value in wanted]
    pairs += [
        ("sample aspect ratio", found.sample_aspect_ratio, manifest.video.sample_aspect_ratio),
        ("rotation", found.orientation.rotation, manifest.video.rotation),
        ("mirroring", found.orientation.mirrored, manifest.video.mirrored),
        ("alpha", found.alpha, has_alpha(manifest.encoder.pixel_format)),
    ]
    for what, got, planned in pairs:
        if got != planned:
            raise mismatch(f"the result says {what} {got} instead of {planned}")


def _check_attachments(found: ReadBack, manifest: Manifest) -> None:
    for attachment in manifest.sidecar.attachments:
        if attachment.sha256 not in found.attachments:
            raise mismatch(f"the attachment {attachment.name} is missing or has other bytes")


def _check_captions(found: ReadBack, plan: ResultPlan) -> None:
    """Frame by frame, the bytes that the source had."""
    stamps = np.sort(np.array(found.film.pts, np.int64))
    got = {int(np.searchsorted(stamps, pts)): data for pts, data in found.captions.in_order()}
    places = ((np.searchsorted(plan.timestamps, pts), data) for pts, data in plan.captions.items())
    wanted = {int(place): data for place, data in places}
    if got != wanted:
        frame = min(n for n in got.keys() | wanted.keys() if got.get(n) != wanted.get(n))
        raise mismatch(f"frame {frame} does not carry the captions that were planned")


def _shift(film: Track, plan: ResultPlan) -> Fraction:
    """How much later the result is; Matroska's muxer moves in whole milliseconds."""
    manifest = plan.manifest
    if manifest.output.container in ISO_MEDIA or not film.pts:
        return plan.head_start()
    planned = rescale(int(plan.timestamps[0]), manifest.video.time_base, _MILLISECOND)
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
    track: Track,
    stream: SidecarStream,
    index: Index,
    manifest: Manifest,
    *,
    shift: Fraction,
) -> LedgerStream:
    """Times within a millisecond of the plan, payloads equal unless the text was converted."""
    codec = result_codec(stream.codec, manifest.output.container)
    what = f"stream {stream.source_index} ({stream.codec}), packet"
    equal = track.digest.hexdigest() == stream.sha256
    if codec == stream.codec and not equal:
        raise mismatch(f"stream {stream.source_index} ({stream.codec}) has other bytes than before")
    planned = exact_times(index, stream.sidecar_index).pts.tolist()
    found, muxed = list(track.pts), len(track.pts)
    if codec.startswith("pcm_"):  # demuxers cut raw sound as they like
        found, planned, muxed = found[:1], planned[:1], stream.packets
    start = manifest.video.start_pts * manifest.video.time_base
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
        payload_equal=equal,
        lost=None if equal else lost_in_conversion(stream.codec, codec),
        offset_seconds=_offset(planned, stream.time_base, start),
        result_offset_seconds=_offset(found, track.time_base, start + shift),
    )


def _offset(stamps: list[int], time_base: Fraction, start: Fraction) -> float:
    """Seconds of the first packet after `start`, the first frame's."""
    return round(float(stamps[0] * time_base - start), 6) if stamps else 0.0
