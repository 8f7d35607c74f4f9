"""Stage request -> Batch job: one job per request, however often the message comes.

Deployed once per stage; the environment says which.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from contracts.messages import StageRequest
from contracts.names import Metric, execution_arn
from contracts.stack.environ import StageEnvironment
from lambdas.common.aws import Batch, Workflow, client
from lambdas.common.endings import END_REASON
from lambdas.common.observability import count, logger
from lambdas.common.records import for_each_body
from lambdas.common.registry import Registry
from lambdas.stage import decide


@dataclass(frozen=True, kw_only=True)
class Services:
    environment: StageEnvironment
    registry: Registry
    batch: Batch
    workflow: Workflow


@cache
def services() -> Services:
    environment = StageEnvironment.read(os.environ)
    return Services(
        environment=environment,
        registry=Registry(client("dynamodb"), environment.registry_table),
        batch=Batch(reader=client("batch"), submitter=client("batch", attempts=1)),
        workflow=Workflow(client("stepfunctions")),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """SQS records whose bodies are StageRequest JSON; answers with the records that failed."""
    services()  # a broken environment fails the whole function, not message after message
    return for_each_body(event, take)


def take(body: str) -> None:
    """Token first, then the look for a job, then SubmitJob: a death at any point is made good."""
    to, now = services(), datetime.now(UTC)
    request = StageRequest.parse(body)
    arguments = decide.submission(request, to.environment)
    with to.registry.stage_lease(request, now) as record:
        jobs = to.batch.named(arguments["jobQueue"], arguments["jobName"])
        kept = decide.job_to_keep(request.task_token, record, jobs)
        batch_job_id = kept or to.batch.submit(arguments)
        to.registry.finish_stage(request, batch_job_id)
    end_if_unwanted(request, batch_job_id)
    to.registry.advance(request.job_id, request.stage, now)
    if kept is None:
        count(Metric.STAGE_SUBMITTED, request.stage)
    logger.info(
        "stage has its job",
        extra={"job_id": request.job_id, "batch_job_id": batch_job_id, "kept": bool(kept)},
    )


def end_if_unwanted(request: StageRequest, batch_job_id: str) -> None:
    """An execution may end while its request waits here, and so before its job can be found.

    Looked at after the job stands: whoever ends the execution later finds the job by its name.
    """
    to = services()
    arn = execution_arn(to.environment.state_machine_arn, request.job_id)
    execution = to.workflow.describe(arn)
    if execution is not None and execution.ended:
        to.batch.terminate(batch_job_id, END_REASON.format(execution.status))
