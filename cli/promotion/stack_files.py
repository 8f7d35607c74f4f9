"""Pulumi.<stack>.yaml as a record in git: read, and changed without the loss of a comment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from cli.errors import UserError
from cli.files import in_place
from contracts.names import PROJECT


@dataclass(frozen=True)
class StackFile:
    """One stack's settings."""

    path: Path
    content: CommentedMap

    @classmethod
    def of(cls, project: Path, stack: str) -> "StackFile":
        """Read the stack's file in the folder `project`. Raises UserError."""
        path = project / f"Pulumi.{stack}.yaml"
        try:
            content = _yaml().load(path.read_text())
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; name a stack that has one") from error
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path} cannot be read: {reason}") from error
        if not isinstance(content, CommentedMap) or not isinstance(
            content.get("config"), CommentedMap
        ):
            raise UserError(f"{path} has no config; it should be a stack's file")
        return cls(path, content)

    def get(self, setting: str) -> Any:
        """The setting's value, or None."""
        return self.content["config"].get(f"{PROJECT}:{setting}")

    def write(self, settings: Mapping[str, str]) -> None:
        """Change these settings and nothing else; the file changes as a whole or not at all."""
        config = self.content["config"]
        for setting, value in settings.items():
            config[f"{PROJECT}:{setting}"] = value
        with in_place(self.path) as partial, partial.open("w") as target:
            _yaml().dump(self.content, target)


def _yaml() -> YAML:
    """A YAML writer with the stack files' own layout, so that a diff shows only what changed."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 10_000
    return yaml
