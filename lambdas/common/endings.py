"""What is left to do when an execution has ended: end its work, and notify people."""

import json
from collections.abc import Mapping
from typing import Any

from contracts.job import SourceObject
from contracts.messages import Notification
from contracts.names import (
    CANCELLED_ERROR,
    JOB_FAILED_ERROR,
    JOB_TIMED_OUT_ERROR,
    JobStatus,
    Stage,
    batch_job_name,
)
from contracts.stack.environ import StageQueues
from lambdas.common.aws import BatchClient
from lambdas.common.values import WorkflowExecution

END_REASON = "The job's execution has ended: {}"
_CANCELLED = "Somebody stopped the job."
_TIMED_OUT = "The job took longer than any job may."


def make_notification(
    job_id: str, source: SourceObject, execution: WorkflowExecution
) -> Notification:
    """The notification of an execution that has ended. Pure."""
    return Notification(job_id=job_id, source=source, **_success(execution) or _failure(execution))


def _success(execution: WorkflowExecution) -> Mapping[str, Any] | None:
    if execution.status != "SUCCEEDED":
        return None
    made = json.loads(execution.output)["recompose"]
    fields = {name: made[name] for name in ("result", "report", "remarks")}
    return {"status": JobStatus.SUCCEEDED, **fields}


def _failure(execution: WorkflowExecution) -> Mapping[str, Any]:
    """StopExecution may name an error and a cause, which say more than ours."""
    status, error, message = {
        "ABORTED": (JobStatus.CANCELLED, CANCELLED_ERROR, _CANCELLED),
        "TIMED_OUT": (JobStatus.TIMED_OUT, JOB_TIMED_OUT_ERROR, _TIMED_OUT),
        "FAILED": (JobStatus.FAILED, JOB_FAILED_ERROR, ""),
    }[execution.status]
    if execution.status == "TIMED_OUT":
        return {"status": status, "error": error, "message": message}
    return {
        "status": status,
        "error": execution.error or error,
        "message": execution.cause or message or None,
    }


def end_work(batch: BatchClient, queues: StageQueues, job_id: str, reason: str) -> list[str]:
    """End all that Batch still runs for a job; returns the ids. An array ends with its children.

    Jobs are found by name, not by the registry's ids: a submission may not be recorded yet.
    """
    found = [
        job.job_id
        for stage in Stage
        for job in batch.list_named(queues.queue(stage), batch_job_name(job_id, stage))
        if not job.terminal
    ]
    for batch_job_id in found:
        batch.terminate(batch_job_id, reason)
    return found
