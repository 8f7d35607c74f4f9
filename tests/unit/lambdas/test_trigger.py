"""An upload becomes one execution, whatever its key is and however often its event comes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import keys
from contracts.base import ContractError
from contracts.job import Job, Settings, SourceObject, make_job_id
from contracts.messages import ExecutionInput
from contracts.names import REJECTED_ERROR, JobStatus
from contracts.stack.environ import TriggerEnvironment
from lambdas.common.values import ObjectHead
from lambdas.trigger import decide, handler
from tests.unit.lambdas.support import (
    CONTEXT,
    STATE_MACHINE,
    KilledError,
    World,
)

ODD_KEYS = [
    "uploads/plain.mp4",
    "uploads/a film with spaces + plus.mp4",
    "uploads/percent%2Fslash%20.mp4",
    "uploads/Фильм 映画 🎬.mkv",
    "uploads/line\nbreak\ttab.mp4",
    "uploads/'quotes\" $(touch x) {}.mp4",
    "uploads/no-extension",
    "uploads/.mp4",
    "uploads/../../etc/passwd",
    "uploads/-rf --help.mp4",
    "uploads/caf\u00e9 cafe\u0301.mp4",
    "uploads/control\x01\x7f\u2028.mp4",
    "uploads/" + "folder/" * 143 + "f.mp4",
]

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.serve(handler, made.trigger_environment())
    return made


def upload(world: World, key: str, metadata: dict[str, str] | None = None) -> dict[str, Any]:
    """Put an object and return the event that S3 would send to EventBridge."""
    answer = world.s3.put_object(
        Bucket=world.source, Key=key, Body=b"film!", Metadata=metadata or {}
    )
    return event(world.source, key, answer["VersionId"], answer["ETag"].strip('"'))


def event(bucket: str, key: str, version: str, etag: str = "etag") -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": 5,
                "etag": etag,
                "version-id": version,
                "sequencer": "0062",
            },
            "reason": "PutObject",
        },
    }


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_upload_starts_one_execution_and_its_key_goes_through_untouched(
    world: World, key: str
) -> None:
    sent = upload(world, key, {"superres-scale": "4", "owner": "somebody"})
    world.counted = 0
    handler.handler(sent, CONTEXT)

    [(job_id, execution_input)] = world.executions.items()
    started = ExecutionInput.model_validate_json(execution_input)
    written = world.s3.get_object(Bucket=world.intermediate, Key=keys.job_key(job_id))["Body"]
    job = Job.model_validate_json(written.read())
    assert started.job_id == job.job_id == job_id
    assert started.source == job.source
    assert job.source.key == key
    assert job.source.size == 5
    assert job.source.version_id == sent["detail"]["object"]["version-id"]
    assert job.source.etag == sent["detail"]["object"]["etag"]
    assert job.settings == Settings(scale=4)
    assert job_id == make_job_id(job.source, job.settings.to_json())


@given(name=TEXT)
def test_any_name_is_kept_exactly_or_refused_with_a_sentence(name: str) -> None:
    key = keys.upload_key(name)
    sent = decide.Upload.from_event(event("films", key, "v1"))
    start = decide.plan(sent, ObjectHead(size=1, etag="e", metadata={}))
    if start.job is None:
        assert start.execution.error is not None
        assert "bytes too long" in start.execution.error.Cause
        return
    job = Job.model_validate_json(start.job.to_json())
    assert job.source.key == key
    result = keys.result_key(job.job_id, key, "2x", "mp4")
    assert len(result.encode()) <= 1024
    folder, _, last = result.rpartition("/")
    assert (folder, last) == (f"results/{job.job_id}", last)
    assert ".." not in result.split("/")


def test_a_name_whose_result_would_have_no_key_is_refused(world: World) -> None:
    handler.handler(upload(world, "uploads/" + "n" * 1012 + ".mp4"), CONTEXT)
    [text] = world.executions.values()
    error = ExecutionInput.model_validate_json(text).error
    assert error is not None
    assert error.Error == REJECTED_ERROR
    assert error.Cause.startswith("the file's name is ")
    assert error.Cause.endswith("the limit is 1024; choose a shorter name")


def test_the_registry_shows_a_started_job(world: World) -> None:
    handler.handler(upload(world, "uploads/film.mp4"), CONTEXT)
    [job_id] = world.executions
    record = world.record(job_id)
    assert record.status is JobStatus.RUNNING
    assert record.stage is None
    assert record.execution_arn == (
        f"arn:aws:states:eu-west-1:123456789012:execution:superres:{job_id}"
    )
    item = world.item("job", job_id)
    assert item is not None
    assert item["expires_at"] > 0


def test_an_event_delivered_twice_starts_one_execution(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = upload(world, "uploads/film.mp4")
    handler.handler(sent, CONTEXT)
    [job_id] = world.executions
    first = world.record(job_id)
    handler.handler(sent, CONTEXT)
    assert len(world.executions) == 1
    assert world.record(job_id) == first
    assert capsys.readouterr().out.count('"JobsStarted":[1.0]') == 1


def test_a_new_version_of_a_key_is_a_new_job_even_if_its_event_comes_first(world: World) -> None:
    old = upload(world, "uploads/film.mp4")
    new = upload(world, "uploads/film.mp4", {"superres-scale": "3"})
    handler.handler(new, CONTEXT)
    handler.handler(old, CONTEXT)
    versions = {json.loads(text)["source"]["version_id"] for text in world.executions.values()}
    assert versions == {e["detail"]["object"]["version-id"] for e in (old, new)}


def test_an_upload_deleted_meanwhile_is_left_alone(world: World) -> None:
    sent = upload(world, "uploads/film.mp4")
    version = sent["detail"]["object"]["version-id"]
    world.s3.delete_object(Bucket=world.source, Key="uploads/film.mp4", VersionId=version)
    handler.handler(sent, CONTEXT)
    assert not world.executions


def test_a_folder_is_no_film(world: World) -> None:
    handler.handler(upload(world, "uploads/holiday/"), CONTEXT)
    assert not world.executions


def test_refused_settings_start_an_execution_that_says_so_and_write_no_job(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = upload(world, "uploads/film.mp4", {"superres-scale": "7", "owner": "somebody"})
    handler.handler(sent, CONTEXT)
    handler.handler(sent, CONTEXT)
    [(job_id, text)] = world.executions.items()
    started = ExecutionInput.model_validate_json(text)
    assert started.error is not None
    assert started.error.Error == REJECTED_ERROR
    assert started.error.Cause == "superres-scale: got '7', must be 2, 3 or 4"
    assert world.objects.read(world.intermediate, keys.job_key(job_id), 1) is None
    assert world.record(job_id).status is JobStatus.RUNNING
    assert capsys.readouterr().out.count('"JobsRejected":[1.0]') == 1


def test_an_accepted_job_has_no_error_field_for_the_workflow_to_find(world: World) -> None:
    handler.handler(upload(world, "uploads/film.mp4"), CONTEXT)
    [text] = world.executions.values()
    assert "error" not in json.loads(text)


def test_a_throttled_start_fails_so_that_the_event_comes_again(world: World) -> None:
    sent = upload(world, "uploads/film.mp4")
    world.refuse["StartExecution"] = "ThrottlingException"
    with pytest.raises(Exception, match="ThrottlingException"):
        handler.handler(sent, CONTEXT)
    assert world.dynamodb.scan(TableName=world.table)["Count"] == 1  # before anything can end
    assert len(list(world.objects.list(world.intermediate, keys.JOBS))) == 1
    world.refuse.clear()
    handler.handler(sent, CONTEXT)
    assert len(world.executions) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_death_at_any_call_is_made_good_by_redelivery(
    world: World, call: int, moment: str
) -> None:
    sent = upload(world, "uploads/film.mp4")
    world.counted, world.kill_at = 0, (call, moment)
    with pytest.raises(KilledError):
        handler.handler(sent, CONTEXT)
    world.kill_at = None
    handler.handler(sent, CONTEXT)
    [job_id] = world.executions
    assert world.record(job_id).status is JobStatus.RUNNING
    assert world.objects.read(world.intermediate, keys.job_key(job_id), 1) is not None


def test_an_event_without_a_version_is_refused_in_one_sentence() -> None:
    sent = event("bucket", "uploads/film.mp4", "v")
    del sent["detail"]["object"]["version-id"]
    with pytest.raises(ContractError, match=r"^S3 event: object\.version-id: is missing$"):
        decide.Upload.from_event(sent)


@given(key=st.text(min_size=1, max_size=200), version=st.text(min_size=1, max_size=64))
def test_any_key_survives_from_event_to_execution_input(key: str, version: str) -> None:
    sent = json.loads(json.dumps(event("bucket", "uploads/" + key, version)))
    head = ObjectHead(size=1, etag="e", metadata={})
    start = decide.plan(decide.Upload.from_event(sent), head)
    received = ExecutionInput.model_validate_json(start.execution_json)
    assert received.source == SourceObject(
        bucket="bucket", key="uploads/" + key, version_id=version, etag="e", size=1
    )
    assert start.job is not None
    assert Job.model_validate_json(start.job.to_json()) == start.job


@given(
    st.dictionaries(
        st.sampled_from(["superres-scale", "superres-codec", "superres-quality", "superres-x"]),
        st.text(max_size=8),
        min_size=1,
    )
)
def test_any_metadata_gives_a_job_or_a_sentence_and_always_the_same(raw: dict[str, str]) -> None:
    upload_ = decide.Upload.from_event(event("bucket", "uploads/film.mp4", "v"))
    shuffled = dict(reversed(raw.items())) | {"owner": "somebody"}
    first = decide.plan(upload_, ObjectHead(size=1, etag="e", metadata=raw))
    second = decide.plan(upload_, ObjectHead(size=1, etag="e", metadata=shuffled))
    assert first == second
    assert (first.job is None) == (first.execution.error is not None)


def test_an_environment_with_a_missing_variable_is_refused_in_one_sentence() -> None:
    with pytest.raises(ContractError, match="SUPERRES_REGISTRY_TABLE: is missing"):
        TriggerEnvironment.read(
            {"SUPERRES_STATE_MACHINE_ARN": STATE_MACHINE, "SUPERRES_INTERMEDIATE_BUCKET": "b"}
        )
