"""Replaces ministack's private names, and refuses to start if one is missing."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from types import ModuleType
from typing import Any

from local.emulator.settings import MINISTACK_VERSION

Needs = Mapping[str, Iterable[str]]
"""Names by module that a patch calls or replaces."""


class PatchError(Exception):
    """The installed ministack is not the one that the patches were written for."""


def verify(all_needs: Iterable[Needs]) -> None:
    """Raises PatchError with one sentence that lists every missing name."""
    missing = sorted(
        f"{module}.{name}"
        for needs in all_needs
        for module, names in needs.items()
        for name in names
        if not hasattr(importlib.import_module(module), name)
    )
    if missing:
        raise PatchError(
            f"ministack {version('ministack')} lacks {', '.join(missing)}, which the embedded AWS "
            f"patches; install ministack=={MINISTACK_VERSION}."
        )


def wrap(module: ModuleType, name: str, make: Callable[[Any], Any]) -> None:
    """Replace `module.name` by what `make` returns for the original."""
    setattr(module, name, make(getattr(module, name)))
