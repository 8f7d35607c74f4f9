"""Stage request -> Batch job: one job per request, however often the message comes.

Deployed once per stage; the environment says which.
"""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts.messages import StageRequest
from contracts.names import Metric, execution_arn
from contracts.stack.environ import StageEnvironment
from lambdas.common.endings import END_REASON
from lambdas.common.observability import count, logger
from lambdas.common.queue_messages import process_bodies
from lambdas.common.services import Services
from lambdas.stage import decide

services = Services(StageEnvironment.read)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> PartialItemFailureResponse:
    """SQS records whose bodies are StageRequest JSON; returns the records that failed."""
    services.check_environment()
    return process_bodies(event, process_request)


def process_request(body: str) -> None:
    """Token first, then the search for a job, then SubmitJob: a redelivery completes what a death
    left undone."""
    now, registry = datetime.now(UTC), services.registry
    request = StageRequest.parse(body)
    arguments = decide.submission(request, services.environment)
    with registry.stage_lease(request, now) as record:
        jobs = services.batch.list_named(arguments["jobQueue"], arguments["jobName"])
        kept = decide.job_to_keep(request.task_token, record, jobs)
        batch_job_id = kept or services.submitter.submit(arguments)
        registry.finish_stage(request, batch_job_id)
    end_if_unwanted(request, batch_job_id)
    registry.advance(request.job_id, request.stage, now)
    if kept is None:
        count(Metric.STAGE_SUBMITTED, request.stage)
    logger.info(
        "stage has its job",
        extra={"job_id": request.job_id, "batch_job_id": batch_job_id, "kept": bool(kept)},
    )


def end_if_unwanted(request: StageRequest, batch_job_id: str) -> None:
    """An execution may end while its request waits in the queue, before its job can be found.

    This check comes after the job exists: whoever ends the execution later finds the job by name.
    """
    arn = execution_arn(services.environment.state_machine_arn, request.job_id)
    execution = services.workflow.describe(arn)
    if execution is not None and execution.ended:
        services.batch.terminate(batch_job_id, END_REASON.format(execution.status))
