"""How an attempt's process is started."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_INTERPRETERS = frozenset({"python", "python3"})


@dataclass(frozen=True)
class Start:
    """A job's command, and where it runs."""

    command: list[str]
    folder: Path
    """Its working directory, and where it puts temporary files."""
    variables: Mapping[str, str]
    log: Path
    """An empty file, for what it says."""

    @property
    def environment(self) -> dict[str, str]:
        return {**self.variables, "TMPDIR": str(self.folder)}

    def anew(self) -> "subprocess.Popen[bytes]":
        """A process with a group of its own. Raises OSError, ValueError, IndexError."""
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

    def as_order(self) -> dict[str, object]:
        """For a process that waits; it stands where `python -m` has brought it."""
        return {
            "arguments": self.command[2:],
            "folder": str(self.folder),
            "environment": self.environment,
            "log": str(self.log),
        }
