"""A deployed stack, as its clients need to know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A deployed stack: its endpoint, the credentials for it, its outputs and its logs."""

    endpoint: str | None
    """URL of the embedded AWS; None for AWS itself."""
    region: str
    credentials: Mapping[str, str]
    """Keyword arguments of a boto3 session; empty: the caller's own."""
    outputs: Mapping[str, str]
    """The outputs of the Pulumi program."""
    log_dir: Path
    """The workers' logs: a folder, or on AWS the name of their log group."""
    warm: bool
    """Whether it started from a snapshot instead of being deployed anew."""
    access_log: Path | None = None
    """JSON lines, one a call: which statement of which role allowed it. None on AWS."""
