"""Loads a model: the only way from a job's plan to an Upscaler."""

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
    """Load the model of `inference`, whose results get the size and format of `target`.

    `model_dir` holds the weights. Raises WorkerError UNSUPPORTED where this worker cannot do
    exactly what `inference` asks: its weights, device, number format or thread count differ.
    """
    facts = inference.facts
    if inference.weights is None and facts not in CATALOGUE.values():
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned with other facts of {facts.name}, or other weights, than "
            "this worker has; start the job again or run it with the image that planned it",
        )
    if facts.native_scale is None:
        from containers.upscaler.models.lanczos import LanczosUpscaler

        require_dtype(facts, inference.engine, kind="cpu", dtype=inference.dtype)
        return LanczosUpscaler(target, inference.threads)
    from containers.upscaler.host.malloc import keep_large_blocks

    keep_large_blocks()
    from containers.upscaler.models.network_upscaler import load_network

    return load_network(inference, target, model_dir=model_dir, device=device)
