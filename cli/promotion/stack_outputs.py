"""What a stack runs, read from the outputs of its Pulumi program."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import UserError
from contracts.base import ContractError
from contracts.stack.images import ImageName, ImageReference, is_commit


@dataclass(frozen=True, kw_only=True)
class RunningImages:
    """What a stack runs, by its own outputs."""

    stack: str
    images: Mapping[ImageName, ImageReference]
    commit: str
    """The full hash of the git commit that it was deployed from."""


def read_stack_outputs(project: Path, stack: str) -> dict[str, Any]:
    """Ask the pulumi command for the stack's outputs. Raises UserError."""
    command = ["pulumi", "stack", "output", "--json", "--stack", stack]
    try:
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError(
            "the pulumi command is not installed; install it, or pass the outputs of "
            f"{stack} with --outputs FILE"
        ) from error
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or "it gave no reason"
        raise UserError(f"pulumi does not say what {stack} runs: {reason}")
    return _parse_outputs(done.stdout, f"pulumi's outputs of {stack}")


def read_outputs_file(path: Path) -> dict[str, Any]:
    """Read outputs saved by `pulumi stack output --json`. Raises UserError."""
    try:
        return _parse_outputs(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--outputs {path} cannot be read: {error}") from error


def _parse_outputs(text: str, origin: str) -> dict[str, Any]:
    try:
        outputs = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{origin}: not JSON: {error}") from error
    if not isinstance(outputs, dict):
        raise UserError(f"{origin}: expected an object with the stack's outputs")
    return outputs


def running_images(stack: str, outputs: Mapping[str, Any], commit: str | None) -> RunningImages:
    """The images and the commit in a stack's outputs; `commit` replaces theirs.

    Raises UserError where they do not name images by digest, or no commit.
    """
    images: dict[ImageName, ImageReference] = {}
    for image in ImageName:
        try:
            images[image] = ImageReference.parse(str(outputs.get(image.setting, "")))
        except ContractError as error:
            raise UserError(
                f"{stack} runs no image to promote: {image.setting}: {error}"
            ) from error
    recorded = commit or str(outputs.get("commit", ""))
    if not is_commit(recorded):
        raise UserError(
            f"{stack} does not say which commit it runs (got {recorded!r}); deploy it with "
            "superres:commit set, or pass --commit with 40 hex digits"
        )
    return RunningImages(stack=stack, images=images, commit=recorded)
