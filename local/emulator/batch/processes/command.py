"""The command of an attempt, and how its process is started."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_INTERPRETERS = frozenset({"python", "python3"})


@dataclass(frozen=True)
class JobCommand:
    """A job's command, and where it runs."""

    command: list[str]
    folder: Path
    """Its working directory, and where it puts temporary files."""
    variables: Mapping[str, str]
    log: Path
    """An empty file, for its output."""

    @property
    def environment(self) -> dict[str, str]:
        return {**self.variables, "TMPDIR": str(self.folder)}

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start a process with a group of its own. Raises OSError, ValueError, IndexError."""
        words = self.command
        with self.log.open("ab") as log:
            return subprocess.Popen(
                # `python` is the interpreter that runs this
                [sys.executable, *words[1:]] if words[0] in _INTERPRETERS else words,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def to_message(self) -> dict[str, object]:
        """For a process that waits for a command; `python -m` is behind it already."""
        return {
            "arguments": self.command[2:],
            "folder": str(self.folder),
            "environment": self.environment,
            "log": str(self.log),
        }
