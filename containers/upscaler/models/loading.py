"""The one function that loads a model."""

from pathlib import Path

from containers.common.runtime.errors import WorkerError
from containers.upscaler.device.target import Target
from containers.upscaler.models.number_formats import require_dtype
from containers.upscaler.models.upscaler import DeviceChoice, Upscaler
from contracts.film.manifest import Inference
from contracts.models import CATALOGUE
from contracts.names import ExitCode


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
    from containers.upscaler.host.malloc import keep_large_blocks

    keep_large_blocks()
    from containers.upscaler.models.network_upscaler import load_network

    return load_network(inference, target, model_dir=model_dir, device=device)
