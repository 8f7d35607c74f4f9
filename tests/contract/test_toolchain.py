"""What sets the project up says the same everywhere, and says clearly what is missing."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.infra.support.recorder import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
CHECKS = yaml.safe_load((REPOSITORY / ".github/workflows/checks.yml").read_text())
HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())


def interpreter(folder: Path, script: str) -> Path:
    """A stand-in for Python that answers every `-c` like this."""
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def make(*arguments: str, stamp: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "setup", f"VENV={stamp}", *arguments]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def test_python_is_bounded_alike_in_the_project_the_makefile_and_the_checks() -> None:
    lowest, highest = re.findall(r"\((3), (\d+)\)", MAKEFILE)
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    minors = [minor for minor in range(30) if f"3.{minor}.5" in supported]
    assert (minors[0], minors[-1]) == (int(lowest[1]), int(highest[1]))
    matrix = CHECKS["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == [f"3.{minors[0]}", f"3.{minors[-1]}"]
    assert PROJECT["tool"]["basedpyright"]["pythonVersion"] == f"3.{minors[0]}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py3{minors[0]}"


def test_another_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = make(f"PYTHON={interpreter(tmp_path, 'exit 1')}", stamp=tmp_path / "venv")
    assert done.returncode
    first, *_ = done.stderr.splitlines()
    assert first == "Python 3.11 to 3.13 is needed; set PYTHON=/path/to/python3"
    assert not (tmp_path / "venv").exists()


def test_a_missing_venv_names_the_package_to_install(tmp_path: Path) -> None:
    python = interpreter(tmp_path, 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    done = make(f"PYTHON={python}", stamp=tmp_path / "venv")
    assert done.returncode
    assert "apt install python3-venv" in done.stderr.splitlines()[0]


@pytest.mark.parametrize("target", ["lint", "check"])
def test_hooks_run_what_the_makefile_runs(target: str) -> None:
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    entries = {hook["entry"] for repo in HOOKS["repos"] for hook in repo["hooks"]}
    if target == "check":
        assert "make check" in entries
    else:
        commands = {line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()}
        wanted = {entry.replace(" --fix", " .") for entry in entries} | {
            ".venv/bin/ruff format --check ."
        }
        assert commands <= wanted


def test_every_tier_has_its_target() -> None:
    tiers = {p.parent.name for p in (REPOSITORY / "tests").glob("*/__init__.py")} - {"support"}
    targets = set(re.findall(r"\btest-(\w+)", MAKEFILE.split("help:")[0]))
    assert targets == tiers
