"""Small synthetic films for tests, made with PyAV; and a plain way to look into films."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame

av.logging.set_level(None)

X264 = {"preset": "ultrafast", "crf": "23", "bf": "2", "g": "12", "sc_threshold": "0"}
OPEN_GOP = {**X264, "x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=12:min-keyint=12"}
FORMATS = {".mkv": "matroska", ".ts": "mpegts", ".mpg": "mpeg", ".m2v": "mpeg2video"}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """How to make a film. Times in seconds unless in `time_base` units."""

    frames: int = 40
    width: int = 64
    height: int = 48
    rate: Fraction = Fraction(25)
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: dict(X264))
    pixel_format: str = "yuv420p"
    time_base: Fraction | None = None
    """Of the timestamps; by default 1/rate."""
    pts: Sequence[int] | None = None
    """One timestamp per frame; by default 0, 1, 2 ... of 1/rate."""
    audio: str | None = None
    audio_offset: float = 0.0
    subtitles: Sequence[tuple[float, float, str]] = ()
    subtitle_codec: str = "subrip"
    chapters: Sequence[tuple[float, float, str]] = ()
    attachment: bytes | None = None
    cover: bool = False
    """A PNG, which Matroska carries as an attachment and FFmpeg shows as video."""
    title: str | None = None
    rotation: int = 0
    mirrored: bool = False
    sar: Fraction | None = None
    colour: tuple[int, int, int, int] | None = None
    """primaries, transfer, matrix (ITU-T H.273), range (1 limited, 2 full)."""
    muxer_options: dict[str, str] = field(default_factory=dict)


def picture(number: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """uint8 RGB, shape (height, width, 3): a moving gradient, unlike for every number."""
    y, x = np.mgrid[0:height, 0:width]
    phase = number * 7 + seed
    channels = ((x * 3 + phase * 5) % 256, (y * 5 + phase * 3) % 256, ((x + y) * 2 + phase) % 256)
    image = np.stack(channels, axis=-1).astype(np.uint8)
    block = max(2, min(width, height) // 4)
    image[:block, :block] = (number * 37) % 256
    return image


def make(path: Path, clip: Clip | None = None, **changes: Any) -> Path:
    """Write a film; its format by the suffix. Returns `path`."""
    clip = clip or Clip(**changes)
    with av.open(
        str(path), "w", format=FORMATS.get(path.suffix), container_options=clip.muxer_options
    ) as out:
        _Writer(out, clip).write()
    return path


def png(width: int, height: int) -> bytes:
    """A small still picture."""
    context: Any = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = width, height, "rgb24"
    context.time_base = Fraction(1, 25)
    frame = VideoFrame.from_ndarray(picture(0, width, height), "rgb24")
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])


class _Writer:
    def __init__(self, out: OutputContainer, clip: Clip) -> None:
        self.out, self.clip = out, clip
        self.time_base = clip.time_base or 1 / clip.rate

    def write(self) -> None:
        clip, out = self.clip, self.out
        if clip.title:
            out.metadata["title"] = clip.title
        video = self._video_stream()
        audio = self._audio_stream() if clip.audio else None
        subtitle: Any = None
        if clip.subtitles:
            subtitle = out.add_stream(clip.subtitle_codec)
            subtitle.codec_context.subtitle_header = ASS_HEADER
            subtitle.metadata["language"] = "ger"
        if clip.attachment is not None:
            out.add_attachment("font.ttf", "application/x-truetype-font", clip.attachment)
        if clip.cover:
            out.add_attachment("cover.png", "image/png", png(32, 24))
        if clip.chapters:
            out.set_chapters([_chapter(i, c) for i, c in enumerate(clip.chapters)])
        packets = self._video(video)
        if audio is not None:
            packets += self._audio(audio)
        if subtitle is not None:
            packets += self._subtitles(subtitle)
        for packet in sorted(packets, key=_decoding_time):
            out.mux(packet)

    def _video_stream(self) -> Any:
        clip = self.clip
        stream: Any = self.out.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.pixel_format
        context = stream.codec_context
        context.time_base = self.time_base
        context.thread_count = 1
        if clip.sar:
            context.sample_aspect_ratio = clip.sar
        if clip.colour:
            (context.color_primaries, context.color_trc, context.colorspace,
             context.color_range) = clip.colour  # fmt: skip
        if clip.rotation or clip.mirrored:
            stream.set_display_rotation(clip.rotation, hflip=clip.mirrored)
        return stream

    def _video(self, stream: Any) -> list[Packet]:
        clip, packets = self.clip, []
        stamps = clip.pts if clip.pts is not None else range(clip.frames)
        for number, pts in enumerate(stamps):
            rgb = VideoFrame.from_ndarray(picture(number, clip.width, clip.height), "rgb24")
            frame = rgb.reformat(format=clip.pixel_format)
            frame.pts, frame.time_base = pts, self.time_base
            packets += stream.encode(frame)
        return packets + stream.encode(None)

    def _audio_stream(self) -> Any:
        stream = self.out.add_stream(str(self.clip.audio), rate=48000)
        stream.metadata["language"] = "eng"
        return stream

    def _audio(self, stream: Any) -> list[Packet]:
        clip, packets = self.clip, []
        context = stream.codec_context
        context.open()
        size = context.frame_size or 1024
        stamps = clip.pts if clip.pts is not None else (0, clip.frames)
        seconds = float((max(stamps) - min(stamps)) * self.time_base)
        start = round((clip.audio_offset + float(min(stamps) * self.time_base)) * 48000)
        t = np.arange(int(seconds * 48000) // size * size) / 48000
        tone = (np.sin(2 * np.pi * (220 + 40 * t) * t) * 0.3).astype(np.float32)
        for i in range(0, len(tone), size):
            frame = _sound(tone[i : i + size], context.format.name)
            frame.pts, frame.time_base, frame.sample_rate = start + i, Fraction(1, 48000), 48000
            packets += stream.encode(frame)
        return packets + stream.encode(None)

    def _subtitles(self, stream: Any) -> list[Packet]:
        packets = []
        for start, end, text in self.clip.subtitles:
            packet = Packet(_subtitle_payload(text, self.clip.subtitle_codec))
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            packets.append(packet)
        return packets


ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)


def _subtitle_payload(text: str, codec: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw if codec == "mov_text" else raw


def _sound(mono: np.ndarray, sample_format: str) -> AudioFrame:
    planar: Any = np.stack([mono, mono])
    if sample_format.startswith("s16"):
        planar = (planar * 32767).astype(np.int16)
    elif sample_format.startswith("s32"):
        planar = (planar * 2**30).astype(np.int32)
    array = planar if sample_format.endswith("p") else planar.T.reshape(1, -1)
    return AudioFrame.from_ndarray(np.ascontiguousarray(array), sample_format, "stereo")


def _chapter(number: int, chapter: tuple[float, float, str]) -> Any:
    start, end, title = chapter
    return {
        "id": number, "start": round(start * 1000), "end": round(end * 1000),
        "time_base": Fraction(1, 1000), "metadata": {"title": title},
    }  # fmt: skip


def _decoding_time(packet: Packet) -> Fraction:
    return Fraction(packet.dts or 0) * packet.time_base


def remux(
    path: Path,
    *sources: Path,
    labels: Mapping[int, Mapping[str, str]] | None = None,
    dispositions: Mapping[int, Disposition] | None = None,
    tags: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """All streams of all sources, copied; `labels` and `dispositions` by the stream's number."""
    name = FORMATS.get(path.suffix)
    with (
        contextlib.ExitStack() as opened,
        av.open(str(path), "w", format=name, container_options=dict(options or {})) as out,
    ):
        films = [opened.enter_context(av.open(str(source))) for source in sources]
        out.metadata.update(tags or {})
        packets: list[Packet] = []
        for film in films:
            taken = {}
            for stream in film.streams:
                target = out.add_stream_from_template(stream, opaque=True)
                target.metadata.update(stream.metadata)
                target.metadata.update((labels or {}).get(target.index, {}))
                target.disposition = (dispositions or {}).get(target.index, stream.disposition)
                taken[stream.index] = target
            for packet in film.demux():
                if packet.size:
                    packet.stream = taken[packet.stream_index]
                    packets.append(packet)
        for packet in sorted(packets, key=_decoding_time):
            out.mux(packet)
    return path


def damage(
    path: Path,
    numbers: Iterable[int],
    first: float = 0.0,
    last: float = 1.0,
    kind: str = "video",
) -> Path:
    """Overwrite these packets (in the file's order) from share `first` to `last` of them."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        (stream,) = container.streams.get({kind: 0})
        packets = [p for p in container.demux(stream) if p.size]
    for number in numbers:
        size = packets[number].size
        start = data.index(bytes(packets[number]))
        area = slice(start + max(4, int(size * first)), start + int(size * last))
        data[area] = b"\xff" * (area.stop - area.start)
    path.write_bytes(data)
    return path


@dataclass(frozen=True)
class Seen:
    """A decoded frame: timestamp and SHA-256 of its visible pixels."""

    pts: int
    sha256: str


def frame_hash(frame: VideoFrame) -> str:
    return hashlib.sha256(frame.to_ndarray(format="rgb24").tobytes()).hexdigest()


def decode_all(path: Path) -> list[Seen]:
    """Every frame of the first video stream, decoded from the beginning."""
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[0])
        return [Seen(f.pts if f.pts is not None else f.dts or 0, frame_hash(f)) for f in frames]
