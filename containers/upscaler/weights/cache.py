"""The folder of models' weights: filled by conversion, checked by hash whenever a file is read."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from containers.common.runtime.storage import S3Store
from containers.common.runtime.worker import WorkerError
from containers.upscaler.weights.conversion import PACKAGES, convert_weights
from contracts.base import ObjectRef
from contracts.limits import MODEL_BYTES_MAX
from contracts.models import CATALOGUE, ModelFacts, ModelName, weights_file
from contracts.names import ExitCode


@dataclass(frozen=True)
class WeightsFile:
    """A file of the folder. `converted` is false if the file was there already."""

    model: ModelName
    path: Path
    sha256: str
    bytes: int
    converted: bool


def read_weights(folder: Path, model: ModelName) -> bytes:
    """Return the bytes of a model's safetensors file.

    Raises WorkerError UNSUPPORTED, with the command to run, where the file is missing or does not
    have the catalogue's SHA-256.
    """
    advice = f"run: python -m containers.upscaler weights --to {folder}"
    return _read_checked(folder / weights_file(model), CATALOGUE[model], advice)


def read_stored_weights(folder: Path, facts: ModelFacts) -> bytes:
    """Return the bytes of a user's model, whose SHA-256 the job pins.

    Raises WorkerError UNSUPPORTED where the file is missing or has another SHA-256.
    """
    advice = "store the model again"
    return _read_checked(folder / f"{facts.weights_sha256}.safetensors", facts, advice)


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
            f"{place} has {found.size} bytes; a model may have at most {MODEL_BYTES_MAX}",
        )
    store.download(weights.bucket, weights.key, folder / PurePosixPath(weights.key).name)


def _read_checked(path: Path, facts: ModelFacts, advice: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"the weights of {facts.name} are not at {path} ({error.strerror})"
        raise WorkerError(ExitCode.UNSUPPORTED, f"{reason}; {advice}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != facts.weights_sha256:
        reason = f"{path} has SHA-256 {found}, but {facts.name} should have {facts.weights_sha256}"
        raise WorkerError(ExitCode.UNSUPPORTED, f"{reason}; remove it and {advice}")
    return data


def fill_cache(folder: Path) -> list[WeightsFile]:
    """Write every model's weights into `folder`; convert only what is missing or wrong.

    Raises WorkerError UNSUPPORTED where a package is needed and not installed, or where converted
    weights do not have the catalogue's SHA-256.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_ensure_weights(folder, model) for model in PACKAGES]


def _ensure_weights(folder: Path, model: ModelName) -> WeightsFile:
    path = folder / weights_file(model)
    wanted = CATALOGUE[model].weights_sha256
    if path.is_file():
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == wanted:
            return WeightsFile(model, path, str(wanted), len(data), converted=False)
    data = convert_weights(model)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        package = PACKAGES[model]
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the weights of {model.value} converted from {package.name} {package.version} have "
            f"SHA-256 {found}, but the catalogue says {wanted}; reinstall the package",
        )
    write_atomically(path, data)
    return WeightsFile(model, path, found, len(data), converted=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
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
