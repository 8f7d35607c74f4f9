"""Where commands print: progress and messages on stderr, the result on stdout.

With `--json` progress is silent, so that no command has to ask.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cli.errors import JobError, UserError
from contracts.base import one_line


class Steps(Protocol):
    """The steps of a long command, each of them started, updated and ended by name."""

    def update(
        self, step: str, done: float = 0, total: float | None = None, *, note: str = ""
    ) -> None:
        """Show `done` of `total` (None: unknown) and a short note; start the step if it is new."""
        ...

    def end(self, step: str, note: str = "") -> None:
        """Show the step as done; ignore one that was never started."""
        ...


class _SilentSteps:
    def update(
        self, step: str, done: float = 0, total: float | None = None, *, note: str = ""
    ) -> None:
        """Say nothing."""

    def end(self, step: str, note: str = "") -> None:
        """Say nothing."""


class _RichSteps:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def update(
        self, step: str, done: float = 0, total: float | None = None, *, note: str = ""
    ) -> None:
        note = escape(one_line(note))
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total, note=note)
        self._progress.update(self._tasks[step], completed=done, total=total, note=note)

    def end(self, step: str, note: str = "") -> None:
        if step in self._tasks:
            shown = escape(one_line(note))
            self._progress.update(self._tasks[step], total=1, completed=1, note=shown)
            self._progress.stop_task(self._tasks[step])


class Console:
    """Prints for a person; with `as_json`, prints only the result, as one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._console = RichConsole(stderr=True, highlight=False)

    @contextmanager
    def steps(self) -> Iterator[Steps]:
        """Show a live list of steps on stderr."""
        if self.as_json:
            yield _SilentSteps()
            return
        columns = (
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console) as progress:
            yield _RichSteps(progress)

    def say(self, text: str) -> None:
        """Print one line on stderr; nothing with `--json`."""
        if not self.as_json:
            self._console.print(text, markup=False)

    def result(self, data: Mapping[str, Any], rows: Mapping[str, str]) -> None:
        """Print the result on stdout: `data` as JSON, or `rows` as a small table."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
            return
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(name, Text(one_line(value)))
        RichConsole(highlight=False).print(table)

    def warn(self, message: str) -> None:
        """Print one sentence on stderr about something that did not stop the command."""
        sys.stderr.write(f"superres: {message}\n")

    def error(self, error: UserError) -> None:
        """Print the error's sentence on stderr; with `--json` an object on stdout too."""
        if self.as_json:
            fields = {"status": "FAILED", "message": str(error), **error.details()}
            sys.stdout.write(json.dumps(fields) + "\n")
        sys.stderr.write(f"superres: {error}\n")
        if isinstance(error, JobError):
            self.say(f"Logs: {error.logs}")

    @contextmanager
    def exit_on_error(self) -> Iterator[None]:
        """Print a UserError of the block and end the program with the error's exit code."""
        try:
            yield
        except UserError as error:
            self.error(error)
            sys.exit(error.exit_code)
