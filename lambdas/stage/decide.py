"""The Batch job for a stage request: its SubmitJob arguments, or the one to keep. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from contracts.base import ContractError
from contracts.limits import BATCH_ARRAY_MAX, BATCH_ARRAY_MIN, BATCH_CONTAINER_OVERRIDES_CHARS
from contracts.messages import StageRequest
from contracts.names import batch_job_name
from contracts.stack.environ import WORKERS, StageEnvironment
from lambdas.common.stage_jobs import unrecorded_job
from lambdas.common.values import BatchJob, StageRecord


def submission(request: StageRequest, environment: StageEnvironment) -> dict[str, Any]:
    """SubmitJob's arguments. The task token is not among them: no job ever sees it.

    Raises ContractError for a request that can never be submitted.
    """
    if request.stage is not environment.stage:
        raise ContractError(
            f"{request.job_id}: asks for {request.stage.value}, but this function submits "
            f"{environment.stage.value}; correct the topic's subscription"
        )
    if request.array_size > BATCH_ARRAY_MAX:
        raise ContractError(
            f"{request.job_id}: {request.array_size} children, but Batch allows {BATCH_ARRAY_MAX}"
        )
    variables = WORKERS[request.stage].submitted_variables({"job_id": request.job_id})
    overrides = {"environment": [{"name": k, "value": v} for k, v in variables.items()]}
    if len(json.dumps(overrides)) > BATCH_CONTAINER_OVERRIDES_CHARS:
        raise ContractError(
            f"{request.job_id}: the container overrides are longer than Batch's "
            f"{BATCH_CONTAINER_OVERRIDES_CHARS} characters"
        )
    arguments: dict[str, Any] = {
        "jobName": batch_job_name(request.job_id, request.stage),
        "jobQueue": environment.job_queue,
        "jobDefinition": environment.job_definition,
        "containerOverrides": overrides,
    }
    if request.array_size >= BATCH_ARRAY_MIN:
        arguments["arrayProperties"] = {"size": request.array_size}
    return arguments


def job_to_keep(token: str, record: StageRecord, jobs: Sequence[BatchJob]) -> str | None:
    """Id of the job that serves the token already, or None: submit one.

    `jobs` are all of the stage's name.
    """
    if token in record.served_tokens:
        return record.batch_job_id
    job = unrecorded_job(record, jobs)
    return None if job is None else job.job_id
