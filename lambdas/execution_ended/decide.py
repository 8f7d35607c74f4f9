"""Which executions' ends leave something to do. Pure."""

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from contracts.base import ContractError, explain
from lambdas.common.values import Execution


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


def left_its_work(execution: Execution) -> bool:
    """It ended, and not in good order. The event may be late: a redriven execution runs again."""
    return execution.ended and execution.status != "SUCCEEDED"


def told_nobody(execution: Execution) -> bool:
    """No state of the machine sees these ends. FAILED is told by the machine itself, or, where it
    could not, by the reconciler."""
    return execution.status in {"ABORTED", "TIMED_OUT"}
