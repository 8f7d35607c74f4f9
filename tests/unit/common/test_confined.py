"""What parses a user's bytes can reach nothing else, and its end is one sentence."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers.common.confined.lock import filter_program
from containers.common.confined.parent import ConfinedChild, Confinement
from containers.common.confined.system_calls import FATAL, FREE
from containers.common.runtime.errors import NO_ROOM, WorkerError
from contracts.names import ExitCode
from tests.unit.common.confined_programs import Orders
from tests.unit.common.support import LIMITS, PROGRAMS

pytestmark = pytest.mark.usefixtures("nothing_left")
NOT_PERMITTED = "PermissionError 1"


def ask(
    what: str,
    limits: Confinement = LIMITS,
    film: Any = None,
    fds: tuple[int, ...] = (),
    **orders: Any,
) -> Any:
    """Let a child do one thing; what it says of it."""
    with ConfinedChild(PROGRAMS + "serve", limits, "film.mp4", fds=fds) as child:
        child.give(Orders(what=what, **orders))
        return json.loads(child.ask(film or io.BytesIO(b"0123456789"), 10))


def refused(what: str, limits: Confinement = LIMITS, **changes: Any) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        ask(what, limits, **changes)
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith("film.mp4 ") or what in ("fail", "raise")
    return caught.value


# What it may not


def test_a_child_has_no_environment_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    assert not [name for name in ask("environment") if "AWS" in name or "SUPERRES" in name]


def test_a_child_has_none_of_its_parents_descriptors(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    with canary.open("rb") as secret:
        os.set_inheritable(secret.fileno(), True)
        assert secret.fileno() not in ask("descriptors")


@pytest.mark.parametrize("what", ["open", "list", "stat", "unlink", "create"])
def test_a_child_reaches_no_file(what: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    if what != "create":
        canary.write_text("secret")
    path = str(tmp_path if what == "list" else canary)
    assert ask(what, path=path) == NOT_PERMITTED
    assert canary.exists() == (what != "create")


@pytest.mark.parametrize("path", ["/proc/1/environ", "/proc/self/environ", "/etc/passwd"])
def test_a_child_reads_nobodys_secrets(path: str) -> None:
    assert ask("open", path=path) == NOT_PERMITTED


def test_a_child_whose_filter_is_off_opens_files_as_the_setting_warns(tmp_path: Path) -> None:
    """So the tests above are about the lock, and not about a file that nobody could open."""
    (tmp_path / "canary").write_text("secret")
    said = ask("open", replace(LIMITS, filtered=False), path=str(tmp_path / "canary"))
    assert said == "secret"


def test_a_child_that_wants_to_connect_is_killed_and_nobody_hears_of_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        error = refused("connect", number=listening.getsockname()[1])
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert error.exit_code is ExitCode.BAD_SOURCE
    assert "makes the decoder use a forbidden system call" in error.message


@pytest.mark.parametrize("what", ["fork", "execute", "trace", "peek"])
def test_a_child_that_reaches_for_other_processes_is_killed(what: str) -> None:
    error = refused(what)
    assert error.exit_code is ExitCode.BAD_SOURCE
    assert "makes the decoder use a forbidden system call" in error.message


def test_a_child_can_neither_signal_nor_limit_its_parent_nor_make_code() -> None:
    assert ask("kill_parent") == NOT_PERMITTED
    assert ask("limits", number=7) == NOT_PERMITTED
    assert ask("map_code") == NOT_PERMITTED


def test_a_child_may_write_only_so_much_to_what_it_was_given() -> None:
    fd = os.memfd_create("out")
    assert ask("write", fds=(fd,), number=fd) == "OSError 27"
    assert ask("write", replace(LIMITS, file_bytes=2_000_000), fds=(fd,), number=fd) == 1_000_000
    os.close(fd)


@pytest.mark.logs_errors
def test_a_film_that_cannot_be_written_is_told_by_its_file_and_not_by_the_muxer() -> None:
    fd = os.memfd_create("out")
    much = refused("mux", replace(LIMITS, file_bytes=100_000), fds=(fd,), number=fd)
    os.close(fd)
    assert much.exit_code is ExitCode.LIMIT_EXCEEDED
    assert "makes the decoder write more than" in much.message
    fd = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(WorkerError) as full:
        ask("mux", replace(LIMITS, file_bytes=2_000_000), fds=(fd,), number=fd)
    os.close(fd)
    assert (full.value.exit_code, full.value.message) == (ExitCode.CRASH, NO_ROOM)


# What it may


def test_a_child_reads_ranges_of_the_film_and_starts_threads() -> None:
    assert ask("read") == "234"
    assert ask("thread") == "ran"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_names_each_call_once(machine: str) -> None:
    assert len(filter_program(machine, 1)) % 8 == 0
    assert not set(FREE) & set(FATAL)


# How it ends


@pytest.mark.parametrize(
    ("what", "limits", "code", "words"),
    [
        ("kill_self", {}, ExitCode.BAD_SOURCE, "crashes the decoder (SIGSEGV)"),
        ("hang", {"stall_seconds": 0.5}, ExitCode.LIMIT_EXCEEDED, "no sign of life for 0.5 s"),
        ("burn", {"cpu_seconds": 1}, ExitCode.LIMIT_EXCEEDED, "1 (decode_cpu_seconds)"),
        ("grow", {}, ExitCode.LIMIT_EXCEEDED, "limit is 512 (decode_memory_mib)"),
        ("read_forever", {}, ExitCode.LIMIT_EXCEEDED, "read the file over and over"),
        ("invent", {}, ExitCode.BAD_SOURCE, "send what no decoder would"),
    ],
)
def test_each_way_to_end_is_named(
    what: str, limits: dict[str, Any], code: ExitCode, words: str
) -> None:
    error = refused(what, replace(LIMITS, **limits), number=2**30)
    assert error.exit_code is code
    assert words in error.message


@pytest.mark.parametrize(
    "frame", ["4d02000000 7b7d", "42020000007b7d", "4dffffffff", "4d03000000ff"]
)
def test_nonsense_ends_the_child(frame: str) -> None:
    error = refused("raw", replace(LIMITS, stall_seconds=1), text=frame.replace(" ", ""))
    assert error.exit_code in (ExitCode.BAD_SOURCE, ExitCode.LIMIT_EXCEEDED)


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        (ExitCode.UNSUPPORTED, ExitCode.UNSUPPORTED),
        (ExitCode.TRANSIENT, ExitCode.BAD_SOURCE),
        (999, ExitCode.BAD_SOURCE),
    ],
)
def test_a_film_cannot_ask_for_another_try(said: int, believed: ExitCode) -> None:
    text = "two\nlines\x1b[31m" + "x" * 5000
    error = refused("fail", number=int(said), text=text)
    assert error.exit_code is believed
    assert error.message.startswith("two\\nlines\\x1b[31m")
    assert len(error.message) <= 2000


@pytest.mark.logs_errors
def test_an_error_of_ours_in_the_child_is_a_crash() -> None:
    error = refused("raise")
    assert error.exit_code is ExitCode.CRASH
    assert error.message == "internal error: ZeroDivisionError: oops\\nand more"


def test_what_fails_while_the_film_is_read_is_not_the_films_fault() -> None:
    class Failing(io.BytesIO):
        def read(self, *_size: Any) -> bytes:
            raise WorkerError(ExitCode.TRANSIENT, "S3 is slow")

    with pytest.raises(WorkerError, match="S3 is slow") as caught:
        ask("read", film=Failing())
    assert caught.value.exit_code is ExitCode.TRANSIENT


def test_a_child_that_cannot_load_its_program_says_so() -> None:
    with pytest.raises(WorkerError, match=r"did not start.*no_such_module") as caught:
        ConfinedChild("no_such_module:serve", LIMITS, "film.mp4").ask(io.BytesIO(), 0)
    assert caught.value.exit_code is ExitCode.CRASH


PARENT = """
import sys, time
from containers.common.confined.parent import ConfinedChild, Confinement
from tests.unit.common.confined_programs import Orders
limits = Confinement(memory_mib=512, cpu_seconds=60, stall_seconds=60)
child = ConfinedChild("tests.unit.common.confined_programs:serve", limits, "film")
child.give(Orders(what="hang"))
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists()
    parent.stdout.close()


@pytest.mark.parametrize(
    "module",
    [
        "containers.common.film.decoder.child",
        "containers.media.extract.child",
        "containers.media.recompose.child",
    ],
)
def test_what_runs_confined_loads_no_sdk(module: str) -> None:
    """Nor a framework: it would only take time and room."""
    assert loaded(module, "boto3", "botocore", "torch") == []


def test_recompose_itself_cannot_parse_media() -> None:
    assert loaded("containers.media.recompose.worker", "av", "numpy", "cv2") == []


def loaded(module: str, *of: str) -> list[str]:
    """Which of these a process has that has imported the module."""
    script = f"import sys, {module}; print(*sorted({set(of)} & set(sys.modules)))"
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
