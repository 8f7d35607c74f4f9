"""How the end of a Batch job reaches the workflow: outcome read, tokens answered."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts import keys
from contracts.limits import STATE_PAYLOAD_BYTES
from contracts.messages import Failure
from contracts.names import Metric, Stage
from lambdas.common import outcomes
from lambdas.common.aws import Store, Workflow
from lambdas.common.observability import count
from lambdas.common.outcomes import Failed, Succeeded
from lambdas.common.values import BatchJob, StageRecord

READ_LIMIT = STATE_PAYLOAD_BYTES + 1


@dataclass(frozen=True, kw_only=True)
class Answers:
    """To the workflow's tasks, from what workers left in the intermediate bucket."""

    store: Store
    bucket: str
    workflow: Workflow

    def give(self, job_id: str, stage: Stage, record: StageRecord, job: BatchJob) -> bool:
        """Tell every token that asked for the stage how its job ended; False where none waits."""
        return self.tell(stage, record, self._outcome_of(job_id, stage, job))

    def tell(self, stage: Stage, record: StageRecord, outcome: Succeeded | Failed) -> bool:
        """False where the workflow waits for none of the tokens any more."""
        taken = [self._tell(token, outcome) for token in sorted(record.task_tokens)]
        if any(taken):
            succeeded = isinstance(outcome, Succeeded)
            count(Metric.STAGE_SUCCEEDED if succeeded else Metric.STAGE_FAILED, stage)
        return any(taken)

    def _tell(self, token: str, outcome: Succeeded | Failed) -> bool:
        if isinstance(outcome, Succeeded):
            return self.workflow.succeed(token, outcome.output)
        return self.workflow.fail(token, outcome.error, outcome.cause)

    def _outcome_of(self, job_id: str, stage: Stage, job: BatchJob) -> Succeeded | Failed:
        if job.status == "SUCCEEDED":
            has_result = stage is not Stage.PROCESS
            key = keys.stage_result_key(job_id, stage)
            stored = self.store.read(self.bucket, key, READ_LIMIT) if has_result else None
            return outcomes.result_of(stage, job_id, job, stored)
        listed = self.store.list(self.bucket, keys.failures_prefix(job_id, stage))
        order = outcomes.failure_keys(stage, job_id, job, listed)
        return outcomes.failure_of(stage, job, self._failures(order))

    def _failures(self, order: list[str]) -> Iterator[Failure | None]:
        for key in order:
            yield outcomes.parse_failure(self.store.read(self.bucket, key, READ_LIMIT))
