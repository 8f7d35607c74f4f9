"""Progress and messages on stderr, data on stdout; a silent twin, so that no command asks which."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from contracts.base import one_line


class Steps(Protocol):
    """The steps of a long command, each started, updated and ended by name."""

    def update(
        self, step: str, done: float = 0, total: float | None = None, note: str = ""
    ) -> None:
        """Show `done` of `total` (None: unknown) and a short note; starts the step if new."""
        ...

    def end(self, step: str, note: str = "") -> None: ...


class _SilentSteps:
    def update(
        self, step: str, done: float = 0, total: float | None = None, note: str = ""
    ) -> None:
        """Say nothing."""

    def end(self, step: str, note: str = "") -> None:
        """Say nothing."""


class _RichSteps:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def update(
        self, step: str, done: float = 0, total: float | None = None, note: str = ""
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


class Output:
    """What a command says. With `as_json`, only the result is printed, as one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def steps(self) -> Iterator[Steps]:
        """A live list of steps on stderr."""
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
        """One line for a person."""
        if not self.as_json:
            self._console.print(text, markup=False)

    def result(self, data: Mapping[str, Any], rows: Mapping[str, str]) -> None:
        """The command's result: JSON on stdout, or `rows` as a small table on stdout."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
            return
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(name, Text(one_line(value)))
        Console(highlight=False).print(table)

    def warn(self, message: str) -> None:
        """One sentence on stderr about something that did not stop the command."""
        sys.stderr.write(f"superres: {message}\n")

    def error(self, message: str, fields: Mapping[str, Any]) -> None:
        """One sentence on stderr; with --json also an object on stdout."""
        if self.as_json:
            sys.stdout.write(json.dumps({"status": "FAILED", "message": message, **fields}) + "\n")
        sys.stderr.write(f"superres: {message}\n")
