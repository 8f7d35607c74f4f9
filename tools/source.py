"""The repository's own source: its modules, their imports, and the docstrings of its packages."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("contracts", "components", "lambdas", "containers", "cli", "local", "policy")
"""The packages that run; `tests`, `tools` and `benchmarks` stand around them."""


def files(room: str) -> list[Path]:
    """All Python files of a room, given by its path, e.g. `containers/media`; or that one file."""
    place = REPOSITORY / room
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def module_of(path: Path) -> str:
    """A file's dotted name; a package's file keeps its `__init__`."""
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


@cache
def sources(*rooms: str) -> dict[str, str]:
    """From each module's dotted name to its text, over all files of the rooms."""
    return {module_of(path): path.read_text() for room in rooms for path in files(room)}


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of everything that a module imports, wherever it stands."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def docstring(package: Path) -> str:
    """What a package's `__init__.py` says of it; empty if it says nothing."""
    return ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
