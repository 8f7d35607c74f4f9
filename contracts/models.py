"""What planner, worker and command line must agree on of a model: its facts, and the catalogue.

The catalogue's networks are Real-ESRGAN's (Wang et al., https://arxiv.org/abs/2107.10833). A user's
own model has the same facts; they are measured when it is stored (docs/decisions/0036).
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.base import Contract, Versioned


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


NumberFormat = Literal["uint8", "uint16", "float32", "float16", "bfloat16"]


class Architecture(StrEnum):
    """Whose code builds the network."""

    COMPACT = "compact"
    RRDB = "rrdb"
    SPANDREL = "spandrel"
    """A user's model: spandrel finds out what it is, from its weights."""


class SizeRule(Contract):
    """What pictures a network takes, in pixels; others are padded at the right and the bottom."""

    minimum: int = Field(default=1, ge=1)
    multiple: int = Field(default=1, ge=1)


MAX_HALO = 48
"""Real-ESRGAN's RRDB nets reach further (94 and 349 pixels), but hardly: docs/decisions/0031 says
what 48 leaves."""
_TAIL_BYTES = 40
_TAIL_SCALE = 4

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelFacts(Contract):
    """What must be known of a model without loading it."""

    name: str
    """For people, such as `x4plus` or `SwinIR (4x-foo.pth)`."""
    architecture: Architecture | None
    """None where there is no network."""
    native_scale: int | None = Field(ge=1)
    """The network's own factor; None where any factor is native, 1 where it does not enlarge."""
    size: SizeRule = SizeRule()
    grid: int = Field(default=1, ge=1)
    """Tiles begin at multiples of it, for the network treats pixels by their place in windows."""
    radius: int | None = Field(ge=0)
    """Receptive radius: the halo, in source pixels, beyond which a pixel cannot reach the output.
    None: without bounds, or none that could be measured."""
    flop_per_pixel: float = Field(ge=0)
    """Floating point operations per source pixel at the native scale; a product and sum are two."""
    bytes_per_pixel: dict[Engine, int] = Field(default_factory=dict)
    """What an engine holds per source pixel at its worst moment, in float32, rounded up; narrower
    formats need less. Engines that are not named do not compute this model."""
    dtypes: tuple[NumberFormat, ...]
    """Number formats that it may be computed in, as far as the device has them."""
    weights_sha256: Sha256 | None
    """Of the safetensors file, None where there are no weights."""
    licence: str | None
    """None where it is not known."""

    @property
    def halo(self) -> int:
        """What tiles read around themselves, in source pixels; keeps them on the grid."""
        halo = MAX_HALO if self.radius is None else min(self.radius, MAX_HALO)
        return -(-halo // self.grid) * self.grid

    @property
    def tail_bytes_per_pixel(self) -> int:
        """Per source pixel of the whole picture, tiled or not: its cells, and the copies that
        resampling and rounding make of them."""
        return _TAIL_BYTES * max(self.native_scale or 1, _TAIL_SCALE) ** 2


class StoredModel(Versioned):
    """A user's model; rests as `models/<sha256>.json` beside its weights."""

    facts: ModelFacts

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        facts = self.facts
        if facts.architecture is not Architecture.SPANDREL or facts.native_scale is None:
            raise ValueError("facts: are not of a model that a user brought")
        if Engine.TORCH not in facts.bytes_per_pixel:
            raise ValueError("facts: do not say how much memory torch needs")
        return self


# Bytes are peaks of the worker's own process, x4, the tail included (docs/decisions/0031).
_COMPACT_BYTES = {Engine.TORCH: 1_300, Engine.NCNN: 3_600}
_RRDB_BYTES = {Engine.TORCH: 15_500, Engine.NCNN: 54_000}


def _real_esrgan(name: ModelName, radius: int, flop_per_pixel: float, sha256: str) -> ModelFacts:
    compact = name is ModelName.ANIMEVIDEOV3
    return ModelFacts(
        name=name.value,
        architecture=Architecture.COMPACT if compact else Architecture.RRDB,
        native_scale=4,
        radius=radius,
        flop_per_pixel=flop_per_pixel,
        bytes_per_pixel=_COMPACT_BYTES if compact else _RRDB_BYTES,
        dtypes=("float32", "float16", "bfloat16"),
        weights_sha256=sha256,
        licence="BSD-3-Clause",
    )


CATALOGUE: dict[ModelName, ModelFacts] = {
    ModelName.LANCZOS: ModelFacts(
        name=ModelName.LANCZOS.value,
        architecture=None,
        native_scale=None,
        radius=4,
        flop_per_pixel=2_000.0,
        dtypes=("uint8", "uint16"),
        weights_sha256=None,
        licence="Apache-2.0",
    ),
    ModelName.ANIMEVIDEOV3: _real_esrgan(
        ModelName.ANIMEVIDEOV3, 18, 1.238e6,
        "cb17c34b98057c0844efbd2de6b731c7b19796d83e69c126aa240aa9c9d87071",
    ),
    ModelName.X4PLUS_ANIME: _real_esrgan(
        ModelName.X4PLUS_ANIME, 94, 11.41e6,
        "e9a1a408cd5c292bcb20773c2a2ee9ed50740876dbb88ff1a96ee6443833dfad",
    ),
    ModelName.X4PLUS: _real_esrgan(
        ModelName.X4PLUS, 349, 35.85e6,
        "f50be333a014fd51258d297e69110e7c70f8bcfdfb4d5720d6bdd5287c537d73",
    ),
}  # fmt: skip
"""Hashes are of what `python -m containers.upscaler weights` writes; a test compares them."""


def network_engine(model: ModelFacts, wanted: Engine, dtype: str) -> Engine:
    """The engine for a network where the stack wants `wanted`.

    ncnn where it measures faster: compact networks in float32. It computes nothing else exactly,
    and on RRDB networks its Winograd buffers take over three times torch's memory for no gain.
    """
    compact = model.architecture is Architecture.COMPACT
    return wanted if compact and dtype == "float32" else Engine.TORCH


def network_dtype(model: ModelFacts, wanted: NumberFormat) -> NumberFormat:
    """The number format for a network where the stack wants `wanted`: float32 where it may not."""
    return wanted if wanted in model.dtypes else "float32"


def weights_file(model: ModelName) -> str:
    """Name of a catalogue model's file in a weights folder."""
    return f"{model.value}.safetensors"
