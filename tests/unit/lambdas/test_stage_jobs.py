"""Which job answers a stage's tokens: the stage functions and the reconciler ask the same."""

from lambdas.common.stage_jobs import unrecorded_job
from lambdas.common.values import BatchJob, StageRecord
from tests.unit.lambdas.support import PROCESS


def test_of_several_jobs_of_a_name_the_newest_serves() -> None:
    old, new = (
        BatchJob(job_id=name, name=PROCESS, status="FAILED", created_at=at)
        for name, at in (("old", 1), ("new", 2))
    )
    record = StageRecord(batch_job_id="old")
    assert unrecorded_job(record, [old, new]) == new
    assert unrecorded_job(record, [old]) is None
    assert unrecorded_job(record, []) is None
