"""What `make aws-smoke` does with a deployed stack, done with the embedded one."""

from pathlib import Path

import pytest

from cli.errors import UserError
from contracts.job import Settings
from contracts.models import ModelName
from tests.e2e.support import SAMPLE, Bench
from tools.aws_smoke import check_job, verify_result
from tools.throwaway import Deadline

JOB = Settings(model=ModelName.LANCZOS, scale=3)


def test_a_clip_goes_through_and_its_ledger_is_verified(
    bench: Bench, tiny: Path, tmp_path: Path
) -> None:
    found = check_job(bench.stack, tiny, JOB, Deadline(120), poll=0.1)
    assert found.report.ledger.balanced
    other = tmp_path / "other"
    other.write_bytes(b"not the result")
    with pytest.raises(UserError, match="the result in the final bucket is not the one in the"):
        verify_result(found.report, other)
    ledger = found.report.ledger.model_copy(update={"frames_in_result": 1})
    with pytest.raises(UserError, match="the ledger does not balance"):
        verify_result(found.report.model_copy(update={"ledger": ledger}), other)


def test_a_job_out_of_time_is_stopped(bench: Bench) -> None:
    slow = Settings(model=ModelName.LANCZOS, scale=4)
    with pytest.raises(UserError, match=r"was \w+ at the end of the time") as caught:
        check_job(bench.stack, SAMPLE, slow, Deadline(0.5), poll=0.1)
    job_id = str(caught.value).split()[1]
    assert bench.finish(job_id).state == "ABORTED"


def test_a_film_that_is_none_fails_by_name(bench: Bench, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"this is no film")
    with pytest.raises(UserError):
        check_job(bench.stack, film, JOB, Deadline(120), poll=0.1)
