"""The Batch operations that ministack only pretends to perform, on its routes."""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import batch

from contracts.limits import BATCH_DESCRIBE_JOBS_MAX
from local.emulator.batch import listing, request, surroundings
from local.emulator.batch.executor import Executor
from local.emulator.batch.model import BatchError

Payload = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

NEEDS = {
    "ministack.services.batch": (
        "_DISPATCH",
        "_compute_envs",
        "_jd_arn",
        "_job_definitions",
        "_job_queues",
        "_json",
    ),
    "ministack.services.eventbridge": ("_dispatch_event",),
    "ministack.core.responses": ("new_uuid", "request_scope"),
}


def install(executor: Executor) -> None:
    """Put our handlers in place of ministack's."""
    operations: dict[str, Callable[[Executor, Payload], Payload]] = {
        "registerjobdefinition": _register_job_definition,
        "describejobdefinitions": _describe_job_definitions,
        "submitjob": _submit_job,
        "describejobs": _describe_jobs,
        "listjobs": _list_jobs,
        "terminatejob": _terminate_job,
        "canceljob": _cancel_job,
        # Not of AWS: lets a test take a running job's host away.
        "local/reclaimhost": _reclaim_host,
    }
    handlers: dict[str, Any] = batch._DISPATCH
    for path, operation in operations.items():
        handlers[f"/v1/{path}"] = _responder(operation, executor)


def _responder(
    operation: Callable[[Executor, Payload], Payload], executor: Executor
) -> Callable[[Payload], Response]:
    def respond(p: Payload) -> Response:
        try:
            return batch._json(200, operation(executor, p))
        except BatchError as error:
            return error_response_json("ClientException", str(error), 400)

    return respond


def _register_job_definition(_: Executor, payload: Payload) -> Payload:
    request.check_definition(payload)
    name = payload["jobDefinitionName"]
    revisions = batch._job_definitions.setdefault(name, [])
    revision = len(revisions) + 1
    arn = batch._jd_arn(name, revision)
    record = {**payload, "jobDefinitionArn": arn, "revision": revision, "status": "ACTIVE"}
    revisions.append(record)
    return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}


def _describe_job_definitions(_: Executor, payload: Payload) -> Payload:
    references = payload.get("jobDefinitions") or []
    if references:
        named = (surroundings.find_definition(reference) for reference in references)
        return {"jobDefinitions": [one for one in named if one is not None]}
    name = payload.get("jobDefinitionName")
    found = [
        one
        for revisions in batch._job_definitions.values()
        for one in revisions
        if name in (None, one["jobDefinitionName"])
        and payload.get("status") in (None, one["status"])
    ]
    return {"jobDefinitions": found}


def _submit_job(executor: Executor, payload: Payload) -> Payload:
    queue = surroundings.find_queue(payload.get("jobQueue") or "")
    if queue is None or queue["state"] != "ENABLED":
        raise BatchError(f"Job queue {payload.get('jobQueue')} does not exist or is disabled.")
    definition = surroundings.find_definition(payload.get("jobDefinition") or "")
    if definition is None:
        raise BatchError(f"JobDefinition {payload.get('jobDefinition')} does not exist.")
    spec = request.build_spec(payload, queue["jobQueueArn"], definition)
    depends_on = [one["jobId"] for one in request.dependencies(payload)]
    job = executor.submit(spec, depends_on)
    return {"jobArn": job.arn, "jobName": spec.name, "jobId": job.id}


def _describe_jobs(executor: Executor, payload: Payload) -> Payload:
    ids = payload.get("jobs") or []
    if not 1 <= len(ids) <= BATCH_DESCRIBE_JOBS_MAX:
        raise BatchError(f"DescribeJobs takes 1 to {BATCH_DESCRIBE_JOBS_MAX} jobs.")
    return {"jobs": executor.describe(ids)}


def _list_jobs(executor: Executor, payload: Payload) -> Payload:
    queue_arn = None
    if payload.get("jobQueue"):
        queue = surroundings.find_queue(payload["jobQueue"])
        if queue is None:
            raise BatchError(f"Job queue {payload['jobQueue']} does not exist.")
        queue_arn = queue["jobQueueArn"]
    return listing.build_page(executor.find(listing.build_filter(payload, queue_arn)), payload)


def _terminate_job(executor: Executor, payload: Payload) -> Payload:
    executor.terminate(payload.get("jobId") or "", _reason(payload))
    return {}


def _cancel_job(executor: Executor, payload: Payload) -> Payload:
    executor.cancel(payload.get("jobId") or "", _reason(payload))
    return {}


def _reclaim_host(executor: Executor, payload: Payload) -> Payload:
    executor.reclaim_host(payload.get("jobId") or "")
    return {}


def _reason(payload: Payload) -> str:
    if not payload.get("reason"):
        raise BatchError("a reason must be given.")
    return payload["reason"]
