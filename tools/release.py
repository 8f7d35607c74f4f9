"""`python -m tools.release v1.2.3`: check that a tag may be released, and print its notes.

A tag equals `project.version` of pyproject.toml behind a `v`, and the changelog has a section of
that version. The standard library is all this needs, for it runs before anything is installed.
"""

import re
import sys
import tomllib

from tools.source import REPOSITORY


class ReleaseError(Exception):
    """A tag that cannot be released; the text says what to do."""


def check_tag(tag: str, pyproject: str) -> str:
    """The version that a tag names. Raises ReleaseError if it is not the project's."""
    version: str = tomllib.loads(pyproject)["project"]["version"]
    if tag != f"v{version}":
        raise ReleaseError(
            f"tag {tag!r} is not 'v' and the version in pyproject.toml, {version!r}; "
            "change the version in a commit, then tag that commit"
        )
    return version


def notes(version: str, changelog: str) -> str:
    """The changelog's section of a version, without its heading.

    Raises ReleaseError if there is none, or nothing in it.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$"
    section = re.search(heading + r"\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if section is None or not section[1].strip():
        raise ReleaseError(
            f"CHANGELOG.md has no entries under '## [{version}] - YEAR-MONTH-DAY'; "
            "move what is under [Unreleased] there"
        )
    return section[1].strip() + "\n"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tools.release TAG\n")
        return 2
    try:
        version = check_tag(arguments[0], (REPOSITORY / "pyproject.toml").read_text())
        sys.stdout.write(notes(version, (REPOSITORY / "CHANGELOG.md").read_text()))
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
