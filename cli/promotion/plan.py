"""Promotion: the next stack is given what the one before it runs, byte for byte.

The record is the next stack's file: the images' digests and the commit. Nothing is built anew.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.errors import UserError
from cli.promotion.image_registry import ImageRegistry, ScannedImage
from cli.promotion.stack_files import StackFile
from cli.promotion.stack_outputs import RunningImages
from contracts.base import either
from contracts.stack.images import ImageName, ImageReference, promoted_tag

ORDER = ("dev", "staging", "prod")
"""A promotion goes one step along it."""

MakeRegistry = Callable[[str], ImageRegistry]
"""From an ECR repository to its registry."""


@dataclass(frozen=True, kw_only=True)
class PromotedImage:
    """One image's part of a promotion."""

    old: str
    """What the target's file names so far, or none."""
    new: ImageReference
    tag: str
    """Keeps the image in its repository."""
    scanned: ScannedImage


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What will be done; all of it has been checked."""

    source: str
    target: str
    file: StackFile
    """The target's."""
    commit: str
    old_commit: str
    images: Mapping[ImageName, PromotedImage]

    @property
    def changed(self) -> bool:
        """Whether the target's file names anything else so far."""
        return self.commit != self.old_commit or any(
            image.old != str(image.new) for image in self.images.values()
        )


def check_order(source: str, target: str) -> None:
    """Raises UserError: prod is given what staging has tried, and nothing else."""
    steps = list(itertools.pairwise(ORDER))
    if (source, target) not in steps:
        allowed = either(f"{a} to {b}" for a, b in steps)
        raise UserError(f"cannot promote {source!r} to {target!r}; choose {allowed}")


def check_record(file: StackFile, running: RunningImages) -> None:
    """Raises UserError where a stack's file names other images than the stack runs."""
    stack = running.stack
    if file.get("images") == "build":
        return
    for image, reference in running.images.items():
        if file.get(image.setting) != str(reference):
            raise UserError(
                f"{stack} does not run what {file.path.name} says of {image.setting}: it runs "
                f"{reference}; deploy {stack} first"
            )
    if file.get("commit") != running.commit:
        raise UserError(
            f"{stack} runs commit {running.commit}, but {file.path.name} says "
            f"{file.get('commit')}; deploy {stack} first"
        )


def plan_promotion(
    running: RunningImages,
    target: str,
    project: Path,
    *,
    registry: MakeRegistry,
    accept_critical: bool = False,
) -> Promotion:
    """Check everything and change nothing. `project` is the folder of the stack files.

    Raises UserError.
    """
    check_order(running.stack, target)
    check_record(StackFile.of(project, running.stack), running)
    file = StackFile.of(project, target)
    if file.get("images") not in (None, "digest"):
        raise UserError(
            f"{file.path} says images: {file.get('images')}; only a stack that names its images "
            "by digest can be given some"
        )
    images: dict[ImageName, PromotedImage] = {}
    for image, reference in running.images.items():
        scanned = registry(reference.repository).inspect(reference)
        if scanned.critical and not accept_critical:
            raise UserError(
                f"the scan of {reference} has {scanned.critical} critical findings; fix them, or "
                "pass --accept-critical"
            )
        images[image] = PromotedImage(
            old=str(file.get(image.setting) or "none"),
            new=reference,
            tag=promoted_tag(target, running.commit, reference.digest),
            scanned=scanned,
        )
    return Promotion(
        source=running.stack,
        target=target,
        file=file,
        commit=running.commit,
        old_commit=str(file.get("commit") or "none"),
        images=images,
    )


def carry_out(promotion: Promotion, registry: MakeRegistry) -> None:
    """Tag the images, so that they never expire; then write the record. Raises UserError.

    The file comes last: a record of images that are not kept would be worse than none.
    """
    for image in promotion.images.values():
        registry(image.new.repository).tag(image.new, image.scanned, image.tag)
    if promotion.changed:
        settings = {name.setting: str(image.new) for name, image in promotion.images.items()}
        promotion.file.write({**settings, "commit": promotion.commit})
