"""How the end of a Batch job reaches the workflow: its outcome is read, its tokens are answered."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts import keys
from contracts.limits import STATE_PAYLOAD_BYTES
from contracts.messages import Failure
from contracts.names import Metric, Stage
from lambdas.common import outcomes
from lambdas.common.aws import ObjectClient, WorkflowClient
from lambdas.common.observability import count
from lambdas.common.outcomes import StageFailed, StageSucceeded
from lambdas.common.values import BatchJob, StageRecord

READ_LIMIT = STATE_PAYLOAD_BYTES + 1


@dataclass(frozen=True, kw_only=True)
class TaskAnswerer:
    """Answers the workflow's waiting tasks with what workers left in the intermediate bucket."""

    objects: ObjectClient
    bucket: str
    workflow: WorkflowClient

    def answer_with_job(
        self, job_id: str, stage: Stage, record: StageRecord, job: BatchJob
    ) -> bool:
        """Answer every token of the stage with how its job ended; False if none waits."""
        return self.answer(stage, record, self._read_outcome(job_id, stage, job))

    def answer(
        self, stage: Stage, record: StageRecord, outcome: StageSucceeded | StageFailed
    ) -> bool:
        """False if the workflow no longer waits for any of the tokens."""
        taken = [self._send(token, outcome) for token in sorted(record.task_tokens)]
        if any(taken):
            succeeded = isinstance(outcome, StageSucceeded)
            count(Metric.STAGE_SUCCEEDED if succeeded else Metric.STAGE_FAILED, stage)
        return any(taken)

    def _send(self, token: str, outcome: StageSucceeded | StageFailed) -> bool:
        if isinstance(outcome, StageSucceeded):
            return self.workflow.send_success(token, outcome.output)
        return self.workflow.send_failure(token, outcome.error, outcome.cause)

    def _read_outcome(
        self, job_id: str, stage: Stage, job: BatchJob
    ) -> StageSucceeded | StageFailed:
        if job.status == "SUCCEEDED":
            has_result = stage is not Stage.PROCESS
            key = keys.stage_result_key(job_id, stage)
            stored = self.objects.read(self.bucket, key, READ_LIMIT) if has_result else None
            return outcomes.result_of(stage, job_id, job, stored)
        listed = self.objects.list(self.bucket, keys.failures_prefix(job_id, stage))
        order = outcomes.failure_keys(stage, job_id, job, listed)
        return outcomes.failure_of(stage, job, self._read_failures(order))

    def _read_failures(self, order: list[str]) -> Iterator[Failure | None]:
        for key in order:
            yield outcomes.parse_failure(self.objects.read(self.bucket, key, READ_LIMIT))
