"""The embedded AWS Batch: jobs as real processes, with the rest of AWS left out."""

import dataclasses
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.emulator.batch.executor import Executor
from local.emulator.batch.model import EmulatedJob, ExitRule, Status, SubmittedJob
from local.emulator.batch.processes.attempt import AttemptSettings
from local.emulator.batch.scheduler import ComputeEnvironment, JobQueue
from tests.support.local_aws import (
    REPOSITORY,
    alive,
    eventually,
)

SPEC = SubmittedJob(
    name="job",
    queue="arn:aws:batch:us-east-1:123456789012:job-queue/q",
    definition="arn:aws:batch:us-east-1:123456789012:job-definition/d:1",
    container={"jobRoleArn": "arn:aws:iam::123456789012:role/job", "command": []},
    vcpus=1,
    attempts=1,
    exit_rules=(),
    timeout_seconds=None,
    size=None,
    described={},
)
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
TELL = "import os, pathlib; pathlib.Path(os.environ['OUT']).write_text(str(os.getpid()))\n"
WAIT = "import time; time.sleep(600)\n"


class Machines:
    """In place of queues, events and roles."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.groups: set[int] = set()

    def queue(self, arn: str) -> JobQueue:
        return JobQueue(1, (ComputeEnvironment("ce", 8),))

    def publish(self, job_arn: str, detail: dict[str, Any]) -> None:
        self.events.append(detail)

    def credentials(self, role_arn: str, session: str) -> Mapping[str, str]:
        return {"AWS_ACCESS_KEY_ID": "of-the-role"}

    def group_started(self, group: int) -> None:
        self.groups.add(group)

    def group_ended(self, group: int) -> None:
        self.groups.discard(group)


class Yard:
    """An executor in a folder of its own."""

    def __init__(self, folder: Path, import_ahead: str | None = None) -> None:
        self.folder = folder
        self.machines = Machines()
        settings = AttemptSettings(
            scratch=folder / "scratch",
            logs=folder / "logs",
            python_path=Path(f"{REPOSITORY}:{folder}"),
            endpoint="http://127.0.0.1:1",
            region="us-east-1",
            grace_seconds=0.3,
            import_ahead=import_ahead,
        )
        self.executor = Executor(settings, self.machines, host_vcpus=4)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def submit(self, code: str, **fields: Any) -> EmulatedJob:
        return self.run("python", "-c", code, **fields)

    def run(self, *command: str, **fields: Any) -> EmulatedJob:
        environment = [{"name": "OUT", "value": str(self.out)}]
        container = {**SPEC.container, "command": list(command), "environment": environment}
        return self.executor.submit(
            dataclasses.replace(SPEC, container=container, **fields), depends_on=[]
        )

    def ended(self, job: EmulatedJob) -> dict[str, Any]:
        """Its description, once it has ended."""

        def look() -> dict[str, Any] | None:
            (found,) = self.executor.describe([job.id])
            return found if Status(found["status"]).final else None

        return eventually(look)

    def pid(self) -> int:
        """Of the job that runs TELL."""
        return int(eventually(lambda: self.out.exists() and self.out.read_text()))

    def log(self, name: str) -> str:
        return (self.folder / "logs" / name).read_text()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    made.executor.close(5)


def test_a_job_succeeds_and_its_log_is_found_by_its_stream(yard: Yard) -> None:
    found = yard.ended(yard.submit("print('hello')"))
    assert found["status"] == "SUCCEEDED"
    (attempt,) = found["attempts"]
    assert attempt["container"] == {"exitCode": 0, "logStreamName": "job.attempt1.log"}
    assert attempt["startedAt"] <= attempt["stoppedAt"]
    assert yard.log("job.attempt1.log") == "hello\n"


def test_a_job_meets_a_clean_environment(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    yard.ended(yard.submit("import os, json; print(json.dumps(dict(os.environ)))"))
    seen = json.loads(yard.log("job.attempt1.log"))
    assert not {"SECRET_OF_THE_HOST", "AWS_PROFILE"} & set(seen)
    assert seen["AWS_ACCESS_KEY_ID"] == "of-the-role"
    assert seen["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert seen["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert "AWS_BATCH_JOB_ARRAY_INDEX" not in seen
    assert seen["PYTHONPATH"].split(":")[0] == str(REPOSITORY)


def test_each_attempt_has_a_scratch_directory_that_is_gone_afterwards(yard: Yard) -> None:
    code = "import os, tempfile; open('x', 'w'); print(os.getcwd(), tempfile.gettempdir())"
    yard.ended(yard.submit(code))
    cwd, tmpdir = yard.log("job.attempt1.log").split()
    assert cwd == tmpdir
    eventually(lambda: not Path(cwd).exists())


def test_an_exit_code_that_asks_for_it_is_retried(yard: Yard) -> None:
    rules = (ExitRule(retry=True, on_exit_code="75"), ExitRule(retry=False, on_reason="*"))
    code = "import os; raise SystemExit(75 if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1' else 64)"
    found = yard.ended(yard.submit(code, attempts=3, exit_rules=rules))
    assert found["status"] == "FAILED"
    assert [a["container"]["exitCode"] for a in found["attempts"]] == [75, 64]


def test_a_killed_job_reports_its_signal(yard: Yard) -> None:
    found = yard.ended(yard.submit("import os; os.kill(os.getpid(), 9)"))
    assert found["container"]["exitCode"] == 128 + signal.SIGKILL


def test_a_command_that_does_not_exist_fails_by_name(yard: Yard) -> None:
    container = {**SPEC.container, "command": ["no-such-command"]}
    job = yard.executor.submit(dataclasses.replace(SPEC, container=container), depends_on=[])
    found = yard.ended(job)
    assert found["statusReason"] == "Task failed to start"
    assert "no-such-command" in found["container"]["reason"]


def test_a_job_past_its_time_limit_is_killed_and_not_retried(yard: Yard) -> None:
    found = yard.ended(yard.submit(IGNORE_SIGTERM + WAIT, timeout_seconds=1, attempts=3))
    assert found["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(found["attempts"]) == 1


def test_a_terminated_job_ends_with_all_its_processes(yard: Yard) -> None:
    child = IGNORE_SIGTERM + TELL + WAIT
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    job = yard.submit(code, attempts=3)
    grandchild = yard.pid()
    yard.executor.terminate(job.id, "poisoned")
    found = yard.ended(job)
    assert (found["status"], found["statusReason"]) == ("FAILED", "poisoned")
    assert found["isTerminated"]
    eventually(lambda: not alive(grandchild))


def test_what_a_job_leaves_running_ends_with_it(yard: Yard) -> None:
    child = TELL + WAIT
    code = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "while not os.path.exists(os.environ['OUT']): time.sleep(0.01)\n"
    )
    assert yard.ended(yard.submit(code))["status"] == "SUCCEEDED"
    eventually(lambda: not alive(yard.pid()))


def test_a_job_on_a_reclaimed_host_is_retried_for_that_reason(yard: Yard) -> None:
    rules = (
        ExitRule(retry=True, on_status_reason="Host EC2*"),
        ExitRule(retry=False, on_reason="*"),
    )
    code = "import os\nif os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1':\n "
    job = yard.submit(code + (TELL + WAIT).replace("\n", "; "), attempts=2, exit_rules=rules)
    yard.pid()
    yard.executor.reclaim_host(job.id)
    found = yard.ended(job)
    assert found["status"] == "SUCCEEDED"
    assert found["attempts"][0]["statusReason"].startswith("Host EC2 (instance i-")


def test_one_failing_child_fails_its_array_after_all_have_run(yard: Yard) -> None:
    code = "import os; raise SystemExit(int(os.environ['AWS_BATCH_JOB_ARRAY_INDEX']) == 1)"
    parent = yard.submit(code, size=3)
    found = yard.ended(parent)
    assert found["statusReason"] == "Array Child Job failed"
    children = yard.executor.describe([f"{parent.id}:{n}" for n in range(3)])
    assert [child["status"] for child in children] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert (yard.folder / "logs" / "job.1.attempt1.log").exists()
    last = eventually(
        lambda: (
            [e for e in yard.machines.events if e["jobId"] == parent.id][-1:]
            if yard.machines.events[-1]["status"] == "FAILED"
            else None
        )
    )
    assert last[0]["arrayProperties"]["statusSummary"]["FAILED"] == 1


def test_closing_leaves_no_process_and_starts_none(yard: Yard) -> None:
    yard.submit(IGNORE_SIGTERM + TELL + WAIT)
    running = yard.pid()
    yard.executor.close(0.2)
    yard.submit("open('/dev/null')")
    assert not alive(running)
    assert not yard.machines.groups
    eventually(lambda: not list((yard.folder / "scratch").iterdir()))


AHEAD = "late.ahead"
SAY = """
import json, os, sys, tempfile
print(json.dumps({
    "process": os.getpid(), "imported": "late.ahead" in sys.modules, "group": os.getpgrp(),
    "arguments": sys.argv[1:], "folder": os.getcwd(), "temporary": tempfile.gettempdir(),
    "environment": dict(os.environ), "read": sys.stdin.read(),
}))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Yard]:
    """Where the package `late` is imported ahead. A job of another kind has started that."""
    package = tmp_path / "late"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ahead.py").write_text("import tempfile; tempfile.gettempdir()\n")
    (package / "__main__.py").write_text(SAY)
    made = Yard(tmp_path, AHEAD)
    yield made
    made.executor.close(5)


