"""How a worker gives up. Apart from S3, so that the confined child need not load an SDK."""

from contracts.names import ExitCode


class WorkerError(Exception):
    """A worker gives up: `exit_code` for Batch, `message` (one sentence) for the person."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message


def mismatch(message: str) -> WorkerError:
    """What is in hand is not what was planned."""
    return WorkerError(ExitCode.LEDGER_MISMATCH, message)
