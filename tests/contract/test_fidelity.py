"""docs/fidelity.md claims nothing that no test proves."""

import ast
import re

import pytest

from tests.infra.support.recorder import REPOSITORY

PAGE = (REPOSITORY / "docs" / "fidelity.md").read_text()
UNIT = REPOSITORY / "tests" / "unit"
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]


def functions(name: str) -> set[str]:
    tree = ast.parse((UNIT / name).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_rows_to_look_at() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize(("name", "test"), NAMED)
def test_every_test_named_exists(name: str, test: str) -> None:
    assert test in functions(name), f"{name} has no {test}"


def test_every_row_names_a_test() -> None:
    heads = {row for row, below in zip(PAGE.splitlines(), PAGE.splitlines()[1:], strict=False)
             if below.startswith("| ---")}  # fmt: skip
    bare = [r for r in ROWS if r not in heads and "::" not in r and "the same |" not in r]
    assert bare == []
