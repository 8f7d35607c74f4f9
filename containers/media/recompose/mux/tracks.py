"""The result's tracks: film, copied streams, covers and attachments, each with its labels."""

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from containers.common.film.opening import ISO_MEDIA, MUXERS
from containers.common.runtime.errors import mismatch
from containers.media.labels.sidecar import (
    stored_stream,
)
from containers.media.labels.streams import (
    QUICKTIME_LANGUAGES,
    is_cover,
    result_codec,
)
from containers.media.recompose.mux.result_plan import ResultPlan
from containers.media.recompose.mux.shape import PLACEHOLDER, needs_shape
from contracts.film.facts import SidecarStream
from contracts.film.manifest import Manifest
from contracts.job import Codec, Container

OWN_DELAY = frozenset({"opus"})
"""Codecs whose headers say what a player skips at the start."""
_NANOSECOND = Fraction(1, 10**9)
_ID_NAME, _ID_CODEC_DELAY = b"\x53\x6e", b"\x56\xaa"
"""Elements of a Matroska track (RFC 9559, 5.1.4.1): its name, and what players skip."""
_MARK = b"the mark"


@dataclass(frozen=True)
class Tracks:
    """What was opened in the result."""

    film: VideoStream
    copies: list[tuple[Stream, SidecarStream]]
    covers: list[Packet]
    """To be written first."""


def add_tracks(
    out: OutputContainer, plan: ResultPlan, template: VideoStream, *, scale: int | None
) -> Tracks:
    """Open every track of the result. `scale` is the film's units per second, None: the muxer's.

    LEDGER_MISMATCH where the sidecar's streams are not what the manifest says.
    """
    film = _add_film(out, plan.manifest, template, scale)
    if plan.sidecar is None:
        return Tracks(film, [], [])
    with plan.sidecar.open() as source:
        try:
            copies = _add_copies(out, source, plan)
            covers = add_attachments(out, source, plan.manifest.output.container)
        except (ValueError, LookupError) as error:  # of PyAV's, which believes what it is given
            raise mismatch(f"the sidecar's streams are not what was set aside ({error})") from error
        return Tracks(film, copies, covers)


def _add_film(
    out: OutputContainer, manifest: Manifest, template: VideoStream, scale: int | None
) -> VideoStream:
    film = out.add_stream_from_template(template, opaque=True)
    container, sidecar = manifest.output.container, manifest.sidecar
    if scale is not None:
        film.time_base = Fraction(1, scale)
        if manifest.encoder.codec is Codec.HEVC:
            film.codec_context.codec_tag = "hvc1"  # Apple's players take no other
    film.codec_context.sample_aspect_ratio = manifest.video.sample_aspect_ratio
    if manifest.video.rotation or manifest.video.mirrored:
        film.set_display_rotation(manifest.video.rotation, hflip=manifest.video.mirrored)
    labels = dict(sidecar.film_labels)
    if container in ISO_MEDIA and not _takes_timecode(template, container, labels.get("timecode")):
        del labels["timecode"]
    film.metadata.update(_spell(labels, container))
    if needs_shape(manifest):
        film.metadata.update(PLACEHOLDER)
    film.disposition = Disposition(sidecar.film_disposition)
    return film


def _spell(labels: dict[str, str], container: Container) -> dict[str, str]:
    language = labels.get("language", "")
    if container is not Container.MOV or language not in QUICKTIME_LANGUAGES:
        return labels
    return {**labels, "language": QUICKTIME_LANGUAGES[language]}


def _takes_timecode(template: VideoStream, container: Container, timecode: str | None) -> bool:
    """Tried out, for the muxer refuses a whole film over a time code that its rate cannot have."""
    if timecode is None:
        return True
    try:
        with av.open(io.BytesIO(), "w", format=MUXERS[container]) as out:
            film = out.add_stream_from_template(template, opaque=True)
            film.metadata["timecode"] = timecode
            out.start_encoding()
    except av.error.FFmpegError:
        return False
    return True


