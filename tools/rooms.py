"""The rooms of the repository, one sentence each, from the packages' own docstrings."""

from pathlib import Path

from tools.source import PACKAGES, REPOSITORY, docstring

AROUND = ("tests", "tools", "benchmarks")
DEEPEST = {"tests": 3}
"""How many folders deep a package is listed; tests below that mirror the rooms."""


def rooms_table() -> str:
    """Every package, nested as its folders are, with the first sentence of its docstring."""
    rows = [
        f"| {room_name(package)} | {first_sentence(docstring(package))} |"
        for top in (*PACKAGES, *AROUND)
        for package in packages(REPOSITORY / top)
        if depth(package) <= DEEPEST.get(top, depth(package))
    ]
    return "\n".join(["| room | what it holds |", "| --- | --- |", *rows])


def packages(top: Path) -> list[Path]:
    """A package and all below it, each before those that it contains."""
    return sorted(path.parent for path in top.rglob("__init__.py"))


def depth(package: Path) -> int:
    return len(package.relative_to(REPOSITORY).parts)


def room_name(package: Path) -> str:
    """A room of its own in bold, a room inside it by its whole path."""
    name = f"`{package.relative_to(REPOSITORY)}/`"
    return f"**{name}**" if depth(package) == 1 else name


def first_sentence(text: str) -> str:
    """A docstring's first paragraph on one line, as a cell of a table."""
    return " ".join(text.split("\n\n")[0].split()).replace("|", r"\|")
