"""What a release asks of its tag and of the changelog."""

import pytest

from tools.release import REPOSITORY, ReleaseError, check_tag, main, notes

PYPROJECT = '[project]\nname = "superres"\nversion = "1.2.3"\n'
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2026-12-01

### Added
- A thing.

## [1.2.2] - 2026-11-01

### Fixed
- An older thing.
"""


def test_a_tag_is_the_projects_version() -> None:
    assert check_tag("v1.2.3", PYPROJECT) == "1.2.3"


@pytest.mark.parametrize("tag", ["v1.2.4", "1.2.3", "v1.2.3-rc1", ""])
def test_another_tag_is_refused_with_both(tag: str) -> None:
    with pytest.raises(ReleaseError, match=r"pyproject\.toml, '1\.2\.3'") as error:
        check_tag(tag, PYPROJECT)
    assert repr(tag) in str(error.value)


def test_the_notes_are_the_versions_section() -> None:
    assert notes("1.2.3", CHANGELOG) == "### Added\n- A thing.\n"
    assert notes("1.2.2", CHANGELOG) == "### Fixed\n- An older thing.\n"


@pytest.mark.parametrize("version", ["1.2.4", "1.2", "Unreleased"])
def test_a_version_without_a_section_is_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match=r"CHANGELOG\.md has no entries"):
        notes(version, CHANGELOG)


def test_a_section_without_entries_is_refused() -> None:
    with pytest.raises(ReleaseError):
        notes("1.2.3", "## [1.2.3] - 2026-12-01\n\n## [1.2.2] - 2026-11-01\n- A thing.\n")


def test_the_command_says_in_one_sentence_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["v0.0.0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "'v0.0.0'" in err
    assert main([]) == 2


def test_the_changelog_keeps_its_form() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    kinds = {line for line in text.splitlines() if line.startswith("### ")}
    assert kinds <= {
        f"### {k}" for k in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    }
