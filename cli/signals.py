"""How a command is stopped from outside."""

import signal
from types import FrameType


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def stop_on_sigterm() -> None:
    """Let SIGTERM do what Ctrl+C does: raise KeyboardInterrupt, so that everything is tidied up."""
    signal.signal(signal.SIGTERM, _interrupt)
