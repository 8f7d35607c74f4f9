"""One key over everything that decides what a deployment creates."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

_FOLDERS = ("components", "contracts", "lambdas", "local")
_DISTRIBUTIONS = ("ministack", "pulumi", "pulumi-aws", "boto3")


def fingerprint(project: Path, stack: str, overrides: Mapping[str, str]) -> str:
    """SHA-256 in hex over the program's sources, its settings and the versions that run it."""
    digest = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "big") + data)

    add(sys.version, stack, *(f"{name}={version(name)}" for name in _DISTRIBUTIONS))
    for name in sorted(overrides):
        add(name, overrides[name])
    for path in sorted(_sources(project)):
        add(str(path.relative_to(project)), path.read_bytes())
    own = Path(__file__).parent
    if not own.is_relative_to(project):
        for path in sorted(own.rglob("*.py")):
            add(path.read_bytes())
    return digest.hexdigest()


def _sources(project: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        for path in (project / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
    yield from project.glob("*.py")
    yield from project.glob("Pulumi*.yaml")
