"""Whatever is lost, doubled or late, or dies halfway: every token is answered exactly once.

A small model of one stage. Its events are drawn; what the functions decide is their own code.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.names import Stage, batch_job_name
from lambdas.common.stage_jobs import is_awaited, unrecorded_job
from lambdas.common.values import BatchJob, JobRecords, StageRecord, WorkflowExecution
from lambdas.reconciler import decide
from lambdas.stage.decide import job_to_keep
from tests.unit.lambdas.support import JOB, registry_record

NAME = batch_job_name(JOB, Stage.PROCESS)
LEASE = timedelta(seconds=60)
ROUNDS_MAX = 8
"""After the last thing that happens by itself: the longest grace, and a round on either side."""


@dataclass
class Model:
    """Registry, Batch and the workflow's open tokens, for one stage of one job."""

    now: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    asked: set[str] = field(default_factory=set)
    served: set[str] = field(default_factory=set)
    recorded: str | None = None
    leased_until: datetime | None = None
    claimed: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    jobs: dict[str, BatchJob] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    open_tokens: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)

    # What happens

    def publish(self) -> None:
        """The workflow enters the stage (anew), if it waits for nothing."""
        if not self.open_tokens:
            self.open_tokens.add(f"t{len(self.answers)}")

    def deliver(self, die_after: int) -> None:
        """A request reaches the stage function, which may die after any of its steps."""
        if not self.open_tokens:
            return
        token = min(self.open_tokens)
        if self.leased_until is not None and self.leased_until > self.now:
            return
        before = self.record()
        self.asked.add(token)
        self.claimed, self.leased_until = self.now, self.now + LEASE
        if die_after == 1:
            return
        kept = job_to_keep(token, before, list(self.named()))
        job_id = kept or self.submit()
        if die_after == 2:
            return
        self.recorded, self.leased_until = job_id, None
        self.served.add(token)

    def submit(self) -> str:
        job_id = f"job-{len(self.jobs)}"
        self.jobs[job_id] = BatchJob(
            job_id=job_id, name=NAME, status="RUNNING", created_at=len(self.jobs)
        )
        return job_id

    def end(self, status: str) -> None:
        """The newest job ends."""
        for job in list(self.jobs.values())[-1:]:
            if not job.terminal:
                self.jobs[job.job_id] = BatchJob(
                    job_id=job.job_id, name=NAME, status=status, created_at=job.created_at
                )

    def forget(self) -> None:
        """Batch loses all that it has."""
        self.forgotten |= set(self.jobs)

    def hear(self, which: int) -> None:
        """An event of some job reaches the job state function: at last, late, or again."""
        known = list(self.jobs)
        if not known:
            return
        job = self.jobs[known[which % len(known)]]
        alive = job.job_id not in self.forgotten
        if alive and job.terminal and self.asked and is_awaited(self.record(), job):
            self.answer()

    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    def reconcile(self) -> None:
        running = WorkflowExecution(status="RUNNING")
        seen = decide.RunningJob(records=self.records(), execution=running)
        waiting = seen.waiting
        if waiting is None:
            return
        if waiting.batch_job_id is None:
            job = unrecorded_job(waiting.record, list(self.named()))
        else:
            job = next((j for j in self.named() if j.job_id == waiting.batch_job_id), None)
        if decide.choose_repair(seen, job, self.now) is not None:
            self.answer()

    # What stands

    def answer(self) -> None:
        """To every token that asked; only an open one takes it."""
        for token in sorted(self.asked & self.open_tokens):
            self.open_tokens.remove(token)
            self.answers.append(token)

    def named(self) -> list[BatchJob]:
        return [job for job in self.jobs.values() if job.job_id not in self.forgotten]

    def record(self) -> StageRecord:
        return StageRecord(
            task_tokens=frozenset(self.asked),
            served_tokens=frozenset(self.served),
            batch_job_id=self.recorded,
            submitting=self.leased_until is not None,
            claimed_at=int(self.claimed.timestamp() * 1000),
        )

    def records(self) -> JobRecords:
        stages = {Stage.PROCESS: self.record()} if self.asked else {}
        return JobRecords(job=registry_record(), stages=stages)


EVENTS = st.one_of(
    st.just(("publish",)),
    st.tuples(st.just("deliver"), st.integers(1, 3)),
    st.tuples(st.just("end"), st.sampled_from(["SUCCEEDED", "FAILED"])),
    st.tuples(st.just("hear"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(0, 40)),
    st.just(("reconcile",)),
    st.just(("forget",)),
)


@given(st.lists(EVENTS, max_size=40))
def test_every_token_that_reached_the_registry_is_answered_once(
    history: list[tuple[str, int | str]],
) -> None:
    model = Model()
    model.publish()
    model.deliver(3)
    for name, *details in history:
        getattr(model, name)(*details)
    model.end("SUCCEEDED")
    for _ in range(ROUNDS_MAX):
        model.wait(5)
        model.reconcile()
    assert not model.open_tokens & model.asked
    assert len(model.answers) == len(set(model.answers))


@given(st.lists(EVENTS, max_size=40))
def test_a_running_job_is_never_given_up(history: list[tuple[str, int | str]]) -> None:
    """As long as Batch knows the job that serves a token, only that job's end answers it."""
    model = Model()
    model.publish()
    model.deliver(3)
    for name, *details in history:
        if name in {"end", "forget"}:
            continue
        getattr(model, name)(*details)
    assert model.answers == []
