"""Models that users bring: each file is inspected once and kept by the hash of its weights."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path
from pydantic import ValidationError

from cli.errors import UserError
from cli.files import ROOT
from contracts.keys import model_facts_key, model_weights_key, parse_stored_model, stored_model
from contracts.models import ModelFacts, ModelName, StoredModel

_REFUSAL = "error: "
"""Begins the sentence with which the inspecting process refuses a file."""


@dataclass(frozen=True, kw_only=True)
class UsersModel:
    """A model that was inspected, and its two files as a stack stores them."""

    facts: ModelFacts
    facts_path: Path
    weights_path: Path

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, in hexadecimal."""
        return str(self.facts.weights_sha256)

    @property
    def name(self) -> str:
        """As settings name it: `models/<sha256>`."""
        return stored_model(self.digest)

    @property
    def files(self) -> dict[str, Path]:
        """The two files, by the keys under which a stack stores them."""
        return {
            model_facts_key(self.digest): self.facts_path,
            model_weights_key(self.digest): self.weights_path,
        }


def models_dir() -> Path:
    """The folder of inspected models in this user's cache; it need not exist yet."""
    return user_cache_path("superres", appauthor=False) / "models"


def model_file(name: str) -> Path | None:
    """The file that `--model` names; None where it is the name of a model, or of nothing.

    Raises UserError where it looks like a path and leads to no file.
    """
    if name in list(ModelName) or parse_stored_model(name):
        return None
    path = Path(name)
    if path.is_file():
        return path
    if path.exists():
        raise UserError(f"--model {name} is not a file; name one .safetensors or .pth file")
    if path.suffix or len(path.parts) > 1:
        raise UserError(f"--model {name}: no such file; check the path")
    return None


def inspect_model(path: Path, folder: Path) -> UsersModel:
    """Inspect a model's file and keep it in `folder`; one that is kept is not inspected again.

    Raises UserError with the sentence and the exit code of the process that refused it.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path") from error
    return _find(digest, folder) or _inspect(path, folder)


def _inspect(path: Path, folder: Path) -> UsersModel:
    """In a process of its own: it takes what the command line must not import."""
    command = [sys.executable, "-m", "containers.upscaler", "inspect", str(path.absolute())]
    command += ["--to", str(folder.absolute()), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        if not reason.startswith(_REFUSAL):
            reason = f"{path} cannot be inspected: {reason}"
        raise UserError(reason.removeprefix(_REFUSAL), done.returncode)
    facts = ModelFacts.model_validate_json(done.stdout)
    return _kept(facts, str(facts.weights_sha256), folder)


def require_model(digest: str, folder: Path) -> UsersModel:
    """A model that was inspected before. Raises UserError where `folder` does not hold it."""
    model = _find(digest, folder)
    if model is None:
        raise UserError(
            f"--model {stored_model(digest)} is not in {folder}; name its file once instead"
        )
    return model


def _find(digest: str, folder: Path) -> UsersModel | None:
    facts_path = folder / PurePosixPath(model_facts_key(digest)).name
    try:
        facts = StoredModel.model_validate_json(facts_path.read_bytes()).facts
    except (OSError, ValidationError):  # never seen, or by another version of this program
        return None
    model = _kept(facts, digest, folder)
    return model if model.weights_path.is_file() else None


def _kept(facts: ModelFacts, digest: str, folder: Path) -> UsersModel:
    return UsersModel(
        facts=facts,
        facts_path=folder / PurePosixPath(model_facts_key(digest)).name,
        weights_path=folder / PurePosixPath(model_weights_key(digest)).name,
    )
