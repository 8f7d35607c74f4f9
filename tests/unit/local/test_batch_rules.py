"""The embedded AWS Batch: retry rules, requests, scheduling and listings, without processes."""

from typing import Any

import pytest

from local.emulator.batch import describe, listing
from local.emulator.batch.model import (
    AttemptOutcome,
    BatchError,
    EmulatedJob,
    ExitRule,
    Status,
    SubmittedJob,
)
from local.emulator.batch.request import build_spec, check_definition
from local.emulator.batch.retry import parse_retry_strategy, should_retry
from local.emulator.batch.scheduler import ComputeEnvironment, JobQueue, Scheduler

QUEUE = "arn:aws:batch:us-east-1:123456789012:job-queue/q"
DEFINITION: dict[str, Any] = {
    "jobDefinitionName": "d",
    "jobDefinitionArn": "arn:aws:batch:us-east-1:123456789012:job-definition/d:3",
    "type": "container",
    "parameters": {"film": "default.mp4"},
    "retryStrategy": {"attempts": 2},
    "timeout": {"attemptDurationSeconds": 600},
    "containerProperties": {
        "image": "i:1",
        "command": ["python", "-m", "work", "Ref::film"],
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resourceRequirements": [
            {"type": "VCPU", "value": "2"},
            {"type": "MEMORY", "value": "64"},
        ],
    },
}
OUR_RULES = (
    ExitRule(retry=True, on_status_reason="Host EC2*"),
    ExitRule(retry=True, on_exit_code="75"),
    ExitRule(retry=False, on_exit_code="6*"),
    ExitRule(retry=False, on_reason="*"),
)


def spec_of(**request: Any) -> SubmittedJob:
    return build_spec({"jobName": "j", **request}, QUEUE, DEFINITION)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (AttemptOutcome(75, "Essential container in task exited"), True),
        (AttemptOutcome(65, "Essential container in task exited"), False),
        (AttemptOutcome(1, "Essential container in task exited"), False),
        (AttemptOutcome(None, "Host EC2 (instance i-1) terminated."), True),
        (AttemptOutcome(None, "host ec2 (instance i-1) terminated."), True),
        (AttemptOutcome(75, "Job attempt duration exceeded timeout", retryable=False), False),
    ],
)
def test_the_first_matching_exit_rule_decides(outcome: AttemptOutcome, expected: bool) -> None:
    assert should_retry(OUR_RULES, 3, 1, outcome) is expected


def test_a_job_that_no_rule_matches_is_retried_until_its_attempts_are_used_up() -> None:
    rules = (ExitRule(retry=False, on_exit_code="9"),)
    outcome = AttemptOutcome(1, "Essential container in task exited")
    assert should_retry(rules, 2, 1, outcome)
    assert not should_retry(rules, 2, 2, outcome)


