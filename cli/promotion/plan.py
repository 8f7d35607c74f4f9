"""Promotion: what one stack runs becomes what the next one is given, byte for byte.

The record is the next stack's file: the images' digests and the commit. Nothing is built anew.
"""

import itertools
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import UserError
from cli.promotion.image_registry import Found, ImageRegistry
from cli.promotion.stack_files import StackFile
from contracts.base import ContractError
from contracts.stack.images import (
    ImageName,
    ImageReference,
    is_commit,
    promoted_tag,
)

ORDER = ("dev", "staging", "prod")
"""A promotion goes one step along it."""

MakeRegistry = Callable[[str], ImageRegistry]
"""From an ECR repository to its registry."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a stack runs, as its own outputs say."""

    images: Mapping[ImageName, ImageReference]
    commit: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One image's part of a promotion."""

    old: str
    new: ImageReference
    tag: str
    found: Found


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """Everything that was checked and will be done."""

    source: str
    target: StackFile
    target_name: str
    commit: str
    old_commit: str
    steps: Mapping[ImageName, Step]

    @property
    def changed(self) -> bool:
        return self.commit != self.old_commit or any(
            step.old != str(step.new) for step in self.steps.values()
        )


def check_order(source: str, target: str) -> None:
    """Raises UserError: prod is given what staging has tried, and nothing else."""
    allowed = list(itertools.pairwise(ORDER))
    if (source, target) not in allowed:
        known = " and ".join(f"{a} to {b}" for a, b in allowed)
        raise UserError(f"cannot promote {source!r} to {target!r}; allowed are {known}")


def stack_outputs(project: Path, stack: str) -> dict[str, Any]:
    """What the stack says of itself. Raises UserError."""
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
        raise UserError(f"pulumi cannot tell what {stack} runs: {reason}")
    return _outputs(done.stdout, f"pulumi's outputs of {stack}")


def file_outputs(path: Path) -> dict[str, Any]:
    """Outputs saved by `pulumi stack output --json`. Raises UserError."""
    try:
        return _outputs(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--outputs {path} cannot be read: {error}") from error


def _outputs(text: str, origin: str) -> dict[str, Any]:
    try:
        outputs = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{origin}: not JSON: {error}") from error
    if not isinstance(outputs, dict):
        raise UserError(f"{origin}: expected an object with the stack's outputs")
    return outputs


def running(stack: str, outputs: Mapping[str, Any], commit: str | None) -> Running:
    """Raises UserError where the outputs do not name images by digest and a commit."""
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
    return Running(images=images, commit=recorded)


def check_record(stack: str, file: StackFile, now: Running) -> None:
    """Raises UserError where a stack's file names other images than the stack runs."""
    if file.get("images") == "build":
        return
    for image, reference in now.images.items():
        if file.get(image.setting) != str(reference):
            raise UserError(
                f"{stack} does not run what {file.path.name} says of {image.setting}: it runs "
                f"{reference}; deploy {stack} first"
            )
    if file.get("commit") != now.commit:
        raise UserError(
            f"{stack} runs commit {now.commit}, but {file.path.name} says {file.get('commit')}; "
            f"deploy {stack} first"
        )


def plan(
    project: Path,
    source: str,
    target: str,
    now: Running,
    registry: MakeRegistry,
    *,
    accept_critical: bool = False,
) -> Promotion:
    """Look at everything, change nothing. Raises UserError."""
    check_order(source, target)
    check_record(source, StackFile.of(project, source), now)
    file = StackFile.of(project, target)
    if file.get("images") not in (None, "digest"):
        raise UserError(
            f"{file.path} says images: {file.get('images')}; only a stack that names its images "
            "by digest can be given some"
        )
    steps: dict[ImageName, Step] = {}
    for image, reference in now.images.items():
        found = registry(reference.repository).inspect(reference)
        if found.critical and not accept_critical:
            raise UserError(
                f"the scan of {reference} has {found.critical} critical findings; fix them, or "
                "pass --accept-critical"
            )
        steps[image] = Step(
            old=str(file.get(image.setting) or "none"),
            new=reference,
            tag=promoted_tag(target, now.commit, reference.digest),
            found=found,
        )
    return Promotion(
        source=source,
        target=file,
        target_name=target,
        commit=now.commit,
        old_commit=str(file.get("commit") or "none"),
        steps=steps,
    )


def carry_out(promotion: Promotion, registry: MakeRegistry) -> None:
    """Tag the images, so that they never expire; then write the record. Raises UserError.

    The file comes last: a record of images that are not kept would be worse than none.
    """
    for step in promotion.steps.values():
        registry(step.new.repository).tag(step.new, step.found, step.tag)
    if promotion.changed:
        settings = {image.setting: str(step.new) for image, step in promotion.steps.items()}
        promotion.target.write({**settings, "commit": promotion.commit})
