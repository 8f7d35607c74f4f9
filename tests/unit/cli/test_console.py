"""What is printed, where, and when nothing is."""

import json

import pytest

from cli.console import Console
from cli.errors import JobError
from contracts.names import ExitCode


def test_json_output_prints_data_only(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    with console.steps() as steps:
        steps.update("extract", 1, 2, note="note")
        steps.end("extract")
    console.say("hello")
    console.result({"frames": 3}, {"frames": "3"})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"frames": 3}
    assert printed.err == ""


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=False)
    with console.steps() as steps:
        steps.update("process", 1, 2, note="1/2 frames")
        steps.end("process", "2 frames")
    console.result({"frames": 2}, {"frames": "2"})
    printed = capsys.readouterr()
    assert "2 frames" in printed.err
    assert "frames" in printed.out
    assert "process" not in printed.out


def test_a_films_own_words_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=False)
    console.result({}, {"result": "[dvd] film.mp4", "not held": "title [/b] \x1b[31mred"})
    with console.steps() as steps:
        steps.update("upload", note="[/b] film.mp4")
        steps.end("upload", "[/b] film.mp4")
    shown = capsys.readouterr().out
    assert "[dvd] film.mp4" in shown
    assert "title [/b] \\x1b[31mred" in shown


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failed_job_ends_the_program_with_its_sentence_and_its_logs(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, Console(as_json).exit_on_error():
        raise JobError("film.mp4 is broken", ExitCode.BAD_SOURCE.error, "/logs")
    assert ended.value.code == ExitCode.BAD_SOURCE
    printed = capsys.readouterr()
    assert printed.err.startswith("superres: film.mp4 is broken\n")
    assert ("Logs: /logs" in printed.err) is not as_json
    if as_json:
        assert json.loads(printed.out) == {
            "status": "FAILED",
            "message": "film.mp4 is broken",
            "exit_code": 65,
            "error": "Superres.BadSource",
            "logs": "/logs",
        }
