"""`python -m tools.docs`: write anew every part of a document that is made from the program."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.infra.recorder import REPOSITORY
from tools import costs, diagram, settings

Update = Callable[[str], str]


def between(name: str, content: Callable[[], str]) -> Update:
    """Fill the space between `<!-- name -->` and `<!-- /name -->`."""

    def update(text: str) -> str:
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"expected {begin} and {end} once")
        return pattern.sub(lambda _: f"{begin}\n{content()}\n{end}", text)

    return update


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
