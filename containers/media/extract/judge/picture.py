"""What the film's picture is: rate, colour, orientation; and the defaults for what is missing."""

import io
from fractions import Fraction

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.film.pictures import has_alpha
from containers.common.runtime.errors import WorkerError
from containers.media.labels import hdr
from containers.media.labels.orientation import orientation
from containers.media.labels.streams import ALPHA_MODE
from contracts.film.facts import (
    Colour,
    LostLabel,
    Video,
)
from contracts.names import ExitCode

UNSPECIFIED = 2
RESERVED = (0, UNSPECIFIED, 3)
BT709 = 1
BT470BG = 5
SMPTE170M = 6
FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""
LEFT, TOP_LEFT = 1, 3
"""Of AVChromaLocation."""
HDR_TRANSFERS = (16, 18)
"""PQ and HLG."""
_SITING_ACROSS, _SITING_DOWN = b"\x55\xb7\x81", b"\x55\xb8\x81"
"""Matroska's ChromaSitingHorz and ChromaSitingVert, of one byte each."""
_SITINGS = {(1, 2): LEFT, (2, 2): 2, (1, 1): TOP_LEFT, (2, 1): 4}
MIN_RATE, MAX_RATE = Fraction(1), Fraction(1000)
"""Encoders get a rate within these bounds, whatever the timestamps say."""


def describe_video(
    stream: VideoStream,
    first: VideoFrame,
    timestamps: np.ndarray,
    *,
    end_pts: int,
    by_order: bool = False,
) -> Video:
    """The facts of the manifest. `first` is the first decoded frame: it knows more than headers.

    Raises WorkerError BAD_SOURCE for a stream without a time base.
    """
    colour = source_colour(stream, first)
    rate = frame_rate(stream, timestamps)
    turned = orientation(first)
    time_base = stream.time_base
    if time_base is None:
        raise WorkerError(ExitCode.BAD_SOURCE, "the film's timestamps have no unit; re-encode it")
    return Video(
        stream_index=stream.index,
        codec=stream.codec_context.name,
        width=first.width,
        height=first.height,
        pixel_format=first.format.name,
        bit_depth=max(c.bits for c in first.format.components),
        time_base=time_base,
        frame_rate=rate,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        flagged_interlaced=first.interlaced_frame,
        rotation=turned.rotation,
        mirrored=turned.mirrored,
        colour=colour,
        mastering_display=hdr.mastering_display(first),
        light_level=hdr.light_level(first),
        lost=(*hdr.lost_in_decoding(first), *_alpha_unread(stream, first)),
        working_colour=working_colour(colour, first, rate),
        chroma_location=chroma_location(stream, colour),
        by_order=by_order,
        frames=len(timestamps),
        start_pts=int(timestamps[0]),
        end_pts=end_pts,
    )


def _alpha_unread(stream: VideoStream, first: VideoFrame) -> tuple[LostLabel, ...]:
    """VP8 and VP9 have their alpha in a stream of its own, which FFmpeg's decoders leave out."""
    said = {key.lower(): value for key, value in stream.metadata.items()}
    if said.get(ALPHA_MODE, "0") == "0" or has_alpha(first.format.name):
        return ()
    codec = stream.codec_context.name
    return (LostLabel(of="film", label="alpha", value=f"beside the {codec}", found=None),)


def source_colour(stream: VideoStream, first: VideoFrame) -> Colour:
    """As the header says, else as the first frame does."""
    context = stream.codec_context
    return Colour(
        primaries=_said(RESERVED, context.color_primaries, first.color_primaries),
        transfer=_said(RESERVED, context.color_trc, first.color_trc),
        matrix=_said((UNSPECIFIED, 3), context.colorspace, first.colorspace),
        full_range=FULL_RANGE in (context.color_range, first.color_range)
        or first.format.name.startswith("yuvj")
        or first.format.is_rgb,
    )


def chroma_location(stream: VideoStream, colour: Colour) -> int:
    """As the header or the decoder says it; else as BT.2100 does for HDR, else left (H.273, 8.7).

    PyAV does not expose this field of FFmpeg's; a Matroska header, written to memory, has it.
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as out:
            out.add_stream_from_template(stream, opaque=True)
            out.start_encoding()
            said = header.getvalue()
    except (av.error.FFmpegError, ValueError):  # a codec that Matroska does not hold
        said = b""
    across, down = (said.find(mark) for mark in (_SITING_ACROSS, _SITING_DOWN))
    if min(across, down) < 0:
        return TOP_LEFT if colour.transfer in HDR_TRANSFERS else LEFT
    places = (said[across + len(_SITING_ACROSS)], said[down + len(_SITING_DOWN)])
    return _SITINGS.get(places, LEFT)


def _said(nothing: tuple[int, ...], *values: int) -> int:
    return next((int(v) for v in values if v not in nothing), UNSPECIFIED)


def working_colour(colour: Colour, first: VideoFrame, rate: Fraction) -> Colour:
    """Fill in what is missing: BT.709 from 720 lines on, else BT.601 of 625 or 525 lines.

    ITU-T H.273 gives the code points. RGB sources become limited-range YUV.
    """
    if first.height >= 720 or first.width >= 1280:
        primaries, transfer, matrix = BT709, BT709, BT709
    elif first.height in (288, 576) or rate in (25, 50):
        primaries, transfer, matrix = BT470BG, SMPTE170M, BT470BG
    else:
        primaries, transfer, matrix = SMPTE170M, SMPTE170M, SMPTE170M
    unsaid_matrix = colour.matrix == UNSPECIFIED or first.format.is_rgb
    return Colour(
        primaries=primaries if colour.primaries == UNSPECIFIED else colour.primaries,
        transfer=transfer if colour.transfer == UNSPECIFIED else colour.transfer,
        matrix=matrix if unsaid_matrix else colour.matrix,
        full_range=colour.full_range and not first.format.is_rgb,
    )


def frame_rate(stream: VideoStream, timestamps: np.ndarray) -> Fraction:
    """Average frames per second: exact for a constant rate, else the header's if it fits."""
    time_base = stream.time_base or Fraction(1)
    said = stream.average_rate or stream.guessed_rate
    if len(timestamps) < 2:
        return _within(said or Fraction(25))
    steps = np.diff(timestamps)
    if steps.min() == steps.max():
        return _within(1 / (int(steps[0]) * time_base))
    span = int(timestamps[-1] - timestamps[0]) * time_base
    mean = (len(timestamps) - 1) / span
    if said and abs(said - mean) < mean / 200:
        return _within(said)
    return _within(mean.limit_denominator(1001))


def _within(rate: Fraction) -> Fraction:
    return min(max(rate, MIN_RATE), MAX_RATE)
