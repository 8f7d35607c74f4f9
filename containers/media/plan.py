"""From the film's facts and the user's settings to the manifest: all that decides the bytes."""

import logging

from av.container import InputContainer
from av.stream import Stream

from containers.media.sidecar import can_hold
from contracts.environ import ExtractEnvironment
from contracts.job import Codec, Container, Settings
from contracts.limits import H264_MAX_SIDE
from contracts.manifest import Encoder, Inference, Output, Video
from contracts.models import (
    BYTES_PER_PIXEL,
    CATALOGUE,
    MAX_HALO,
    TAIL_BYTES_PER_PIXEL,
    Engine,
    ModelFacts,
    network_engine,
)
from contracts.planning import fitted_size, output_size, plan_tile

ENCODERS = {
    Codec.H264: "libx264",
    Codec.HEVC: "libx265",
    Codec.AV1: "libsvtav1",
    Codec.FFV1: "ffv1",
}
DEFAULT_QUALITY = {Codec.H264: 18, Codec.HEVC: 20, Codec.AV1: 28}
DEFAULT_PRESET = {Codec.H264: "fast", Codec.HEVC: "fast", Codec.AV1: "8"}
KEYFRAME_SECONDS = 2
MAX_KEYFRAME_DISTANCE = 250
X265_FRAME_THREADS = 2
"""Pinned: with another number x265 writes other headers, and such shards cannot be joined."""
FFV1_SLICES = 12

log = logging.getLogger(__name__)


def choose_container(settings: Settings, source: InputContainer, film: Stream) -> Container:
    """As asked; else Matroska for ffv1, for Matroska sources, and where it holds more than MP4."""
    if settings.container is not None:
        return settings.container
    others = [s for s in source.streams if s.type in ("audio", "subtitle") and s is not film]
    mkv_holds_more = any(
        can_hold(Container.MKV, s) and not can_hold(Container.MP4, s) for s in others
    )
    if settings.codec is Codec.FFV1 or "matroska" in source.format.name or mkv_holds_more:
        return Container.MKV
    return Container.MP4


def plan_output(settings: Settings, video: Video, container: Container) -> Output:
    width, height = target_size(settings, video.width, video.height)
    return Output(width=width, height=height, label=settings.label, container=container)


def target_size(settings: Settings, width: int, height: int) -> tuple[int, int]:
    """Pixels of the result of a source of that size."""
    if settings.fit is None:
        return output_size(width, height, settings.scale)
    return fitted_size(width, height, settings.fit)


def plan_inference(settings: Settings, video: Video, environment: ExtractEnvironment) -> Inference:
    """Lanczos works on integers; networks on the stack's dtype, tiled where memory asks for it."""
    facts = CATALOGUE[settings.model]
    engine, dtype = Engine.OPENCV, "uint16" if video.bit_depth > 8 else "uint8"
    tile = halo = 0
    if facts.architecture is not None:
        dtype = environment.inference_dtype
        engine = network_engine(facts, Engine(environment.inference_engine), dtype)
        tile, halo = _plan_tile(facts, engine, video, environment.inference_memory_mib)
    return Inference(
        model=settings.model,
        weights_sha256=facts.weights_sha256,
        scale=target_size(settings, video.width, video.height)[1] / video.height,
        strength=settings.strength,
        engine=engine,
        dtype=dtype,
        tile=tile,
        halo=halo,
        threads=environment.inference_threads,
    )


def _plan_tile(facts: ModelFacts, engine: Engine, video: Video, mib: int) -> tuple[int, int]:
    """(tile, halo), in source pixels; (0, 0) where the whole picture fits."""
    if facts.architecture is None:
        return 0, 0
    halo = min(facts.radius, MAX_HALO)
    need = BYTES_PER_PIXEL[engine, facts.architecture]
    memory = mib * 1024**2 - video.width * video.height * TAIL_BYTES_PER_PIXEL
    tile = plan_tile(video.width, video.height, need, max(memory, 0), halo)
    return tile, halo if tile else 0


def plan_encoder(settings: Settings, video: Video, output: Output, threads: int) -> Encoder:
    """The encoder and every option that decides its bytes."""
    codec = settings.codec
    if codec is Codec.H264 and max(output.width, output.height) > H264_MAX_SIDE:
        codec = Codec.HEVC
        log.warning(
            "%dx%d is more than H.264 decoders take (%d a side); the result becomes HEVC",
            output.width,
            output.height,
            H264_MAX_SIDE,
        )
    distance = min(max(round(KEYFRAME_SECONDS * video.frame_rate), 1), MAX_KEYFRAME_DISTANCE)
    lossless = settings.quality == 0
    quality = settings.quality if settings.quality is not None else DEFAULT_QUALITY.get(codec)
    preset = settings.preset or DEFAULT_PRESET.get(codec)
    options = _OPTIONS[codec](distance, str(quality), str(preset), lossless)
    return Encoder(
        codec=codec,
        encoder=ENCODERS[codec],
        pixel_format="yuv420p10le" if video.bit_depth > 8 else "yuv420p",
        options=options,
        threads=threads,
        shard_container=Container.MKV if codec is Codec.FFV1 else Container.MP4,
    )


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


_OPTIONS = {Codec.H264: _x264, Codec.HEVC: _x265, Codec.AV1: _svt, Codec.FFV1: _ffv1}
