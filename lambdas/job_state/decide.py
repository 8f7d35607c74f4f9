"""What a Batch event asks for. Pure."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError

from contracts.base import ContractError, explain
from contracts.names import Stage, parse_batch_job_name
from lambdas.common.outcomes import EARLY_END
from lambdas.common.values import BatchJob

REASON_CHARS = 256


class _Array(BaseModel):
    index: int | None = None


class _Detail(BaseModel):
    job_id: str = Field(alias="jobId")
    job_name: str = Field(alias="jobName")
    status: str
    array: _Array = Field(default_factory=_Array, alias="arrayProperties")


@dataclass(frozen=True, kw_only=True)
class JobChange:
    """The part of a "Batch Job State Change" event that says where to look.

    https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html
    """

    batch_job_id: str
    job_id: str
    stage: Stage
    status: str
    child: int | None
    """Index in the array; None for an array's parent and a plain job."""

    @property
    def parent_id(self) -> str:
        return self.batch_job_id.partition(":")[0]

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self | None:
        """None for a job that is not the pipeline's. Raises ContractError."""
        try:
            detail = _Detail.model_validate(event.get("detail"))
        except ValidationError as error:
            raise ContractError("Batch event: " + explain(error)) from error
        name = parse_batch_job_name(detail.job_name)
        if name is None:
            return None
        return cls(
            batch_job_id=detail.job_id,
            job_id=name[0],
            stage=name[1],
            status=detail.status,
            child=detail.array.index,
        )


def reason_to_end_array(index: int, child: BatchJob | None, parent: BatchJob | None) -> str | None:
    """Why the whole array must end now; None if the child is not lost or the array ends already."""
    if child is None or child.status != "FAILED" or child.status_reason.startswith(EARLY_END):
        return None
    if parent is None or parent.terminal or parent.ending:
        return None
    return f"{EARLY_END}run {index} failed: {child.why}"[:REASON_CHARS]
