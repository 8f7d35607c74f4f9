"""`python -m tools.docs`: rewrite every part of a document that is made from the program."""

import sys
from pathlib import Path

from tests.infra.support.recorder import REPOSITORY
from tools import costs, diagram, settings
from tools.sections import Update, between

UPDATES: list[tuple[str, Update]] = [
    ("Pulumi.yaml", settings.project_file),
    ("docs/deploy.md", between("settings", settings.settings_table)),
    ("docs/deploy.md", between("stacks", settings.stacks_table)),
    ("docs/cost.md", between("idle", costs.idle_table)),
    ("docs/cost.md", between("film", costs.film_table)),
    ("docs/cost.md", between("rates", costs.rates_table)),
    ("docs/cost.md", between("example", costs.example_table)),
    ("docs/images/architecture.svg", lambda _: diagram.architecture()),
]


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def current() -> dict[str, str]:
    """Each document as it should be, by path."""
    documents: dict[str, str] = {}
    for name, update in UPDATES:
        documents[name] = update(documents.get(name) or written(REPOSITORY / name))
    return documents


def main() -> int:
    for name, text in current().items():
        path = REPOSITORY / name
        if written(path) != text:
            path.write_text(text)
            sys.stdout.write(f"{name}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
