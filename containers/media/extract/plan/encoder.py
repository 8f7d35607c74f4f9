"""The encoder of a job: its name, pixel format and every option that decides its bytes."""

import logging
import math

from av.video.format import VideoFormat

from containers.common.film.pictures import has_alpha, plain_format
from containers.common.runtime.errors import WorkerError
from containers.media.extract.plan import nvenc
from containers.media.labels import hdr
from contracts.film.facts import Video
from contracts.film.manifest import Encoder, Output
from contracts.job import (
    DEFAULT_PRESET,
    DEFAULT_QUALITY,
    PRORES_PROFILES,
    Codec,
    Container,
    Settings,
)
from contracts.limits import H264_MAX_SIDE, LEVEL_MAX
from contracts.names import ExitCode

ENCODERS = {
    Codec.H264: "libx264",
    Codec.HEVC: "libx265",
    Codec.AV1: "libsvtav1",
    Codec.PRORES: "prores_ks",
    Codec.FFV1: "ffv1",
}
SHARD_CONTAINERS = {Codec.PRORES: Container.MOV, Codec.FFV1: Container.MKV}
"""MP4 for the others."""
CHROMA_LOCATIONS = {2: "center", 3: "topleft", 4: "top", 5: "bottomleft", 6: "bottom"}
"""FFmpeg's names; left is the default."""
KEYFRAME_SECONDS = 2
MAX_KEYFRAME_DISTANCE = 250
X265_FRAME_THREADS = 2
"""Pinned: with another number x265 writes other headers, and such shards cannot be joined."""
FFV1_SLICES = 12

log = logging.getLogger(__name__)


def _check_level(codec: Codec, output: Output) -> None:
    pixels, width, height = LEVEL_MAX.get(codec, (math.inf, math.inf, math.inf))
    if output.width > width or output.height > height or output.width * output.height > pixels:
        raise WorkerError(
            ExitCode.BAD_REQUEST,
            f"the result would have {output.width}x{output.height} pixels; {codec.value} allows "
            f"{pixels} of them, {width} across and {height} down; choose a smaller scale, or ffv1",
        )


def plan_encoder(
    settings: Settings, video: Video, output: Output, *, threads: int, hardware: bool = False
) -> Encoder:
    """The encoder and every option that decides its bytes.

    With `hardware`, NVENC's where it can make the result. Raises WorkerError BAD_REQUEST where no
    level of the codec holds such pictures.
    """
    codec = settings.codec
    if codec is Codec.H264 and max(output.width, output.height) > H264_MAX_SIDE:
        codec = Codec.HEVC
        log.warning(
            "%dx%d is more than H.264 decoders take (%d a side); the result becomes HEVC",
            output.width,
            output.height,
            H264_MAX_SIDE,
        )
    _check_level(codec, output)
    pixel_format = settings.pixel_format or _usual_format(settings, video)
    distance = min(max(round(KEYFRAME_SECONDS * video.frame_rate), 1), MAX_KEYFRAME_DISTANCE)
    lossless = settings.quality == 0
    quality = settings.quality if settings.quality is not None else DEFAULT_QUALITY.get(codec)
    preset = settings.preset or DEFAULT_PRESET.get(codec) or _usual_profile(pixel_format)
    options = _OPTIONS[codec](distance, str(quality), str(preset), lossless)
    name = ENCODERS[codec]
    if hardware and nvenc.suits(codec, pixel_format, output, lossless=lossless):
        name = nvenc.name(codec)
        options = nvenc.options(codec, distance, quality or 0, str(preset), lossless=lossless)
    if name in hdr.CARRIERS:
        options = hdr.encoder_options(codec, options, video.mastering_display, video.light_level)
    if "420" in pixel_format and video.chroma_location in CHROMA_LOCATIONS:
        options["chroma_sample_location"] = CHROMA_LOCATIONS[video.chroma_location]
    return Encoder(
        codec=codec,
        instead_of=settings.codec if codec is not settings.codec else None,
        encoder=name,
        pixel_format=pixel_format,
        options=options,
        threads=threads,
        shard_container=SHARD_CONTAINERS.get(codec, Container.MP4),
    )


def _usual_format(settings: Settings, video: Video) -> str:
    """What plays everywhere at the source's depth; for ffv1, an archive's codec, the source's."""
    if settings.codec is Codec.PRORES:
        return _usual_prores(settings.preset, alpha=has_alpha(video.pixel_format))
    if settings.codec is Codec.FFV1:
        plain = plain_format(video.pixel_format)
        usual = "420" if plain.startswith("gray") else "444"
        sampling = next((s for s in ("420", "422") if s in plain), usual)
        bits = VideoFormat(plain).components[0].bits
        start = "yuva" if has_alpha(video.pixel_format) else "yuv"
        return f"{start}{sampling}p" + ("" if bits == 8 else f"{bits}le")
    return "yuv420p10le" if video.bit_depth > 8 else "yuv420p"


def _usual_prores(profile: str | None, *, alpha: bool) -> str:
    """4:2:2, unless the chosen profile or the source's alpha needs 4:4:4."""
    if profile in PRORES_PROFILES["yuv422p10le"]:
        return "yuv422p10le"
    if alpha:
        return "yuva444p10le"
    return "yuv422p10le" if profile is None else "yuv444p10le"


def _usual_profile(pixel_format: str) -> str:
    """The best of the usual ProRes profiles: hq, or 4444."""
    profiles = PRORES_PROFILES.get(pixel_format, ("",))
    return "4444" if "4444" in profiles else profiles[-1]


def _x264(distance: int, quality: str, preset: str, lossless: bool) -> dict[str, str]:
    rate = {"qp": "0"} if lossless else {"crf": quality}
    return {
        "preset": preset,
        "g": str(distance),
        "flags": "+cgop",
        "x264-params": "open-gop=0",
        **rate,
    }


def _x265(distance: int, quality: str, preset: str, lossless: bool) -> dict[str, str]:
    params = f"log-level=error:open-gop=0:keyint={distance}:frame-threads={X265_FRAME_THREADS}"
    if lossless:
        return {"preset": preset, "x265-params": params + ":lossless=1"}
    return {"preset": preset, "crf": quality, "x265-params": params}


def _svt(distance: int, quality: str, preset: str, lossless: bool) -> dict[str, str]:
    rate = {"svtav1-params": "lossless=1"} if lossless else {"crf": quality}
    return {"preset": preset, "g": str(distance), "flags": "+cgop", **rate}


def _ffv1(_distance: int, _quality: str, _preset: str, _lossless: bool) -> dict[str, str]:
    return {"level": "3", "g": "1", "slices": str(FFV1_SLICES), "slicecrc": "1"}


def _prores(_distance: int, _quality: str, preset: str, _lossless: bool) -> dict[str, str]:
    return {"profile": preset, "vendor": "apl0"}  # editors look for Apple's name


_OPTIONS = {
    Codec.H264: _x264,
    Codec.HEVC: _x265,
    Codec.AV1: _svt,
    Codec.PRORES: _prores,
    Codec.FFV1: _ffv1,
}
