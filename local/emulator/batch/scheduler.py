"""The states of jobs and the order in which they start. Pure: no clock, process or lock of its own.

The executor submits jobs, asks what may start, and reports how attempts end; every change of
state is queued in `changes` for it to publish.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from local.emulator.batch.model import Attempt, AttemptOutcome, EmulatedJob, Status
from local.emulator.batch.retry import should_retry

DEPENDENCY_FAILED = "Dependent Job failed"
ARRAY_CHILD_FAILED = "Array Child Job failed"


@dataclass(frozen=True)
class ComputeEnvironment:
    """A compute environment that a queue may use."""

    name: str
    vcpus: float


@dataclass(frozen=True)
class JobQueue:
    """A job queue as the scheduler sees it."""

    priority: int
    environments: tuple[ComputeEnvironment, ...]
    """In the queue's order of preference; empty while none is enabled."""


@dataclass(frozen=True)
class StatusChange:
    """A job has entered `status`, which is kept here because the job's own status moves on."""

    job: EmulatedJob
    status: Status


class Scheduler:
    """First come, first served within a queue; queues by priority."""

    def __init__(
        self,
        queue_of: Callable[[str], JobQueue | None],
        host_vcpus: float,
        now: Callable[[], int],
    ) -> None:
        """`queue_of` looks a queue up by ARN; `host_vcpus` bounds all environments together."""
        self.jobs: dict[str, EmulatedJob] = {}
        self.changes: deque[StatusChange] = deque()
        self._queue_of = queue_of
        self._host_vcpus = host_vcpus
        self._now = now
        self._runnable: dict[str, deque[EmulatedJob]] = defaultdict(deque)
        self._dependents: dict[str, list[EmulatedJob]] = defaultdict(list)
        self._placed: dict[str, tuple[str, float]] = {}
        self._used: dict[str, float] = defaultdict(float)
        self._running_in_queue: dict[str, int] = defaultdict(int)

    def submit(self, job: EmulatedJob) -> None:
        """Take a plain job, or an array's parent with its children."""
        self.jobs[job.id] = job
        self._enter(job, Status.SUBMITTED)
        self._enter(job, Status.PENDING)
        for child in job.children:
            self.jobs[child.id] = child
            job.summary[Status.SUBMITTED] += 1
        for unit in job.children or [job]:
            self._admit(unit, job.waits_for)

    def startable(self) -> list[EmulatedJob]:
        """Reserve room for and return the jobs to start now; they become STARTING."""
        chosen: list[EmulatedJob] = []
        known = ((arn, self._queue_of(arn)) for arn, jobs in self._runnable.items() if jobs)
        queues = [(arn, queue) for arn, queue in known if queue is not None]
        for arn, queue in sorted(queues, key=lambda pair: -pair[1].priority):
            waiting = self._runnable[arn]
            while waiting:
                job = waiting[0]
                if job.status is Status.RUNNABLE and not self._reserve(job, arn, queue):
                    break
                waiting.popleft()
                if job.status is Status.RUNNABLE:
                    self._enter(job, Status.STARTING)
                    chosen.append(job)
        return chosen

    def started(self, job: EmulatedJob, log_stream: str) -> None:
        """The job's process runs."""
        now = self._now()
        job.attempts.append(Attempt(started_at=now, log_stream=log_stream))
        for one in (job, job.parent):
            if one is not None and one.started_at is None:
                one.started_at = now
        self._enter(job, Status.RUNNING)

    def stopped(self, job: EmulatedJob, outcome: AttemptOutcome) -> None:
        """The job's process has ended, or could not be started."""
        self._release(job)
        now = self._now()
        if job.status is Status.STARTING:
            job.attempts.append(Attempt(started_at=now, log_stream=""))
        attempt = job.attempts[-1]
        attempt.stopped_at, attempt.outcome = now, outcome
        if outcome.exit_code == 0 and outcome.retryable:
            self._finish(job, Status.SUCCEEDED, outcome.status_reason)
            return
        spec = job.spec
        if should_retry(spec.exit_rules, spec.attempts, len(job.attempts), outcome):
            self._enter(job, Status.RUNNABLE)
            self._runnable[spec.queue].appendleft(job)
        else:
            self._finish(job, Status.FAILED, outcome.status_reason)

    def cancel(self, job: EmulatedJob, reason: str) -> None:
        """CancelJob: what has not been handed to a host fails; the rest goes on."""
        for unit in _units(job):
            if unit.status.waiting:
                unit.cancelled = True
                self._finish(unit, Status.FAILED, reason)

    def terminate(self, job: EmulatedJob, reason: str) -> list[EmulatedJob]:
        """TerminateJob: waiting jobs fail; returns those whose process the caller must stop."""
        to_stop: list[EmulatedJob] = []
        for unit in _units(job):
            if unit.status.final:
                continue
            unit.terminated = True
            if unit.status.waiting:
                self._finish(unit, Status.FAILED, reason)
            else:
                to_stop.append(unit)
        job.terminated = job.terminated or bool(to_stop)
        return to_stop

    def _admit(self, job: EmulatedJob, waits_for: set[str]) -> None:
        known = [self.jobs[one] for one in waits_for]
        if any(one.status is Status.FAILED for one in known):
            self._finish(job, Status.FAILED, DEPENDENCY_FAILED)
            return
        job.waits_for = {one.id for one in known if not one.status.final}
        for one in job.waits_for:
            self._dependents[one].append(job)
        if not job.waits_for:
            self._make_runnable(job)
        elif job.status is not Status.PENDING:
            self._enter(job, Status.PENDING)

    def _make_runnable(self, job: EmulatedJob) -> None:
        self._enter(job, Status.RUNNABLE)
        self._runnable[job.spec.queue].append(job)

    def _reserve(self, job: EmulatedJob, arn: str, queue: JobQueue) -> bool:
        """Reserve room; a job larger than its environment or host runs when nothing else does."""
        need = job.spec.vcpus
        host_used = sum(self._used.values())
        if self._running_in_queue[arn] and host_used + need > self._host_vcpus:
            return False
        for environment in queue.environments:
            used = self._used[environment.name]
            if used == 0 or used + need <= environment.vcpus:
                self._used[environment.name] += need
                self._running_in_queue[arn] += 1
                self._placed[job.id] = (environment.name, need)
                return True
        return False

    def _release(self, job: EmulatedJob) -> None:
        name, need = self._placed.pop(job.id)
        self._used[name] -= need
        self._running_in_queue[job.spec.queue] -= 1

    def _enter(self, job: EmulatedJob, status: Status) -> None:
        if job.parent is not None:
            job.parent.summary[job.status] -= 1
            job.parent.summary[status] += 1
        job.status = status
        self.changes.append(StatusChange(job, status))

    def _finish(self, job: EmulatedJob, status: Status, reason: str) -> None:
        job.status_reason = reason
        job.stopped_at = self._now()
        self._enter(job, status)
        for dependent in self._dependents.pop(job.id, ()):
            self._dependency_ended(dependent, job)
        if job.parent is not None:
            self._child_ended(job.parent)

    def _dependency_ended(self, job: EmulatedJob, dependency: EmulatedJob) -> None:
        if job.status.final:
            return
        job.waits_for.discard(dependency.id)
        if dependency.status is Status.FAILED:
            self._finish(job, Status.FAILED, DEPENDENCY_FAILED)
        elif not job.waits_for:
            self._make_runnable(job)

    def _child_ended(self, parent: EmulatedJob) -> None:
        """An array's parent ends after all its children, and fails if one of them did."""
        done = parent.summary[Status.SUCCEEDED] + parent.summary[Status.FAILED]
        if done < len(parent.children) or parent.status.final:
            return
        if parent.summary[Status.FAILED]:
            self._finish(parent, Status.FAILED, ARRAY_CHILD_FAILED)
        else:
            self._finish(parent, Status.SUCCEEDED, "")


def _units(job: EmulatedJob) -> Iterable[EmulatedJob]:
    return job.children or [job]
