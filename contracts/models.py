"""The catalogue of upscaling models: what planner, worker and command line must agree on.

The networks are Real-ESRGAN's (Wang et al., https://arxiv.org/abs/2107.10833; BSD-3-Clause).
Receptive radius: the halo, in source pixels, beyond which a pixel cannot reach the output.
Cost: floating point operations per source pixel at the network's native scale.
Memory: bytes that an engine holds per source pixel at its worst moment, measured as peaks of the
worker's own process and rounded up (docs/decisions/0031).
"""

from enum import StrEnum

from contracts.base import Contract


class ModelName(StrEnum):
    LANCZOS = "lanczos"
    ANIMEVIDEOV3 = "animevideov3"
    X4PLUS_ANIME = "x4plus-anime"
    X4PLUS = "x4plus"


class Engine(StrEnum):
    """What computes the pixels; with the number format and the threads it decides the bytes."""

    OPENCV = "opencv"
    TORCH = "torch"
    NCNN = "ncnn"
    """Winograd convolutions on processors: the fastest exact way through compact networks."""


class Architecture(StrEnum):
    COMPACT = "compact"
    RRDB = "rrdb"


class ModelFacts(Contract):
    """What is known of a model without loading it."""

    architecture: Architecture | None
    """None where there is no network."""
    native_scale: int | None
    """The network's own factor; None where any factor is native."""
    radius: int
    flop_per_pixel: float
    weights_sha256: str | None
    """SHA-256 of the safetensors file, None where there are no weights."""


CATALOGUE: dict[ModelName, ModelFacts] = {
    ModelName.LANCZOS: ModelFacts(
        architecture=None,
        native_scale=None,
        radius=4,
        flop_per_pixel=2_000.0,
        weights_sha256=None,
    ),
    ModelName.ANIMEVIDEOV3: ModelFacts(
        architecture=Architecture.COMPACT,
        native_scale=4,
        radius=18,
        flop_per_pixel=1.238e6,
        weights_sha256="cb17c34b98057c0844efbd2de6b731c7b19796d83e69c126aa240aa9c9d87071",
    ),
    ModelName.X4PLUS_ANIME: ModelFacts(
        architecture=Architecture.RRDB,
        native_scale=4,
        radius=94,
        flop_per_pixel=11.41e6,
        weights_sha256="e9a1a408cd5c292bcb20773c2a2ee9ed50740876dbb88ff1a96ee6443833dfad",
    ),
    ModelName.X4PLUS: ModelFacts(
        architecture=Architecture.RRDB,
        native_scale=4,
        radius=349,
        flop_per_pixel=35.85e6,
        weights_sha256="f50be333a014fd51258d297e69110e7c70f8bcfdfb4d5720d6bdd5287c537d73",
    ),
}
"""Hashes are of what `python -m containers.upscaler weights` writes; a test compares them."""


BYTES_PER_PIXEL: dict[tuple[Engine, Architecture], int] = {
    (Engine.TORCH, Architecture.COMPACT): 1_300,
    (Engine.TORCH, Architecture.RRDB): 15_500,
    (Engine.NCNN, Architecture.COMPACT): 3_600,
    (Engine.NCNN, Architecture.RRDB): 54_000,
}
"""In float32, of which narrower formats need less; x4, the tail included."""


TAIL_BYTES_PER_PIXEL = 640
"""Per source pixel of the whole picture, tiled or not: its cells, and the copies that resampling
and rounding make of them."""
MAX_HALO = 48
"""Real-ESRGAN's RRDB nets reach further (94 and 349 pixels), but hardly: docs/decisions/0031 says
what 48 leaves."""


def network_engine(model: ModelFacts, wanted: Engine, dtype: str) -> Engine:
    """The engine for a network where the stack wants `wanted`.

    ncnn where it measures faster: compact networks in float32. It computes nothing else exactly,
    and on RRDB networks its Winograd buffers take over three times torch's memory for no gain.
    """
    compact = model.architecture is Architecture.COMPACT
    return wanted if compact and dtype == "float32" else Engine.TORCH


def weights_file(model: ModelName) -> str:
    """Name of a model's file in a weights folder."""
    return f"{model.value}.safetensors"
