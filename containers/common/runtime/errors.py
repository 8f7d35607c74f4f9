"""How a worker gives up. Knows nothing of S3, so that the confined child need not load an SDK."""

from contracts.names import ExitCode

NO_ROOM = (
    "no space is left on the worker's disk; give it a larger one (media_scratch_gib, or "
    "worker_scratch_gib where films are enlarged)"
)


class WorkerError(Exception):
    """A worker gives up: `exit_code` for Batch, `message` (one sentence) for the person."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message


def mismatch(message: str) -> WorkerError:
    """The error LEDGER_MISMATCH: something is not as it was planned."""
    return WorkerError(ExitCode.LEDGER_MISMATCH, message)


def has_errno(error: BaseException | None, number: int) -> bool:
    """Whether the error, or one that led to it, has this number: a library that cannot write
    reports its own failure, not the file's."""
    while error is not None:
        if getattr(error, "errno", None) == number:
            return True
        error = error.__cause__ or error.__context__
    return False
