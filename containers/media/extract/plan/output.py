"""From the film's facts and the user's settings to the manifest: all that decides the bytes."""

from dataclasses import dataclass

from av.container import InputContainer
from av.stream import Stream

from containers.media.extract.judge.picture import HDR_TRANSFERS
from containers.media.labels.streams import can_hold, codec_name
from contracts.base import ObjectRef
from contracts.film.facts import Video
from contracts.film.manifest import Inference, Output
from contracts.job import HOLDS, Container, Settings
from contracts.models import Engine, ModelFacts, network_dtype, network_engine
from contracts.planning import plan_tile, target_size
from contracts.stack.environ import ExtractEnvironment


@dataclass(frozen=True)
class Model:
    """`weights`: where a user's model lies; None for one that the workers' image has."""

    facts: ModelFacts
    weights: ObjectRef | None = None


def choose_container(settings: Settings, source: InputContainer, film: Stream) -> Container:
    """As asked; else the source's kind, MOV for ProRes, Matroska for FFV1 or what holds more."""
    if settings.container is not None:
        return settings.container
    others = [s for s in source.streams if s.type in ("audio", "subtitle") and s is not film]
    carried = [s for s in others if can_hold(Container.MKV, s)]
    for container in (_kind(source), Container.MOV):
        if settings.codec in HOLDS[container] and all(_plays(container, s) for s in carried):
            return container
    return Container.MKV


def _kind(source: InputContainer) -> Container:
    if "matroska" in source.format.name:
        return Container.MKV
    return Container.MOV if source.metadata.get("major_brand") == "qt  " else Container.MP4


def _plays(container: Container, stream: Stream) -> bool:
    """True if it is held, and as players expect it: few look for raw sound in MP4."""
    raw = container is Container.MP4 and codec_name(stream).startswith("pcm_")
    return not raw and can_hold(container, stream)


def plan_output(settings: Settings, video: Video, container: Container) -> Output:
    width, height = target_size(settings, video.width, video.height)
    return Output(width=width, height=height, label=settings.label, container=container)


def plan_inference(
    settings: Settings, model: Model, video: Video, environment: ExtractEnvironment
) -> Inference:
    """Lanczos works on integers; networks on the stack's dtype, tiled where memory asks for it."""
    facts = model.facts
    engine, dtype = Engine.OPENCV, "uint16" if video.bit_depth > 8 else "uint8"
    tile, halo, batch = 0, 0, 1
    if facts.architecture is not None:
        dtype = network_dtype(facts, environment.inference_dtype)
        engine = network_engine(facts, Engine(environment.inference_engine), dtype)
        tile, halo = _plan_tile(facts, engine, video, environment.inference_memory_mib)
        if not tile:
            batch = _plan_batch(facts, engine, video, environment)
    return Inference(
        model=settings.model,
        facts=facts,
        weights=model.weights,
        scale=target_size(settings, video.width, video.height)[1] / video.height,
        strength=settings.strength,
        grain=settings.grain,
        anchored=facts.architecture is not None and video.working_colour.transfer in HDR_TRANSFERS,
        engine=engine,
        dtype=dtype,
        batch=batch,
        tile=tile,
        halo=halo,
        threads=environment.inference_threads,
    )


def _plan_tile(facts: ModelFacts, engine: Engine, video: Video, mib: int) -> tuple[int, int]:
    """(tile, halo), in source pixels; (0, 0) where the whole picture fits."""
    need = facts.bytes_per_pixel[engine]
    memory = mib * 1024**2 - video.width * video.height * facts.tail_bytes_per_pixel
    tile = plan_tile(
        video.width, video.height, facts, bytes_per_pixel=need, memory_bytes=max(memory, 0)
    )
    return tile, facts.halo if tile else 0


def _plan_batch(
    facts: ModelFacts, engine: Engine, video: Video, environment: ExtractEnvironment
) -> int:
    """Whole pictures at once: as many as the stack asks for, and the memory holds."""
    need = facts.bytes_per_pixel[engine] + facts.tail_bytes_per_pixel
    room = environment.inference_memory_mib * 1024**2 // (video.width * video.height * need)
    return max(1, min(environment.inference_batch, int(room)))
