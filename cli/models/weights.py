"""The weights of the catalogue's models, in this user's cache."""

import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

from cli.errors import UserError
from cli.files import ROOT
from contracts.models import CATALOGUE, ModelName, weights_file


def weights_dir() -> Path:
    """The folder of the weights, as safetensors; it need not exist yet."""
    return user_cache_path("superres", appauthor=False) / "weights"


def ensure_weights(model: ModelName) -> None:
    """Convert the weights into the cache unless they are there. Raises UserError."""
    facts, folder = CATALOGUE[model], weights_dir()
    if facts.weights_sha256 is None or (folder / weights_file(model)).is_file():
        return
    command = [sys.executable, "-m", "containers.upscaler", "weights", "--to", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"the weights of {model.value} are not in {folder}: {reason}")
