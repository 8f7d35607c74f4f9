"""The three ends of a command: success, the user's error (a sentence), our error (a traceback)."""

from contracts.names import ExitCode


class UserError(Exception):
    """Something the user can put right. `str(error)` is one sentence."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class JobError(UserError):
    """The pipeline refused or failed the job; exits with the worker's own code."""

    def __init__(self, message: str, error: str, logs: str) -> None:
        codes = {code.error: int(code) for code in ExitCode if code is not ExitCode.OK}
        super().__init__(message, codes.get(error, 1))
        self.error = error
        self.logs = logs
