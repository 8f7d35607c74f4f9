"""Writing the result: the joined film and the sidecar's streams, interleaved by decoding time."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.lib.npyio import NpzFile

from containers.common.media import ISO_MEDIA, MUXERS
from containers.media.clock import mp4_timescale, rescale
from containers.media.join import VideoPacket
from containers.media.sidecar import MUXER_OPTIONS, read_stream
from containers.media.text import plain_to_mov_text
from contracts.job import Codec, Container
from contracts.manifest import Manifest, SidecarStream

Timed = tuple[float, Packet]
"""A packet and the second at which it is decoded."""


@dataclass(frozen=True)
class SidecarFiles:
    """The sidecar on disk."""

    payload: Path
    index: NpzFile


def result_codec(stream: SidecarStream, container: Container) -> str:
    """What a copied stream is in the result: MP4 holds plain subtitles as mov_text."""
    converts = container in ISO_MEDIA and stream.sidecar_codec in ("subrip", "text")
    return "mov_text" if converts else stream.sidecar_codec


def write_result(
    path: Path,
    manifest: Manifest,
    timestamps: np.ndarray,
    template: VideoStream,
    packets: Iterable[VideoPacket],
    sidecar: SidecarFiles | None,
) -> None:
    """Write the whole result file. `template` has the headers of the film's packets.

    Memory: MP4's sample table, and about a second of packets.
    """
    options = dict(MUXER_OPTIONS)
    scale = None
    if manifest.output.container in ISO_MEDIA:
        video = manifest.video
        scale = mp4_timescale(video.time_base, timestamps, video.end_pts)
        options["movflags"] = "+faststart"
        options["video_track_timescale"] = str(scale)
        options["movie_timescale"] = str(scale)  # the unit of start offsets
    name = MUXERS[manifest.output.container]
    with av.open(str(path), "w", format=name, container_options=options) as out:
        film = _add_film(out, manifest, template, scale)
        copies = _add_copies(out, manifest, sidecar)
        _describe(out, manifest)
        out.start_encoding()
        sources = [_film_packets(film, packets, manifest.video.time_base)]
        if sidecar is not None:
            sources += [_copied_packets(t, s, sidecar, manifest) for t, s in copies]
        for _, packet in heapq.merge(*sources, key=lambda item: item[0]):
            out.mux(packet)


def _add_film(
    out: OutputContainer, manifest: Manifest, template: VideoStream, scale: int | None
) -> VideoStream:
    film = out.add_stream_from_template(template, opaque=True)
    if scale is not None:
        film.time_base = Fraction(1, scale)
        if manifest.encoder.codec is Codec.HEVC:
            film.codec_context.codec_tag = "hvc1"  # Apple's players take no other
    film.codec_context.sample_aspect_ratio = manifest.video.sample_aspect_ratio
    if manifest.video.rotation:
        film.set_display_rotation(manifest.video.rotation)
    return film


def _add_copies(
    out: OutputContainer, manifest: Manifest, sidecar: SidecarFiles | None
) -> list[tuple[Stream, SidecarStream]]:
    if sidecar is None:
        return []
    copies: list[tuple[Stream, SidecarStream]] = []
    with av.open(str(sidecar.payload)) as source:
        for stream in manifest.sidecar.streams:
            found = source.streams[stream.sidecar_index]
            target = _add_copy(out, found, stream, manifest.output.container)
            if stream.language:
                target.metadata["language"] = stream.language
            if stream.title:
                target.metadata["title"] = stream.title
            target.disposition = Disposition(stream.disposition)
            copies.append((target, stream))
        if manifest.output.container is Container.MKV:
            for attached in source.streams.attachments:
                kind = attached.mimetype or "application/octet-stream"
                out.add_attachment(attached.name or "attachment", kind, attached.data)
    return copies


def _add_copy(
    out: OutputContainer, found: Stream, stream: SidecarStream, container: Container
) -> Stream:
    if result_codec(stream, container) != stream.sidecar_codec:
        titles = out.add_stream("mov_text")
        titles.codec_context.subtitle_header = _ASS_HEADER
        titles.time_base = stream.time_base
        return titles
    target = out.add_stream_from_template(found, opaque=True)
    if isinstance(target, AudioStream) and target.layout.name.endswith(" channels"):
        # Matroska counts channels and does not name them; MP4 wants names for raw sound.
        target.codec_context.layout = _LAYOUTS.get(target.channels, target.layout)
    return target


_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's default order for a number of channels."""
_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)
"""MP4's text encoder wants a style, of which it makes the track's default."""


def _describe(out: OutputContainer, manifest: Manifest) -> None:
    out.metadata.update(manifest.sidecar.metadata)
    out.set_chapters(
        [
            {
                "id": number,
                "start": chapter.start,
                "end": chapter.end,
                "time_base": chapter.time_base,
                "metadata": chapter.metadata,
            }
            for number, chapter in enumerate(manifest.sidecar.chapters)
        ]
    )


def _film_packets(
    film: VideoStream, packets: Iterable[VideoPacket], source: Fraction
) -> Iterator[Timed]:
    target = film.time_base or source
    for item in packets:
        packet = item.packet
        packet.stream, packet.time_base = film, target
        packet.pts = rescale(item.pts, source, target)
        packet.dts = rescale(item.dts, source, target)
        packet.duration = rescale(item.duration, source, target)
        yield float(item.dts * source), packet


def _copied_packets(
    target: Stream, stream: SidecarStream, sidecar: SidecarFiles, manifest: Manifest
) -> Iterator[Timed]:
    """Decoding times must rise in the result's units; where they do not, by the least change."""
    strict = int(manifest.output.container in ISO_MEDIA)
    converts = result_codec(stream, manifest.output.container) != stream.sidecar_codec
    unit, last = target.time_base or stream.time_base, None
    for item in read_stream(sidecar.payload, sidecar.index, stream.sidecar_index):
        packet = Packet(plain_to_mov_text(bytes(item.packet))) if converts else item.packet
        dts = rescale(item.dts, stream.time_base, unit)
        last = dts if last is None else max(dts, last + strict)
        packet.stream, packet.time_base = target, unit
        packet.dts = last
        packet.pts = max(last, rescale(item.pts, stream.time_base, unit))
        packet.duration = rescale(item.duration, stream.time_base, unit)
        packet.is_keyframe = True
        yield float(item.dts * stream.time_base), packet