@pytest.mark.parametrize(
    "strategy",
    [
        {"attempts": 11},
        {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "EXIT"}] * 6},
        {"attempts": 2, "evaluateOnExit": [{"onExitCode": "*5", "action": "EXIT"}]},
        {"attempts": 2, "evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]},
        {"attempts": 2, "evaluateOnExit": [{"onReason": "a", "action": "STOP"}]},
        {"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}]},
        {"evaluateOnExit": [{"onReason": "*", "action": "EXIT"}]},
    ],
)
def test_a_retry_strategy_that_aws_refuses_is_refused(strategy: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        parse_retry_strategy(strategy)


def test_overrides_replace_single_values_and_keep_the_others() -> None:
    spec = spec_of(
        containerOverrides={
            "environment": [{"name": "B", "value": "3"}],
            "resourceRequirements": [{"type": "VCPU", "value": "0.5"}],
        },
        parameters={"film": "mine.mp4"},
        timeout={"attemptDurationSeconds": 60},
    )
    assert spec.environment == {"A": "1", "B": "3"}
    assert spec.command == ["python", "-m", "work", "mine.mp4"]
    assert (spec.vcpus, spec.timeout_seconds, spec.attempts) == (0.5, 60, 2)


@pytest.mark.parametrize(
    "request_",
    [
        {"jobName": "with space"},
        {"arrayProperties": {"size": 1}},
        {"arrayProperties": {"size": 10_001}},
        {"timeout": {"attemptDurationSeconds": 59}},
        {"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}},
        {"containerOverrides": {"environment": [{"name": "X", "value": "x" * 9000}]}},
        {"dependsOn": [{"jobId": "a", "type": "SEQUENTIAL"}]},
    ],
)
def test_a_submission_that_aws_refuses_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        spec_of(**request_)


def test_a_definition_without_memory_is_refused() -> None:
    container = {**DEFINITION["containerProperties"], "resourceRequirements": []}
    with pytest.raises(BatchError, match="MEMORY"):
        check_definition({**DEFINITION, "containerProperties": container})


class Yard:
    """A scheduler with jobs of one vCPU on two of them."""

    def __init__(self, host: float = 2, place: float = 8) -> None:
        queue = JobQueue(1, (ComputeEnvironment("ce", place),))
        self.scheduler = Scheduler(lambda arn: queue, host, lambda: 1000 + len(self.made))
        self.made: list[EmulatedJob] = []

    def submit(
        self, size: int | None = None, vcpus: str = "1", after: EmulatedJob | None = None
    ) -> EmulatedJob:
        overrides = {"resourceRequirements": [{"type": "VCPU", "value": vcpus}]}
        array = {"arrayProperties": {"size": size}} if size else {}
        spec = spec_of(containerOverrides=overrides, **array)
        name = f"job{len(self.made)}"
        job = EmulatedJob(name, "arn:" + name, spec, 1, len(self.made))
        for index in range(size or 0):
            child = f"{name}:{index}"
            job.children.append(
                EmulatedJob(child, "arn:" + child, spec, 1, 0, parent=job, index=index)
            )
        job.waits_for = {after.id} if after else set()
        self.made.append(job)
        self.scheduler.submit(job)
        return job

    def start(self) -> list[str]:
        jobs = self.scheduler.startable()
        for job in jobs:
            self.scheduler.started(job, "log")
        return [job.id for job in jobs]

    def end(self, job: EmulatedJob, code: int = 0) -> None:
        self.scheduler.stopped(job, AttemptOutcome(code, "Essential container in task exited"))


def test_jobs_start_in_order_as_far_as_the_machine_reaches() -> None:
    yard = Yard()
    first, *_ = [yard.submit() for _ in range(4)]
    assert yard.start() == ["job0", "job1"]
    yard.end(first)
    assert yard.start() == ["job2"]


def test_a_job_larger_than_the_machine_runs_alone() -> None:
    yard = Yard()
    large = yard.submit(vcpus="64")
    yard.submit()
    assert yard.start() == ["job0"]
    assert yard.start() == []
    yard.end(large)
    assert yard.start() == ["job1"]


def test_a_small_environment_bounds_its_jobs() -> None:
    yard = Yard(host=16, place=1)
    yard.submit(size=3)
    assert yard.start() == ["job0:0"]


def test_an_array_fails_after_its_last_child_when_one_failed() -> None:
    yard = Yard(host=3)
    parent = yard.submit(size=3)
    assert parent.status is Status.PENDING
    assert yard.start() == ["job0:0", "job0:1", "job0:2"]
    yard.end(parent.children[0])
    yard.end(parent.children[1], 1)
    assert yard.start() == ["job0:1"]
    yard.end(parent.children[1], 1)
    assert parent.status is Status.PENDING
    yard.end(parent.children[2])
    assert (parent.status, parent.status_reason) == (Status.FAILED, "Array Child Job failed")
    properties = describe.detail(parent)["arrayProperties"]
    assert (properties["size"], properties["statusSummary"]["SUCCEEDED"]) == (3, 2)
    assert properties["statusSummary"]["FAILED"] == 1


def test_a_retried_job_becomes_runnable_before_the_others() -> None:
    yard = Yard(host=1)
    first = yard.submit()
    yard.submit()
    yard.start()
    yard.end(first, 1)
    assert first.status is Status.RUNNABLE
    assert yard.start() == ["job0"]


def test_a_job_waits_for_its_dependency_and_fails_with_it() -> None:
    yard = Yard()
    good, bad = yard.submit(), yard.submit()
    after_good, after_bad = yard.submit(after=good), yard.submit(size=2, after=bad)
    assert yard.start() == ["job0", "job1"]
    assert after_good.status is Status.PENDING
    yard.end(good)
    for _ in range(2):
        yard.end(bad, 1)
        yard.start()
    assert after_good.status is Status.RUNNING
    assert (after_bad.status, after_bad.children[1].status_reason) == (
        Status.FAILED,
        "Dependent Job failed",
    )


def test_cancel_reaches_waiting_jobs_only_and_terminate_all() -> None:
    yard = Yard(host=1)
    parent = yard.submit(size=3)
    yard.start()
    yard.scheduler.cancel(parent, "enough")
    assert [child.status for child in parent.children] == [
        Status.RUNNING,
        Status.FAILED,
        Status.FAILED,
    ]
    assert parent.children[1].cancelled
    assert yard.scheduler.terminate(parent, "stop") == [parent.children[0]]


def test_each_change_is_told_once_and_in_order() -> None:
    yard = Yard()
    job = yard.submit()
    yard.start()
    yard.end(job)
    assert [change.status for change in yard.scheduler.changes] == list(Status)[:6]


def test_a_listing_by_name_ignores_the_status_and_sees_no_children() -> None:
    yard = Yard()
    yard.submit(size=2)
    chosen = listing.build_filter({"filters": [{"name": "JOB_NAME", "values": ["J"]}]}, QUEUE)
    found = [job.id for job in yard.scheduler.jobs.values() if chosen(job)]
    assert found == ["job0"]
    children = listing.build_filter({"arrayJobId": "job0", "jobStatus": "RUNNABLE"}, None)
    assert sum(children(job) for job in yard.scheduler.jobs.values()) == 2


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"arrayJobId": "a", "jobQueue": QUEUE},
        {"jobQueue": QUEUE, "filters": [{"name": "COLOUR", "values": ["red"]}]},
    ],
)
def test_a_listing_that_aws_refuses_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        listing.build_filter(request_, request_.get("jobQueue"))


def test_a_long_listing_comes_in_pages() -> None:
    summaries = [{"jobId": str(n)} for n in range(5)]
    first = listing.build_page(summaries, {"maxResults": 3})
    rest = listing.build_page(summaries, {"nextToken": first["nextToken"]})
    assert [len(p["jobSummaryList"]) for p in (first, rest)] == [3, 2]
    assert "nextToken" not in rest
