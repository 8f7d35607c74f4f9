"""A stack's settings as Pulumi.yaml and docs/deploy.md show them, made from the settings model."""

import json
from typing import Any

import yaml

from components.settings import StackSettings
from contracts.setting_table import FieldFacts, field_facts
from tests.infra.support.recorder import REPOSITORY

STACKS = ("dev", "staging", "prod")

_CHARS = 48
"""A digest says little to the eye."""


def settings() -> list[FieldFacts]:
    """All of them, the required ones first, then part by part."""
    return sorted(field_facts(StackSettings), key=lambda s: (not s.required, _part(s.name)))


def _part(name: str) -> str:
    """What a setting is about: the module that holds it, such as compute."""
    owners = [c for c in StackSettings.__mro__ if name in vars(c).get("__annotations__", {})]
    return owners[-1].__module__.rpartition(".")[2]


def project_file(text: str) -> str:
    """Pulumi.yaml with its configuration schema made anew.

    A setting without a default that is left out stays undeclared: Pulumi would insist on it. Its
    schema knows no fractions; they travel as text.
    https://www.pulumi.com/docs/iac/concepts/config/#project-level-configuration
    """
    head, _, _ = text.partition("\nconfig:\n")
    declared = {s.name: _declaration(s) for s in settings() if s.required or s.default is not None}
    block = yaml.safe_dump({"config": declared}, sort_keys=False, width=100, allow_unicode=True)
    return f"{head}\n{block}"


def _declaration(setting: FieldFacts) -> dict[str, Any]:
    kind = "string" if setting.type == "number" else setting.type
    declared: dict[str, Any] = {"type": kind, "description": setting.description}
    if kind == "array":
        declared["items"] = {"type": "string"}
    if not setting.required:
        default = setting.default
        declared["default"] = str(default) if setting.type == "number" else default
    return declared


def settings_table() -> str:
    lines = ["| setting | type | default | allowed | what |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| `{s.name}` | {s.type} | {_default(s)} | {s.allowed} | {s.description} |"
        for s in settings()
    ]
    return "\n".join(lines)


def _default(setting: FieldFacts) -> str:
    if setting.required:
        return "*required*"
    return _shown(setting.default)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return " ".join(f"`{v}`" for v in value) or "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text if len(text) <= _CHARS else text[: _CHARS - 1] + '…'}`"


def stacks_table() -> str:
    """In what the stacks differ, and from the defaults."""
    files = {stack: _own(stack) for stack in STACKS}
    lines = ["| setting | default | " + " | ".join(STACKS) + " |", "| --- " * 5 + "|"]
    for setting in settings():
        values = [files[stack].get(setting.name) for stack in STACKS]
        if any(value is not None for value in values):
            shown = ["" if value is None else _shown(value) for value in values]
            lines.append(f"| `{setting.name}` | {_default(setting)} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _own(stack: str) -> dict[str, Any]:
    prefix = "superres:"
    config = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}
