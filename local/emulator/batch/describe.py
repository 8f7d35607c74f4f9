"""Jobs in the shapes of DescribeJobs, ListJobs and the state-change event. Pure."""

from typing import Any

from local.emulator.batch.model import Attempt, AttemptOutcome, EmulatedJob, Status


def detail(job: EmulatedJob, status: Status | None = None) -> dict[str, Any]:
    """JobDetail; also the detail of the "Batch Job State Change" event on entering `status`."""
    spec = job.spec
    last = job.attempts[-1] if job.attempts else None
    body: dict[str, Any] = {
        "jobArn": job.arn,
        "jobName": spec.name,
        "jobId": job.id,
        "jobQueue": spec.queue,
        "status": (status or job.status).value,
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "createdAt": job.created_at,
        "jobDefinition": spec.definition,
        **spec.described,
        "container": {**spec.container, **(_attempt_container(last) if last else {})},
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
    }
    return body | _times(job) | _array(job)


def summary(job: EmulatedJob) -> dict[str, Any]:
    """JobSummary."""
    last = job.attempts[-1] if job.attempts else None
    outcome = last.outcome if last else None
    return (
        {
            "jobArn": job.arn,
            "jobId": job.id,
            "jobName": job.spec.name,
            "createdAt": job.created_at,
            "status": job.status.value,
            "jobDefinition": job.spec.definition,
            "container": _ending(outcome) if outcome else {},
        }
        | _times(job)
        | _array(job)
    )


def _times(job: EmulatedJob) -> dict[str, Any]:
    fields = {
        "startedAt": job.started_at,
        "stoppedAt": job.stopped_at,
        "statusReason": job.status_reason or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _array(job: EmulatedJob) -> dict[str, Any]:
    if job.is_array:
        counts = {status.value: job.summary[status] for status in Status}
        return {"arrayProperties": {"size": job.spec.size, "statusSummary": counts}}
    if job.index is not None:
        return {"arrayProperties": {"index": job.index}}
    return {}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    body: dict[str, Any] = {
        "container": _attempt_container(attempt),
        "startedAt": attempt.started_at,
    }
    if attempt.stopped_at is not None:
        body["stoppedAt"] = attempt.stopped_at
    if attempt.outcome is not None:
        body["statusReason"] = attempt.outcome.status_reason
    return body


def _attempt_container(attempt: Attempt) -> dict[str, Any]:
    ending = _ending(attempt.outcome) if attempt.outcome else {}
    return {"logStreamName": attempt.log_stream, **ending}


def _ending(outcome: AttemptOutcome) -> dict[str, Any]:
    fields = {"exitCode": outcome.exit_code, "reason": outcome.reason}
    return {name: value for name, value in fields.items() if value is not None}
