"""One word for one thing: a public class has one home, and tests use what is public."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tools.source import PACKAGES, imports, sources

CODE = (*PACKAGES, "tools", "benchmarks", "registry")


def public_classes(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def is_test(module: str) -> bool:
    return module.rpartition(".")[2].startswith("test_")


def test_a_public_class_is_defined_once() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module, source in sources(*CODE).items():
        for name in public_classes(source):
            homes[name].append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_a_test_module_imports_from_no_other() -> None:
    found = [
        f"{module}:{line} imports {name}"
        for module, source in sources("tests").items()
        for line, name in imports(source, module)
        if name.startswith("tests.") and (is_test(name) or is_test(name.rpartition(".")[0]))
    ]
    assert found == []


def test_tests_import_nothing_private_of_ours() -> None:
    rooms = {*CODE, "tests"}
    found = [
        f"{module}:{line} imports {name}"
        for module, source in sources("tests").items()
        for line, name in imports(source, module)
        if name.split(".")[0] in rooms
        and any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    ]
    assert found == []
