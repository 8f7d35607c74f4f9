"""Connects the scheduler to processes: a dispatcher thread starts jobs and publishes changes."""

import logging
import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from local.emulator.batch import describe
from local.emulator.batch.model import AttemptOutcome, BatchError, EmulatedJob, SubmittedJob
from local.emulator.batch.processes.attempt import (
    HOST_LOST,
    NOT_STARTED,
    AttemptSettings,
    RunningAttempt,
    StartError,
    inherited_variables,
    job_variables,
)
from local.emulator.batch.processes.prestarted_process import PrestartedProcess
from local.emulator.batch.scheduler import JobQueue, Scheduler, StatusChange

log = logging.getLogger(__name__)

_CHANGES_AT_ONCE = 50
"""Published between two looks at what may start, so that a large array does not wait for them."""


class Surroundings(Protocol):
    """What the executor needs from the rest of the emulated AWS."""

    def queue(self, arn: str) -> JobQueue | None:
        """The queue with the environments that it may use now; None while it is disabled."""
        ...

    def publish(self, job_arn: str, detail: dict[str, Any]) -> None:
        """Deliver a "Batch Job State Change" event."""
        ...

    def credentials(self, role_arn: str, session: str) -> Mapping[str, str]:
        """AWS_* variables of a session of the job's role. Raises StartError."""
        ...

    def group_started(self, group: int) -> None:
        """A process group now exists that must not outlive the emulator."""
        ...

    def group_ended(self, group: int) -> None:
        """The process group is gone."""
        ...


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Executor:
    """Thread-safe. Every public method returns at once."""

    def __init__(
        self,
        settings: AttemptSettings,
        surroundings: Surroundings,
        host_vcpus: float | None = None,
        arn_prefix: str = "arn:aws:batch:us-east-1:123456789012:job/",
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._arn_prefix = arn_prefix
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        vcpus = float(host_vcpus or os.cpu_count() or 1)
        self._scheduler = Scheduler(surroundings.queue, vcpus, milliseconds)
        self._attempts: dict[str, RunningAttempt] = {}
        self._stopped_early: dict[str, AttemptOutcome] = {}
        self._closing = False
        self._idle = threading.Event()
        self._prestarted = (
            PrestartedProcess(settings.import_ahead) if settings.import_ahead else None
        )
        settings.scratch.mkdir(parents=True, exist_ok=True)
        settings.logs.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._dispatch, name="batch-dispatcher", daemon=True).start()

    def submit(self, spec: SubmittedJob, depends_on: list[str]) -> EmulatedJob:
        """Raises BatchError for an unknown dependency."""
        with self._wake:
            unknown = [one for one in depends_on if one not in self._scheduler.jobs]
            if unknown:
                raise BatchError(f"Job {unknown[0]}, named in dependsOn, does not exist.")
            job = self._new_job(spec)
            job.waits_for = set(depends_on)
            self._scheduler.submit(job)
            self._wake.notify()
        return job

    def describe(self, ids: list[str]) -> list[dict[str, Any]]:
        """JobDetail of each known id."""
        with self._lock:
            jobs = [self._scheduler.jobs[one] for one in ids if one in self._scheduler.jobs]
            return [describe.detail(job) for job in jobs]

    def find(self, wanted: Callable[[EmulatedJob], bool]) -> list[dict[str, Any]]:
        """JobSummary of the wanted jobs, the newest first, an array's children by index."""
        with self._lock:
            jobs = [job for job in self._scheduler.jobs.values() if wanted(job)]
            jobs.sort(key=lambda job: (-job.sequence, job.index or 0))
            return [describe.summary(job) for job in jobs]

    def cancel(self, job_id: str, reason: str) -> None:
        """Raises BatchError for an unknown job."""
        with self._wake:
            self._scheduler.cancel(self._job(job_id), reason)
            self._wake.notify()

    def terminate(self, job_id: str, reason: str) -> None:
        """Raises BatchError for an unknown job."""
        outcome = AttemptOutcome(None, reason, retryable=False)
        with self._wake:
            units = self._scheduler.terminate(self._job(job_id), reason)
            running = [a for unit in units if (a := self._stop_or_remember(unit, outcome))]
            self._wake.notify()
        for attempt in running:
            attempt.stop(outcome)

    def reclaim_host(self, job_id: str) -> None:
        """As a Spot interruption of the job's host. Raises BatchError for an unknown job."""
        outcome = AttemptOutcome(None, HOST_LOST.format(secrets.token_hex(8)))
        with self._lock:
            attempt = self._stop_or_remember(self._job(job_id), outcome)
        if attempt:
            attempt.stop(outcome)

    def close(self, grace_seconds: float) -> None:
        """End all processes: SIGTERM, then SIGKILL after the grace. Nothing starts afterwards."""
        with self._wake:
            self._closing = True
            running = list(self._attempts.values())
            if not running:
                self._idle.set()
            self._wake.notify()
        if self._prestarted is not None:
            self._prestarted.close()
        for attempt in running:
            attempt.stop(AttemptOutcome(None, "The emulator was stopped", retryable=False))
        if not self._idle.wait(grace_seconds):
            for attempt in running:
                attempt.kill()
            self._idle.wait(grace_seconds)

    def _new_job(self, spec: SubmittedJob) -> EmulatedJob:
        job_id, now, sequence = str(uuid.uuid4()), milliseconds(), len(self._scheduler.jobs)
        job = EmulatedJob(job_id, self._arn_prefix + job_id, spec, now, sequence)
        for index in range(spec.size or 0):
            name = f"{job_id}:{index}"
            arn = self._arn_prefix + name
            job.children.append(
                EmulatedJob(name, arn, spec, now, sequence, parent=job, index=index)
            )
        return job

    def _job(self, job_id: str) -> EmulatedJob:
        job = self._scheduler.jobs.get(job_id)
        if job is None:
            raise BatchError(f"Job {job_id} does not exist.")
        return job

    def _stop_or_remember(self, job: EmulatedJob, outcome: AttemptOutcome) -> RunningAttempt | None:
        """The job's attempt; one that is just being started is stopped once it runs."""
        attempt = self._attempts.get(job.id)
        if attempt is None and not job.status.final and not job.status.waiting:
            self._stopped_early[job.id] = outcome
        return attempt

    def _dispatch(self) -> None:
        while True:
            with self._wake:
                jobs = [] if self._closing else self._scheduler.startable()
                changes = self._take_changes()
                if not jobs and not changes:
                    self._wake.wait()
                    continue
            for change, detail in changes:
                self._publish(change, detail)
            for job in jobs:
                self._start(job)

    def _take_changes(self) -> list[tuple[StatusChange, dict[str, Any]]]:
        queued = self._scheduler.changes
        taken = [queued.popleft() for _ in range(min(len(queued), _CHANGES_AT_ONCE))]
        return [(change, describe.detail(change.job, change.status)) for change in taken]

    def _publish(self, change: StatusChange, detail: dict[str, Any]) -> None:
        try:
            self._surroundings.publish(change.job.arn, detail)
        except Exception:
            log.exception("event of job %s was not delivered", change.job.id)

    def _start(self, job: EmulatedJob) -> None:
        if self._closing:
            return
        try:
            role = job.spec.container.get("jobRoleArn")
            session = job.id.replace(":", "-")
            credentials = self._surroundings.credentials(role, session) if role else {}
            variables = job_variables(self._settings, job, credentials, os.environ)
            attempt = RunningAttempt.start(self._settings, job, variables, self._prestarted)
        except StartError as error:
            self._ended(job, AttemptOutcome(None, NOT_STARTED, str(error)))
            return
        self._surroundings.group_started(attempt.group)
        with self._wake:
            self._attempts[job.id] = attempt
            early = self._stopped_early.pop(job.id, None)
            if self._closing:
                early = AttemptOutcome(None, "The emulator was stopped", retryable=False)
            self._scheduler.started(job, attempt.log_stream)
        attempt.watch(lambda outcome: self._ended(job, outcome))
        if self._prestarted is not None:
            machine = inherited_variables(self._settings, os.environ)
            machine["TMPDIR"] = str(self._settings.scratch)
            self._prestarted.start(machine, self._surroundings.group_started)
        if early is not None:
            attempt.stop(early)

    def _ended(self, job: EmulatedJob, outcome: AttemptOutcome) -> None:
        with self._wake:
            attempt = self._attempts.pop(job.id, None)
            self._scheduler.stopped(job, outcome)
            if self._closing and not self._attempts:
                self._idle.set()
            self._wake.notify()
        if attempt is not None:
            self._surroundings.group_ended(attempt.group)
