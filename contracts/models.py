"""What planner, worker and command line must agree on about models: facts, and the catalogue.

The catalogue's networks are Real-ESRGAN's (Wang et al., https://arxiv.org/abs/2107.10833). A user's
own model has the same facts; they are measured when it is inspected (docs/decisions/0036).
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
    """The library that computes the pixels; with number format and threads it decides the bytes."""

    OPENCV = "opencv"
    TORCH = "torch"
    NCNN = "ncnn"
    """Winograd convolutions on processors: the fastest exact engine for compact networks."""


NumberFormat = Literal["uint8", "uint16", "float32", "float16", "bfloat16"]


class Architecture(StrEnum):
    """The code that builds the network."""

    COMPACT = "compact"
    RRDB = "rrdb"
    SPANDREL = "spandrel"
    """A user's model: spandrel recognises its architecture by its weights."""


class SizeRule(Contract):
    """Picture sides that a network takes, in pixels; others are padded at the right and bottom."""

    minimum: int = Field(default=1, ge=1)
    multiple: int = Field(default=1, ge=1)


MAX_HALO = 48
"""Source pixels. Real-ESRGAN's RRDB networks reach further (94 and 349), but with little effect:
docs/decisions/0031 has the error that 48 leaves."""
_TAIL_BYTES = 40
_TAIL_SCALE = 4

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelFacts(Contract):
    """What must be known about a model before it is loaded."""

    name: str
    """For people, such as `x4plus` or `SwinIR (4x-foo.pth)`."""
    architecture: Architecture | None
    """None where there is no network."""
    native_scale: int | None = Field(ge=1)
    """The network's own factor; None where every factor is native, 1 where it does not enlarge."""
    size: SizeRule = SizeRule()
    grid: int = Field(default=1, ge=1)
    """Tiles begin at multiples of it: the network treats a pixel by its place in a window."""
    radius: int | None = Field(ge=0)
    """Receptive radius: the halo, in source pixels, beyond which a pixel cannot reach the output.
    None: unbounded, or not measurable."""
    flop_per_pixel: float = Field(ge=0)
    """Floating-point operations per source pixel at the native scale; a multiply-add counts two."""
    bytes_per_pixel: dict[Engine, int] = Field(default_factory=dict)
    """Peak memory per source pixel by engine, in float32, rounded up; narrower formats need less.
    Engines that are missing here do not compute this model."""
    dtypes: tuple[NumberFormat, ...]
    """Number formats in which it may be computed, where the device has them."""
    weights_sha256: Sha256 | None
    """Of the safetensors file, None where there are no weights."""
    licence: str | None
    """None where it is not known."""

    @property
    def halo(self) -> int:
        """Source pixels that a tile reads around itself; a multiple of the grid."""
        halo = MAX_HALO if self.radius is None else min(self.radius, MAX_HALO)
        return -(-halo // self.grid) * self.grid

    @property
    def tail_bytes_per_pixel(self) -> int:
        """Bytes per source pixel of the whole picture, tiled or not: its enlarged pixels, and the
        copies that resampling and rounding make of them."""
        return _TAIL_BYTES * max(self.native_scale or 1, _TAIL_SCALE) ** 2


class StoredModel(Versioned):
    """A user's model; stored as `models/<sha256>.json` beside its weights."""

    facts: ModelFacts

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        facts = self.facts
        if facts.architecture is not Architecture.SPANDREL or facts.native_scale is None:
            raise ValueError("facts: do not describe a model that a user brought")
        if Engine.TORCH not in facts.bytes_per_pixel:
            raise ValueError("facts: do not say how much memory torch needs")
        return self


# Peaks of the worker's process at x4, the tail included (docs/decisions/0031).
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
"""A test compares the hashes with what `python -m containers.upscaler weights` writes."""


def network_engine(model: ModelFacts, wanted: Engine, dtype: str) -> Engine:
    """The engine for a network on a stack that prefers `wanted`.

    ncnn only where it measured faster: compact networks in float32. It is exact in no other format,
    and on RRDB networks its Winograd buffers take over three times torch's memory for no gain.
    """
    compact = model.architecture is Architecture.COMPACT
    return wanted if compact and dtype == "float32" else Engine.TORCH


def network_dtype(model: ModelFacts, wanted: NumberFormat) -> NumberFormat:
    """The number format for a network on a stack that prefers `wanted`; else float32."""
    return wanted if wanted in model.dtypes else "float32"


def weights_file(model: ModelName) -> str:
    """File name of a catalogue model's weights."""
    return f"{model.value}.safetensors"
