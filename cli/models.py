"""Users' models on this machine: told apart from names, looked at once, kept by their hash."""

import hashlib
import subprocess
import sys
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path
from pydantic import ValidationError

from cli.embedded import ROOT
from cli.errors import UserError
from contracts.keys import model_facts_key, model_weights_key, parse_stored_model, stored_model
from contracts.models import ModelFacts, ModelName, StoredModel


def models_dir() -> Path:
    """Where models that were looked at lie, as a stack stores them."""
    return user_cache_path("superres", appauthor=False) / "models"


def model_file(name: str) -> Path | None:
    """The file that `--model` names, or None: then it is a model's name, or wrong.

    Raises UserError where it looks like a file and is none.
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


def inspected(path: Path) -> str:
    """Look at a model's file, unless that was done before; its name for the settings.

    Raises UserError with the sentence, and the exit code, of whoever refused it.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _known(digest):
        return stored_model(digest)
    command = [sys.executable, "-m", "containers.upscaler", "inspect", str(path.absolute())]
    command += ["--to", str(models_dir()), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(f"--model {path}: {reason.removeprefix('error: ')}", done.returncode)
    facts = ModelFacts.model_validate_json(done.stdout)
    return stored_model(str(facts.weights_sha256))


def stored_files(digest: str) -> dict[str, Path]:
    """The files of a model that was looked at, by the keys they get. Raises UserError."""
    if not _known(digest):
        raise UserError(
            f"--model {stored_model(digest)} is not in {models_dir()}; name its file once instead"
        )
    return {key: _path(key) for key in (model_weights_key(digest), model_facts_key(digest))}


def _known(digest: str) -> bool:
    facts, weights = _path(model_facts_key(digest)), _path(model_weights_key(digest))
    try:
        StoredModel.model_validate_json(facts.read_bytes())
    except (OSError, ValidationError):  # never seen, or by another version of this program
        return False
    return weights.is_file()


def _path(key: str) -> Path:
    return models_dir() / PurePosixPath(key).name
