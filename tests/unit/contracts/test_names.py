"""Names and keys: one rule for those who write them, those who read them and the policies."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import keys
from contracts.job import JOB_ID_PATTERN, Job, Settings, SourceObject, make_job_id
from contracts.limits import BATCH_ARRAY_MAX, BATCH_JOB_NAME_CHARS, EXECUTION_NAME_CHARS
from contracts.names import Stage, batch_job_name, parse_batch_job_name
from tests.unit.contracts.support import (
    JOB_IDS,
    SOURCES,
    STAGES,
    settings,
)


@given(SOURCES, settings(), st.integers(1, 99))
def test_a_job_id_names_an_execution_and_a_batch_job(
    source: SourceObject, chosen: Settings, attempt: int
) -> None:
    job_id = make_job_id(source, chosen.to_json(), attempt)
    assert re.fullmatch(JOB_ID_PATTERN, job_id)
    assert len(job_id) <= EXECUTION_NAME_CHARS
    assert Job(job_id=job_id, source=source, settings=chosen, attempt=attempt).job_id == job_id
    for stage in Stage:
        name = batch_job_name(job_id, stage)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)
        assert len(name) <= BATCH_JOB_NAME_CHARS
        assert parse_batch_job_name(name) == (job_id, stage)


@given(SOURCES, settings(), settings())
def test_a_job_id_is_of_one_version_settings_and_attempt(
    source: SourceObject, one: Settings, other: Settings
) -> None:
    job_id = make_job_id(source, one.to_json())
    newer = source.model_copy(update={"version_id": source.version_id + "x"})
    assert (job_id == make_job_id(source, other.to_json())) == (one == other)
    assert job_id != make_job_id(newer, one.to_json())
    assert job_id != make_job_id(source, one.to_json(), 2)
    assert job_id == make_job_id(source.model_copy(update={"size": 1}), one.to_json())


@pytest.mark.parametrize("name", ["", "job", "job_", "job_paint", "JOB_extract", "a_b_extract"])
def test_a_batch_job_of_another_owner_has_no_stage(name: str) -> None:
    assert parse_batch_job_name(name) is None


@given(JOB_IDS, STAGES, st.integers(0, BATCH_ARRAY_MAX))
def test_every_key_lies_where_the_policies_say(job_id: str, stage: Stage, number: int) -> None:
    places = {
        keys.job_key(job_id): keys.JOB_FILES,
        keys.manifest_key(job_id): keys.EXTRACT_FILES,
        keys.timestamps_key(job_id): keys.EXTRACT_FILES,
        keys.sidecar_key(job_id): keys.EXTRACT_FILES,
        keys.sidecar_index_key(job_id): keys.EXTRACT_FILES,
        keys.captions_key(job_id): keys.EXTRACT_FILES,
        keys.shard_key(job_id, number, "mp4"): keys.SHARD_FILES,
        keys.progress_key(job_id, number): keys.PROGRESS_FILES,
        keys.stage_result_key(job_id, stage): keys.stage_result_files(stage),
        keys.failure_key(job_id, stage, number): keys.failure_files(stage),
        keys.result_key(job_id, "uploads/film.mov", "2x", "mp4"): keys.RESULT_FILES,
        keys.report_key(job_id): keys.RESULT_FILES,
    }
    assert all(fnmatchcase(key, pattern) for key, pattern in places.items())
    assert len(places) == 12


@given(st.text(min_size=1, max_size=100), st.sampled_from([2, 3, 4]))
def test_the_result_of_any_upload_stays_in_its_jobs_folder(name: str, scale: int) -> None:
    key = keys.result_key("job", keys.upload_key(name), f"{scale}x", "mkv")
    folder, _, last = key.rpartition("/")
    assert folder == "results/job"
    assert last.endswith(f".{scale}x.mkv")
    assert key != keys.report_key("job")
