"""The models: what is known of each, and the one function that loads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from containers.common.worker import WorkerError
from contracts.manifest import Inference
from contracts.models import CATALOGUE, Engine, ModelName
from contracts.names import ExitCode

Frames = NDArray[np.uint8 | np.uint16]
"""RGB pictures, shape (n, height, width, 3), full range of the type."""
DeviceChoice = Literal["auto", "cpu", "cuda"]


class Upscaler(Protocol):
    """A loaded model on its device. Use it from the thread that loaded it."""

    device: str
    """For people, e.g. `cpu` or `NVIDIA L4`."""
    versions: Mapping[str, str]
    """Of the libraries that compute the pixels."""

    @property
    def tile(self) -> int:
        """Side of the tiles in use; 0: none."""
        ...

    def device_memory_mib(self) -> int:
        """Peak on the device so far; 0 where that is the process's own memory."""
        ...

    def upscale(self, frames: Frames) -> Frames:
        """Enlarge 1 to `batch` pictures to the output's size; same type, same order."""
        ...


@dataclass(frozen=True)
class SizeRule:
    """What pictures a network takes; others are padded at the right and the bottom."""

    minimum: int = 1
    multiple: int = 1


@dataclass(frozen=True)
class Descriptor:
    """What a worker must know of a model before it loads it."""

    name: ModelName
    scale: int | None
    """The network's own factor; None where any factor is native."""
    size: SizeRule
    radius: int
    """Halo in source pixels beyond which nothing reaches a pixel of the result."""
    dtypes: Mapping[tuple[Engine, str], tuple[str, ...]]
    """By engine and kind of device, the number formats it computes in."""
    weights_sha256: str | None
    licence: str


_NETWORK_DTYPES = {
    (Engine.TORCH, "cpu"): ("float32", "bfloat16"),
    (Engine.TORCH, "cuda"): ("float32", "float16", "bfloat16"),
    (Engine.NCNN, "cpu"): ("float32",),
}
_LANCZOS_DTYPES = {(Engine.OPENCV, "cpu"): ("uint8", "uint16")}


def describe(name: ModelName) -> Descriptor:
    """The descriptor of a model of the catalogue."""
    facts = CATALOGUE[name]
    network = facts.weights_sha256 is not None
    return Descriptor(
        name=name,
        scale=facts.native_scale,
        size=SizeRule(),
        radius=facts.radius,
        dtypes=_NETWORK_DTYPES if network else _LANCZOS_DTYPES,
        weights_sha256=facts.weights_sha256,
        licence="BSD-3-Clause" if network else "Apache-2.0",
    )


def load_upscaler(
    inference: Inference, size: tuple[int, int], *, model_dir: Path, device: DeviceChoice
) -> Upscaler:
    """Load a model for pictures that become `size` = (width, height).

    Raises WorkerError UNSUPPORTED where this worker cannot do exactly what `inference` asks:
    other weights, no such device, a number format or thread count that the device does not have.
    """
    network = _load(inference, size, model_dir=model_dir, device=device)
    if inference.strength == 1:
        return network
    from containers.upscaler.models.blend import Blend

    return Blend(network, size, inference.strength)


def _load(
    inference: Inference, size: tuple[int, int], *, model_dir: Path, device: DeviceChoice
) -> Upscaler:
    descriptor = describe(inference.model)
    if inference.weights_sha256 != descriptor.weights_sha256:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned with weights {inference.weights_sha256} of "
            f"{inference.model.value}, this worker has {descriptor.weights_sha256}; "
            "start the job again or run it with the image that planned it",
        )
    if descriptor.scale is None:
        from containers.upscaler.models.lanczos import Lanczos

        require_dtype(descriptor, inference.engine, "cpu", inference.dtype)
        return Lanczos(size, inference.threads)
    from containers.upscaler.malloc import keep_large_blocks

    keep_large_blocks()
    from containers.upscaler.models.network_upscaler import load_network

    return load_network(inference, size, model_dir=model_dir, device=device)


def require_dtype(descriptor: Descriptor, engine: Engine, kind: str, dtype: str) -> None:
    """Raises WorkerError UNSUPPORTED where a model does not compute so on that device."""
    if dtype not in descriptor.dtypes.get((engine, kind), ()):
        known = "; ".join(
            f"{name.value} on {where}: {', '.join(types)}"
            for (name, where), types in descriptor.dtypes.items()
        )
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{descriptor.name.value} does not compute in {dtype} with {engine.value} on {kind} "
            f"({known}); plan the job so or run it on another worker",
        )
