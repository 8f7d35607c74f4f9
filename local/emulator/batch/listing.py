"""ListJobs: which jobs a request asks for, and one page of them. Pure.

https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from local.emulator.batch.model import BatchError, EmulatedJob, Status
from local.emulator.batch.retry import glob

_PAGE_MAX = 100
_FILTERS: dict[str, Callable[[EmulatedJob, str], bool]] = {
    "JOB_NAME": lambda job, value: glob(value, job.spec.name),
    "JOB_DEFINITION": lambda job, value: glob(value, _definition_name(job)),
    "BEFORE_CREATED_AT": lambda job, value: job.created_at < int(value),
    "AFTER_CREATED_AT": lambda job, value: job.created_at > int(value),
}


def build_filter(
    request: Mapping[str, Any], queue_arn: str | None
) -> Callable[[EmulatedJob], bool]:
    """Whether the request asks for a job. A filter replaces jobStatus, whose default is RUNNING.

    Raises BatchError for what AWS would refuse.
    """
    array_id = request.get("arrayJobId")
    if (queue_arn is None) == (array_id is None):
        raise BatchError("give exactly one of jobQueue and arrayJobId.")
    filters = request.get("filters") or []
    if len(filters) > 1:
        raise BatchError("ListJobs takes one filter at a time.")
    if array_id is not None or not filters:
        status = Status(request.get("jobStatus") or Status.RUNNING)
        return lambda job: _listed(job, queue_arn, array_id) and job.status is status
    name, values = filters[0].get("name"), filters[0].get("values") or []
    if name not in _FILTERS or not values:
        raise BatchError(f"filter {name!r} needs values, and a name among {', '.join(_FILTERS)}.")
    matches = _FILTERS[name]
    return lambda job: (
        _listed(job, queue_arn, array_id) and any(matches(job, value) for value in values)
    )


def build_page(summaries: list[dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """The response's body; nextToken is an offset."""
    start = int(request.get("nextToken") or 0)
    end = start + min(int(request.get("maxResults") or _PAGE_MAX), _PAGE_MAX)
    body: dict[str, Any] = {"jobSummaryList": summaries[start:end]}
    return body | ({"nextToken": str(end)} if end < len(summaries) else {})


def _listed(job: EmulatedJob, queue_arn: str | None, array_id: str | None) -> bool:
    if array_id is not None:
        return job.parent is not None and job.parent.id == array_id
    return job.parent is None and job.spec.queue == queue_arn


def _definition_name(job: EmulatedJob) -> str:
    return job.spec.definition.rsplit("/", 1)[-1].rsplit(":", 1)[0]
