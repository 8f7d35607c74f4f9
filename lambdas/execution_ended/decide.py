"""Which ends of executions leave something to do. Pure."""

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from contracts.base import ContractError, explain
from lambdas.common.values import WorkflowExecution


class _Detail(BaseModel):
    execution_arn: str = Field(alias="executionArn")


def execution_of(event: dict[str, Any]) -> str:
    """The ARN in a "Step Functions Execution Status Change" event. Raises ContractError.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    try:
        return _Detail.model_validate(event.get("detail")).execution_arn
    except ValidationError as error:
        raise ContractError("Step Functions event: " + explain(error)) from error


def leaves_work(execution: WorkflowExecution) -> bool:
    """It ended without success. The event may be late: a redriven execution runs again."""
    return execution.ended and execution.status != "SUCCEEDED"


def notified_nobody(execution: WorkflowExecution) -> bool:
    """No state of the machine sees these ends. The machine itself notifies people of FAILED, or, if
    it could not, the reconciler does."""
    return execution.status in {"ABORTED", "TIMED_OUT"}
