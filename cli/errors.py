"""How a command fails: by the user's error (one sentence), or by ours (a traceback)."""

from typing import Any

from contracts.names import ExitCode


class UserError(Exception):
    """Something that the user can put right. `str(error)` is one sentence."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def details(self) -> dict[str, Any]:
        """What `--json` prints beside the message."""
        return {"exit_code": self.exit_code}


class JobError(UserError):
    """The pipeline refused or failed the job; the command exits with the worker's own code."""

    def __init__(self, message: str, error: str, logs: str) -> None:
        codes = {code.error: int(code) for code in ExitCode if code is not ExitCode.OK}
        super().__init__(message, codes.get(error, 1))
        self.error = error
        self.logs = logs

    def details(self) -> dict[str, Any]:
        return {**super().details(), "error": self.error, "logs": self.logs}
