"""The stack's settings as the Pulumi command line would pass them: flat names, values as text."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEFAULT_REGION = "us-east-1"


class ConfigError(Exception):
    """The project's or stack's file, or an override, is wrong; the text is one sentence."""


@dataclass(frozen=True)
class StackConfig:
    project: str
    stack: str
    values: dict[str, str]
    """By full name, e.g. superres:worker_vcpus."""

    @property
    def region(self) -> str:
        return self.values.get("aws:region", DEFAULT_REGION)


def parse_overrides(pairs: Iterable[str]) -> dict[str, str]:
    """From `key=value` arguments. Raises ConfigError."""
    overrides: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise ConfigError(f"--set {pair}: expected KEY=VALUE, such as worker_vcpus=1.")
        overrides[name] = value
    return overrides


def read_config(folder: Path, stack: str, overrides: Mapping[str, str]) -> StackConfig:
    """Read Pulumi.yaml and Pulumi.<stack>.yaml; an override's name may leave out the project.

    Raises ConfigError.
    """
    project = _read(folder / "Pulumi.yaml")
    name = project.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"{folder / 'Pulumi.yaml'} has no name.")
    values = _defaults(name, project.get("config") or {})
    for key, value in (_read(folder / f"Pulumi.{stack}.yaml").get("config") or {}).items():
        if isinstance(value, dict) and "secure" in value:
            raise ConfigError(f"{key} is a secret, which the local stack cannot decrypt.")
        values[_full_name(name, key)] = _text(value)
    values |= {_full_name(name, key): value for key, value in overrides.items()}
    return StackConfig(name, stack, values)


def _defaults(project: str, declared: Mapping[str, Any]) -> dict[str, str]:
    """Project-wide values: https://www.pulumi.com/docs/iac/concepts/config/#project-level-configuration"""
    values: dict[str, str] = {}
    for key, declaration in declared.items():
        entry = declaration if isinstance(declaration, dict) else {"default": declaration}
        value = entry.get("value", entry.get("default"))
        if value is not None:
            values[_full_name(project, key)] = _text(value)
    return values


def _full_name(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping.")
    return content
