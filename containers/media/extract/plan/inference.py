"""How a job infers: engine, number format, tiles and batch, which all decide the bytes."""

from containers.media.extract.judge.picture import HDR_TRANSFERS
from containers.media.extract.plan.model import Model
from contracts.film.facts import Video
from contracts.film.manifest import Inference
from contracts.job import Settings
from contracts.models import Engine, ModelFacts, network_dtype, network_engine
from contracts.planning import plan_tile, target_size
from contracts.stack.environ import ExtractEnvironment


def plan_inference(
    settings: Settings, model: Model, video: Video, environment: ExtractEnvironment
) -> Inference:
    """Lanczos works on integers, networks on the stack's dtype, in tiles where memory is short."""
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