def _waiting(late: Yard) -> int:
    """The process that waits for a job of the package."""
    late.submit(WAIT)
    eventually(lambda: len(late.machines.groups) == 2)
    return max(late.machines.groups)


def _said(late: Yard, job: EmulatedJob, name: str) -> tuple[int, dict[str, Any]]:
    found = late.ended(job)
    said = json.loads(late.log(f"{name}.attempt1.log"))
    for variable in ("AWS_BATCH_JOB_ID", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"):
        said["environment"].pop(variable, None)
    return found["attempts"][0]["container"]["exitCode"], said


def test_a_job_gets_the_process_that_imported_ahead_and_the_next_one_its_own(late: Yard) -> None:
    waiting = _waiting(late)
    code, said = _said(late, late.run("python", "-m", "late", "3", "x", name="one"), "one")
    other_code, other = _said(late, late.run("python", "-m", "late", "3", "x", name="two"), "two")
    assert (said["process"], said["imported"], said["group"]) == (waiting, True, waiting)
    assert other["process"] != waiting
    assert not other["imported"]
    assert code == other_code == 3
    for key in ("arguments", "environment", "read"):
        assert said[key] == other[key]
    assert said["folder"] == said["temporary"] != other["folder"]
    eventually(lambda: waiting not in late.machines.groups)


def test_a_module_that_cannot_be_imported_ahead_hinders_no_job(late: Yard) -> None:
    (late.folder / "late" / "ahead.py").write_text("raise RuntimeError('no')")
    _waiting(late)
    code, said = _said(late, late.run("python", "-m", "late", "0", name="one"), "one")
    assert (code, said["imported"]) == (0, False)


def test_a_process_that_died_while_it_waited_is_replaced(late: Yard) -> None:
    waiting = _waiting(late)
    os.kill(waiting, signal.SIGKILL)
    eventually(lambda: not alive(waiting))
    code, said = _said(late, late.run("python", "-m", "late", "0", name="one"), "one")
    assert code == 0
    assert said["process"] != waiting


def test_a_job_that_took_a_waiting_process_is_terminated_like_any_other(late: Yard) -> None:
    (late.folder / "late" / "__main__.py").write_text(IGNORE_SIGTERM + TELL + WAIT)
    waiting = _waiting(late)
    job = late.run("python", "-m", "late")
    eventually(lambda: late.out.exists() and late.pid() == waiting)
    late.executor.terminate(job.id, "poisoned")
    assert late.ended(job)["statusReason"] == "poisoned"
    assert not alive(waiting)


def test_a_process_that_no_job_took_ends_with_the_executor(late: Yard) -> None:
    waiting = _waiting(late)
    late.executor.close(5)
    assert not alive(waiting)
