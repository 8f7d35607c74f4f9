"""The models: what is known of each, and the one function that loads them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

from containers.common.pictures import Picture
from containers.common.worker import WorkerError
from containers.upscaler.colour import Bits, Converter
from contracts.film import Colour
from contracts.manifest import Inference, Manifest
from contracts.models import CATALOGUE, Engine, ModelFacts
from contracts.names import ExitCode

DeviceChoice = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the pictures are to become, and what their samples mean."""

    width: int
    height: int
    pixel_format: str
    """The encoder's, planar."""
    source_colour: Colour
    colour: Colour
    """Of the result: the source's, but for the range of ProRes."""
    bits: Bits
    """Of the RGB between them, where that is of integers."""
    chroma_location: int = 1
    """See film.Video; of the source, and of results in 4:2:0. Others have it left."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        by_dtype: dict[str, Bits] = {"uint8": 8, "uint16": 16}
        deep = manifest.video.bit_depth > 8
        return cls(
            width=manifest.output.width,
            height=manifest.output.height,
            pixel_format=manifest.encoder.pixel_format,
            source_colour=manifest.video.working_colour,
            colour=manifest.result_colour,
            chroma_location=manifest.video.chroma_location,
            bits=by_dtype.get(manifest.inference.dtype, 16 if deep else 8),
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height

    def converter(self) -> Converter:
        return Converter(self.source_colour, self.colour, self.pixel_format, self.bits)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Pending:
    """Pictures that a device is at work on."""

    pictures: Callable[[], list[Picture]]
    """Ask once: waits, then does what is left to do on the host."""
    wait: Callable[[], None] = _nothing


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

    @property
    def in_flight(self) -> int:
        """Batches worth beginning before the first one's pictures are asked for."""
        return 1

    @property
    def repeats(self) -> bool:
        """Whether equal pictures have equal results, whatever their timestamps."""
        return True

    def busy_seconds(self) -> float:
        """How long the device has computed, of all batches whose pictures were asked for."""
        ...

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """Enlarge 1 to `batch` pictures, all of one size and format, to what the target says.

        Same order, same timestamps. Batches are done in the order in which they were begun.
        """
        ...

    def upscale(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Begin a batch and wait for it."""
        return self.begin(pictures).pictures()


_FORMATS = {
    (Engine.TORCH, "cpu"): ("float32", "bfloat16"),
    (Engine.TORCH, "cuda"): ("float32", "float16", "bfloat16"),
    (Engine.NCNN, "cpu"): ("float32",),
    (Engine.OPENCV, "cpu"): ("uint8", "uint16"),
}
"""By engine and kind of device, the number formats it computes in."""


def load_upscaler(
    inference: Inference, target: Target, *, model_dir: Path, device: DeviceChoice
) -> Upscaler:
    """Load a model whose pictures become what `target` says.

    Raises WorkerError UNSUPPORTED where this worker cannot do exactly what `inference` asks:
    other weights, no such device, a number format or thread count that the device does not have.
    """
    facts = inference.facts
    if inference.weights is None and facts not in CATALOGUE.values():
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned with other facts of {facts.name}, or with other weights, than "
            "this worker has; start the job again or run it with the image that planned it",
        )
    if facts.native_scale is None:
        from containers.upscaler.models.lanczos import Lanczos

        require_dtype(facts, inference.engine, "cpu", inference.dtype)
        return Lanczos(target, inference.threads)
    from containers.upscaler.malloc import keep_large_blocks

    keep_large_blocks()
    from containers.upscaler.models.network_upscaler import load_network

    return load_network(inference, target, model_dir=model_dir, device=device)


def require_dtype(facts: ModelFacts, engine: Engine, kind: str, dtype: str) -> None:
    """Raises WorkerError UNSUPPORTED where a model does not compute so on that device."""
    possible = {
        (other, where): [name for name in formats if name in facts.dtypes]
        for (other, where), formats in _FORMATS.items()
        if other in (facts.bytes_per_pixel or (Engine.OPENCV,))
    }
    if dtype not in possible.get((engine, kind), ()):
        known = "; ".join(
            f"{name.value} on {where}: {', '.join(types)}"
            for (name, where), types in possible.items()
        )
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{facts.name} does not compute in {dtype} with {engine.value} on {kind} "
            f"({known}); plan the job so or run it on another worker",
        )
