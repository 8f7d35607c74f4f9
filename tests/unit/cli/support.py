"""What several tests of the command line need."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.main import cli
from cli.runs.request import RunArguments, RunRequest, check_arguments
from contracts.job import Settings


def check(video: Path, out: Path | None = None, **changes: Any) -> RunRequest:
    """Check a run of `video` with default settings, changed as named."""
    return check_arguments(
        RunArguments(video=video, out=out, **{"settings": Settings(), **changes})
    )


def invoke(*arguments: str | Path) -> Result:
    """Run `superres ARGUMENTS` in this process; an error that is no exit fails the test."""
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result