def _add_copies(
    out: OutputContainer, source: InputContainer, plan: ResultPlan
) -> list[tuple[Stream, SidecarStream]]:
    manifest, copies = plan.manifest, list[tuple[Stream, SidecarStream]]()
    container = manifest.output.container
    for stream in manifest.sidecar.streams:
        found = stored_stream(source, stream.sidecar_index)
        hidden = _hidden_seconds(stream, plan)
        target = _add_copy(out, found, stream, container, hidden)
        target.metadata.update(_spell(stream.labels, container))
        target.disposition = Disposition(stream.disposition)
        copies.append((target, stream))
    return copies


def _add_copy(
    out: OutputContainer,
    found: Stream,
    stream: SidecarStream,
    container: Container,
    hidden: Fraction,
) -> Stream:
    """`hidden`: seconds at the start of the sound that no player may play."""
    codec = result_codec(stream.codec, container)
    if codec == "mov_text":
        titles = out.add_stream("mov_text")
        titles.codec_context.subtitle_header = _ASS_HEADER
        titles.time_base = stream.time_base
        return titles
    if codec != stream.codec:
        return out.add_mux_stream(codec)
    if container not in ISO_MEDIA and stream.kind == "audio" and codec not in OWN_DELAY:
        return _add_delayed(out, found, hidden)
    target = out.add_stream_from_template(found, opaque=True)
    if isinstance(target, AudioStream) and target.layout.name.endswith(" channels"):
        # Matroska counts channels and does not name them; MP4 wants names for raw sound.
        target.codec_context.layout = _LAYOUTS.get(target.channels, target.layout)
    return target


def _hidden_seconds(stream: SidecarStream, plan: ResultPlan) -> Fraction:
    """Of the sound, what comes before zero: it primes the decoder and is not heard."""
    first = plan.first_second(stream)
    return Fraction(0) if first is None else -min(Fraction(0), first + plan.head_start())


def _add_delayed(out: OutputContainer, found: Stream, hidden: Fraction) -> Stream:
    """Matroska has no time below zero, but a delay that players subtract: CodecDelay.

    PyAV can set it only by a template that has it. So one is written, with a name in its place
    that is as long: 8 bytes. Without a delay the muxer would move all other streams instead
    (docs/decisions/0044).
    """
    if not hidden:
        return out.add_stream_from_template(found, opaque=True)
    buffer = io.BytesIO()
    options = {"write_crc32": "0"}
    with av.open(buffer, "w", format="matroska", container_options=options) as plain:
        track: Any = plain.add_stream_from_template(found, opaque=True)
        track.metadata["title"] = _MARK.decode()
        packet = Packet(b"-")
        packet.stream, packet.time_base = track, Fraction(1, 1000)
        packet.pts = packet.dts = 0
        plain.mux(packet)
    size = bytes([0x80 | len(_MARK)])
    delay = round(hidden / _NANOSECOND).to_bytes(8, "big")
    data = buffer.getvalue().replace(_ID_NAME + size + _MARK, _ID_CODEC_DELAY + size + delay)
    with av.open(io.BytesIO(data)) as delayed:
        return out.add_stream_from_template(delayed.streams[0], opaque=True)


def add_attachments(out: OutputContainer, source: Any, container: Container) -> list[Packet]:
    """Matroska keeps them as files within, MP4 covers as tracks of one picture."""
    for attached in source.streams.attachments:
        kind = attached.mimetype or "application/octet-stream"
        out.add_attachment(attached.name or "attachment", kind, attached.data)
    covers: list[Packet] = []
    for cover in [s for s in source.streams.video if is_cover(s)]:
        picture = bytes(next(p for p in source.demux(cover) if p.size))
        source.seek(0)
        if container is Container.MKV:
            out.add_attachment(cover.metadata["filename"], cover.metadata["mimetype"], picture)
            continue
        packet = Packet(picture)
        target = out.add_stream_from_template(cover, opaque=True)
        target.disposition = Disposition.attached_pic
        packet.stream, packet.pts, packet.dts = target, 0, 0
        covers.append(packet)
    return covers


_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's default order for a number of channels."""
_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)
"""MP4's text encoder needs a style, which it makes the track's default."""
