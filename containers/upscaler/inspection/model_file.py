"""Inspects a user's model: checks that its file holds only weights, and measures its facts.

The result is the two files that a stack stores (docs/decisions/0036).
"""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from containers.common.runtime.worker import WorkerError
from containers.upscaler.inspection.network_facts import measure_network
from containers.upscaler.models.engines.spandrel_engine import load_spandrel, recognise
from containers.upscaler.weights.cache import write_atomically
from contracts.limits import MODEL_BYTES_MAX
from contracts.models import ModelFacts, StoredModel
from contracts.names import ExitCode

_PICKLES = (b"PK\x03\x04", b"\x80\x02")
"""How files of torch.save begin: a zip with tensors, or a bare pickle before PyTorch 1.6."""
_LICENCES = ("license", "licence", "modelspec.license")
_LICENCE_CHARS = 500
_RGB = 3


@dataclass(frozen=True)
class InspectedModel:
    """A model ready to be stored. Both files are named after the weights' SHA-256."""

    facts: ModelFacts
    facts_path: Path
    weights_path: Path


@dataclass(frozen=True)
class ModelWeights:
    """What a model's file holds."""

    tensors: dict[str, Tensor]
    """By the parameter's name."""
    stored: bytes
    """The same as a safetensors file."""
    licence: str | None = None


def inspect(path: Path, folder: Path) -> InspectedModel:
    """Inspect a model's file and write its weights and its facts into `folder`.

    Raises WorkerError: BAD_SOURCE for a file that holds more or other than weights, LIMIT_EXCEEDED
    for one that is too large, UNSUPPORTED for a network that cannot upscale film here.
    """
    load_spandrel()
    weights = read_model(path)
    digest = hashlib.sha256(weights.stored).hexdigest()
    network = recognise(weights.tensors, path.name)
    _require_pictures(network, path.name)
    facts = measure_network(
        network,
        name=f"{network.architecture.name} ({path.name})",
        sha256=digest,
        licence=weights.licence,
    )
    folder.mkdir(parents=True, exist_ok=True)
    made = InspectedModel(facts, folder / f"{digest}.json", folder / f"{digest}.safetensors")
    write_atomically(made.weights_path, weights.stored)
    write_atomically(made.facts_path, StoredModel(facts=facts).to_json().encode())
    return made


def read_model(path: Path) -> ModelWeights:
    """Read the weights of a safetensors file, or of one of torch.save without running its code.

    A safetensors file is stored unchanged, so that its SHA-256 stays the same. Raises WorkerError:
    BAD_SOURCE for a file that holds more or other than weights, LIMIT_EXCEEDED for one too large.
    """
    try:
        size = path.stat().st_size
        if size > MODEL_BYTES_MAX:
            raise WorkerError(
                ExitCode.LIMIT_EXCEEDED,
                f"{path} has {size} bytes; a model may have at most {MODEL_BYTES_MAX}; "
                "save only the weights, in float16",
            )
        with path.open("rb") as file:
            start = file.read(4)
        if start.startswith(_PICKLES):
            return _read_pickle(path)
        return _read_safetensors(path)
    except OSError as error:
        raise WorkerError(ExitCode.BAD_SOURCE, f"{path}: {error.strerror}") from error


def _read_safetensors(path: Path) -> ModelWeights:
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
        data = path.read_bytes()
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise WorkerError(
            ExitCode.BAD_SOURCE,
            f"{path} is not a model: neither a safetensors file nor one of torch.save ({error})",
        ) from error
    licence = next((metadata[name] for name in _LICENCES if metadata.get(name)), None)
    return ModelWeights(tensors, data, licence and licence[:_LICENCE_CHARS])


def _read_pickle(path: Path) -> ModelWeights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WorkerError(
            ExitCode.BAD_SOURCE,
            f"{path} holds more than weights, and loading it would run code from its author; "
            "save only its weights: torch.save(model.state_dict(), file), or as safetensors",
        ) from error
    except Exception as error:  # torch has no error class for truncated or foreign files
        raise WorkerError(
            ExitCode.BAD_SOURCE,
            f"{path} is not a complete file of torch.save ({type(error).__name__}); "
            "fetch it again, or give the model as safetensors",
        ) from error
    tensors = _tensors(content, path)
    return ModelWeights(tensors, safetensors.torch.save(tensors))


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """Take the state dict out of the dicts that training programs wrap it in."""
    from spandrel import canonicalize_state_dict

    found = canonicalize_state_dict(content) if isinstance(content, dict) else {}
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WorkerError(
            ExitCode.BAD_SOURCE,
            f"{path} holds no weights by name; save them with torch.save(model.state_dict(), file)",
        )
    return {str(name): value.detach().clone().contiguous() for name, value in tensors.items()}


def _require_pictures(network: Any, name: str) -> None:
    """Check that the network takes one RGB picture of any size and gives one."""
    from spandrel import ImageModelDescriptor

    kind = network.architecture.name
    if not isinstance(network, ImageModelDescriptor) or network.purpose == "FaceSR":
        raise _unfit(f"{name} is {kind}, which needs a mask or an aligned face besides the picture")
    channels = (network.input_channels, network.output_channels)
    if channels != (_RGB, _RGB):
        raise _unfit(f"{name} takes {channels[0]} channels and gives {channels[1]}, not RGB")
    if network.size_requirements.square:
        raise _unfit(f"{name} is {kind}, which takes only square pictures")


def _unfit(reason: str) -> WorkerError:
    return WorkerError(ExitCode.UNSUPPORTED, f"{reason}; films need a network from RGB to RGB")
