"""A stack for one test: made, used, and destroyed whatever happens in between."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cli.errors import UserError
from cli.files import in_place
from contracts.names import PROJECT

INTERRUPT_SECONDS = 900.0
"""How long a running update may take to stop in order; killing it would lose what it made."""


class Pulumi:
    """Runs the pulumi command on one stack, in a session of its own: Ctrl-C reaches only us."""

    def __init__(self, project: Path, stack: str) -> None:
        self._project, self._stack = project, stack

    def run(self, *arguments: str, seconds: float | None = None) -> str:
        """Return the stdout of `pulumi ARGUMENTS --stack NAME` and show its stderr.

        Raises UserError if it fails, or runs longer than `seconds`.
        """
        command = ["pulumi", *arguments, "--stack", self._stack, "--non-interactive"]
        process = subprocess.Popen(
            command, cwd=self._project, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            _stop(process)
            raise UserError(f"pulumi {arguments[0]} took more than {seconds:.0f} s") from error
        except BaseException:
            _stop(process)
            raise
        if process.returncode != 0:
            sys.stderr.write(output)
            raise UserError(f"pulumi {' '.join(arguments[:2])} failed; see above", exit_code=1)
        return output


def _stop(process: subprocess.Popen[str]) -> None:
    """Let an update finish what it has begun, so that Pulumi records everything that it made."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@contextmanager
def throwaway(
    project: Path, stack: str, settings: Mapping[str, Any], *, region: str, seconds: float
) -> Iterator[dict[str, Any]]:
    """Make a stack, yield its outputs, and destroy it. Raises UserError.

    `seconds` limits how long it may take to make. Once it is being destroyed, Ctrl-C does not stop
    that.
    """
    file = project / f"Pulumi.{stack}.yaml"
    pulumi = Pulumi(project, stack)
    _write(file, settings, region)
    try:
        pulumi.run("stack", "init")
        try:
            pulumi.run("up", "--yes", "--skip-preview", seconds=seconds)
            yield json.loads(pulumi.run("stack", "output", "--json"))
        finally:
            with _undisturbed():
                _destroy(pulumi, stack)
    finally:
        file.unlink(missing_ok=True)


def _write(file: Path, settings: Mapping[str, Any], region: str) -> None:
    named = {f"{PROJECT}:{name}": value for name, value in settings.items()}
    with in_place(file) as partial:
        partial.write_text(yaml.safe_dump({"config": {"aws:region": region, **named}}))


def _destroy(pulumi: Pulumi, stack: str) -> None:
    try:
        pulumi.run("destroy", "--yes", "--skip-preview")
        pulumi.run("stack", "rm", "--yes")
    except UserError as error:
        raise UserError(
            f"stack {stack} could not be destroyed and costs money: run pulumi destroy --stack "
            f"{stack} ({error})",
            exit_code=1,
        ) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Answer signals with a sentence, and go on."""

    def answer(_number: int, _frame: object) -> None:
        sys.stderr.write("aws-smoke: destroying the stack first; please wait\n")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, answer) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Deadline:
    """The end of the time that a caller may spend."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; negative once it has passed."""
        return self._end - time.monotonic()
