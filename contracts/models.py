"""The catalogue of upscaling models: what planner, worker and command line must agree on.

The networks are Real-ESRGAN's (Wang et al., https://arxiv.org/abs/2107.10833; BSD-3-Clause).
Receptive radius: the halo, in source pixels, beyond which a pixel cannot reach the output.
Cost: floating point operations per source pixel at the network's native scale.
"""

from enum import StrEnum

from contracts.base import Contract


class ModelName(StrEnum):
    LANCZOS = "lanczos"
    ANIMEVIDEOV3 = "animevideov3"
    X4PLUS_ANIME = "x4plus-anime"
    X4PLUS = "x4plus"


class ModelFacts(Contract):
    """What is known of a model without loading it."""

    native_scale: int | None
    """The network's own factor; None where any factor is native."""
    radius: int
    flop_per_pixel: float
    weights_sha256: str | None
    """SHA-256 of the safetensors file, None where there are no weights."""


CATALOGUE: dict[ModelName, ModelFacts] = {
    ModelName.LANCZOS: ModelFacts(
        native_scale=None, radius=4, flop_per_pixel=2_000.0, weights_sha256=None
    ),
    ModelName.ANIMEVIDEOV3: ModelFacts(
        native_scale=4,
        radius=18,
        flop_per_pixel=1.238e6,
        weights_sha256="cb17c34b98057c0844efbd2de6b731c7b19796d83e69c126aa240aa9c9d87071",
    ),
    ModelName.X4PLUS_ANIME: ModelFacts(
        native_scale=4,
        radius=94,
        flop_per_pixel=11.41e6,
        weights_sha256="e9a1a408cd5c292bcb20773c2a2ee9ed50740876dbb88ff1a96ee6443833dfad",
    ),
    ModelName.X4PLUS: ModelFacts(
        native_scale=4,
        radius=349,
        flop_per_pixel=35.85e6,
        weights_sha256="f50be333a014fd51258d297e69110e7c70f8bcfdfb4d5720d6bdd5287c537d73",
    ),
}
"""Hashes are of what `python -m containers.upscaler weights` writes; a test compares them."""


def weights_file(model: ModelName) -> str:
    """Name of a model's file in a weights folder."""
    return f"{model.value}.safetensors"
