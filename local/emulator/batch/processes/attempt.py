"""One attempt of a job as a local process: its environment, scratch directory, log and end."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.emulator.batch.model import AttemptOutcome, EmulatedJob
from local.emulator.batch.processes.command import JobCommand
from local.emulator.batch.processes.prestarted_process import PrestartedProcess

CONTAINER_EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
NOT_STARTED = "Task failed to start"
HOST_LOST = "Host EC2 (instance i-{}) terminated."

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TZ|LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES|NVIDIA_[A-Z_]+"
)


@dataclass(frozen=True)
class AttemptSettings:
    """Where attempts run, and what is the same for all of them."""

    scratch: Path
    logs: Path
    python_path: Path
    """Root of the packages that the jobs' commands import: in place of the container image."""
    endpoint: str
    region: str
    grace_seconds: float
    """Between SIGTERM and SIGKILL; ECS calls it the stop timeout."""
    import_ahead: str | None = None
    """A module to import before the first job that runs its package; see prestarted_process.py."""


class StartError(Exception):
    """The attempt's process could not be started; the text is the container's reason."""


def inherited_variables(settings: AttemptSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of this machine that every job's process sees."""
    variables = {k: v for k, v in environ.items() if _INHERITED.fullmatch(k)}
    return {**variables, "PYTHONPATH": str(settings.python_path)}


def job_variables(
    settings: AttemptSettings,
    job: EmulatedJob,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
) -> dict[str, str]:
    """All that the process sees: the job's variables override the machine's, AWS's both."""
    machine = inherited_variables(settings, environ)
    variables = {**machine, **job.spec.environment, "PYTHONPATH": machine["PYTHONPATH"]}
    variables |= {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        # The machine's own credentials and profile must never reach a job.
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": str(len(job.attempts) + 1),
        "AWS_BATCH_JQ_NAME": job.spec.queue.rsplit("/", 1)[-1],
    }
    if job.index is not None:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
    return variables | dict(credentials)


class RunningAttempt:
    """A started process with its whole group."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        command: JobCommand,
        *,
        grace: float,
        limit: int | None,
    ) -> None:
        """`grace` lies between SIGTERM and SIGKILL, `limit` is the attempt's timeout: seconds."""
        self.log_stream = command.log.name
        self._process = process
        self._scratch = command.folder
        self._grace = grace
        self._limit = limit
        self._forced: AttemptOutcome | None = None
        self._ended = False
        self._lock = threading.Lock()

    @classmethod
    def start(
        cls,
        settings: AttemptSettings,
        job: EmulatedJob,
        variables: Mapping[str, str],
        prestarted: PrestartedProcess | None,
    ) -> Self:
        """Take the `prestarted` process if it fits, else start one. Raises StartError."""
        attempt = len(job.attempts) + 1
        scratch = settings.scratch / f"{job.id.replace(':', '-')}.{attempt}"
        scratch.mkdir(parents=True)
        log = _create_log(settings.logs, job, attempt)
        command = JobCommand(job.spec.command, scratch, variables, log)
        try:
            process = (prestarted and prestarted.take_for(command)) or command.spawn()
        except (OSError, ValueError, IndexError) as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise StartError(f"CannotStartContainerError: {error}") from error
        limit = job.spec.timeout_seconds
        return cls(process, command, grace=settings.grace_seconds, limit=limit)

    @property
    def group(self) -> int:
        """Process group id."""
        return self._process.pid

    def watch(self, on_end: Callable[[AttemptOutcome], None]) -> None:
        """Wait for the end in a thread of its own, which then calls `on_end` once."""
        threading.Thread(
            target=self._wait, args=(on_end,), name=f"batch-{self.group}", daemon=True
        ).start()

    def stop(self, forced: AttemptOutcome) -> None:
        """SIGTERM now, SIGKILL after the grace period; the attempt ends as `forced` says.

        A forced exit code of None is filled in with the process's own.
        """
        with self._lock:
            if self._forced is None:
                self._forced = forced
        self._signal(signal.SIGTERM)
        timer = threading.Timer(self._grace, self._signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        self._signal(signal.SIGKILL)

    def _wait(self, on_end: Callable[[AttemptOutcome], None]) -> None:
        try:
            self._process.wait(self._limit)
        except subprocess.TimeoutExpired:
            self.stop(AttemptOutcome(None, TIMED_OUT, retryable=False))
            self._process.wait()
        self.kill()  # what the command left behind ends with it, as in a container
        with self._lock:
            self._ended = True
        on_end(self._outcome())
        _remove(self._scratch)

    def _outcome(self) -> AttemptOutcome:
        code = self._process.returncode
        code = 128 - code if code < 0 else code
        with self._lock:
            forced = self._forced
        if forced is None:
            reason = "OutOfMemoryError: Container killed" if code == 137 else None
            return AttemptOutcome(code, CONTAINER_EXITED, reason)
        return AttemptOutcome(code, forced.status_reason, forced.reason, forced.retryable)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._ended:  # afterwards the number may belong to another group
                os.killpg(self._process.pid, number)


def _remove(folder: Path) -> None:
    """Processes of a killed group may still write for a moment."""
    for pause in (0.0, 0.05, 0.2, 1.0):
        time.sleep(pause)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _create_log(folder: Path, job: EmulatedJob, attempt: int) -> Path:
    """A log file of the attempt's own; its name is also the log stream's."""
    child = "" if job.index is None else f".{job.index}"
    stem = f"{job.spec.name}{child}.attempt{attempt}"
    for name in (f"{stem}.log", f"{stem}.{job.id[:8]}.log"):
        with contextlib.suppress(FileExistsError):
            (folder / name).touch(exist_ok=False)
            return folder / name
    raise StartError(f"log file {stem}.log exists already")
