"""The state machine: valid, complete, and its messages are the contracts'."""

import json
from pathlib import Path
from typing import Any

import pytest
from statelint.linter import Linter

from components.workflow import Topics, definition
from contracts.base import SCHEMA_VERSION
from contracts.messages import ExtractResult, Notification, RecomposeResult, StageRequest
from contracts.names import ExitCode, JobStatus, Stage
from tests.infra.support.recorder import STACKS, deployment

TOPICS = Topics(
    stages={stage: f"arn:aws:sns:us-east-1:123456789012:{stage.value}" for stage in Stage},
    notification="arn:aws:sns:us-east-1:123456789012:notification",
)
MACHINE = definition(TOPICS)
GOLDEN = Path(__file__).with_name("state_machine.json")
STATES: dict[str, dict[str, Any]] = MACHINE["States"]
STAGES = {"Extract": Stage.EXTRACT, "Process": Stage.PROCESS, "Recompose": Stage.RECOMPOSE}
ENDS = {"NotifySuccess": JobStatus.SUCCEEDED, "NotifyFailure": JobStatus.FAILED}


def _fields(message: dict[str, Any]) -> set[str]:
    return {name.removesuffix(".$") for name in message}


def test_the_machine_is_the_one_that_was_reviewed() -> None:
    """Whoever changes the machine changes its file too; the two are read side by side in review."""
    text = json.dumps(MACHINE, indent=2) + "\n"
    assert GOLDEN.read_text() == text, f"write this into {GOLDEN.name}:\n{text}"


@pytest.mark.parametrize("stack", STACKS)
def test_the_deployed_machine_is_clean(stack: str) -> None:
    machine = deployment(stack).one("StateMachine", "").inputs["definition"]
    assert Linter.validate(json.loads(machine)) == []


def test_the_linter_sees_a_broken_machine() -> None:
    broken = definition(TOPICS)
    broken["States"]["Extract"]["Next"] = "Nowhere"
    assert any("Nowhere" in problem for problem in Linter.validate(broken))


def test_the_stages_follow_each_other() -> None:
    path = ["Extract"]
    while "Next" in STATES[path[-1]]:
        path.append(STATES[path[-1]]["Next"])
    assert path == ["Extract", "Process", "Recompose", "NotifySuccess", "Succeeded"]


def test_a_refused_job_goes_straight_to_its_notification() -> None:
    """The contract writes an absent error as null, so both must be looked at."""
    (choice,) = STATES["Accepted"]["Choices"]
    assert MACHINE["StartAt"] == "Accepted"
    assert STATES["Accepted"]["Default"] == "Extract"
    assert choice["Next"] == "NotifyFailure"
    assert choice["And"] == [
        {"Variable": "$.error", "IsPresent": True},
        {"Variable": "$.error", "IsNull": False},
    ]


@pytest.mark.parametrize(("name", "stage"), STAGES.items())
def test_a_stage_asks_by_a_whole_stage_request_and_waits(name: str, stage: Stage) -> None:
    state = STATES[name]
    message = state["Parameters"]["Message"]
    assert state["Resource"].endswith(":sns:publish.waitForTaskToken")
    assert state["Parameters"]["TopicArn"] == TOPICS.stages[stage]
    assert _fields(message) == set(StageRequest.model_fields)
    assert message["schema_version"] == SCHEMA_VERSION
    assert message["stage"] == stage.value
    assert message["task_token.$"] == "$$.Task.Token"
    assert state["ResultPath"] == f"$.{stage.value}"


def test_what_the_workflow_sends_is_what_a_stage_function_reads() -> None:
    message = dict(STATES["Extract"]["Parameters"]["Message"])
    sent = {k: v for k, v in message.items() if not k.endswith(".$")}
    request = StageRequest.parse(json.dumps({**sent, "job_id": "film-1", "task_token": "t"}))
    assert (request.stage, request.array_size) == (Stage.EXTRACT, 1)


def test_the_plan_decides_width_and_time_limits() -> None:
    message = STATES["Process"]["Parameters"]["Message"]
    assert message["array_size.$"] == "$.extract.runs"
    assert STATES["Process"]["TimeoutSecondsPath"] == "$.extract.process_timeout_seconds"
    assert STATES["Recompose"]["TimeoutSecondsPath"] == "$.extract.recompose_timeout_seconds"
    assert STATES["Extract"]["TimeoutSeconds"] > 0
    wanted = {"runs", "process_timeout_seconds", "recompose_timeout_seconds"}
    assert wanted <= set(ExtractResult.model_fields)


@pytest.mark.parametrize(("name", "status"), ENDS.items())
def test_both_ends_send_a_whole_notification(name: str, status: JobStatus) -> None:
    state = STATES[name]
    message = state["Parameters"]["Message"]
    assert state["Resource"] == "arn:aws:states:::sns:publish"
    assert state["Parameters"]["TopicArn"] == TOPICS.notification
    assert _fields(message) == set(Notification.model_fields)
    assert message["status"] == status.value


def test_a_success_carries_result_report_and_remarks() -> None:
    message = STATES["NotifySuccess"]["Parameters"]["Message"]
    for name in ("result", "report", "remarks"):
        assert message[f"{name}.$"] == f"$.recompose.{name}"
        assert name in RecomposeResult.model_fields


def test_every_failure_of_a_stage_is_notified() -> None:
    """A time-out comes without the cause that the notification shows."""
    for name in STAGES:
        catches = {c["ErrorEquals"][0]: c for c in STATES[name]["Catch"]}
        assert catches["States.Timeout"]["Next"] == "TimedOut"
        assert catches["States.ALL"]["Next"] == "NotifyFailure"
        assert {c["ResultPath"] for c in catches.values()} == {"$.error"}
    assert STATES["TimedOut"]["Result"].keys() == {"Error", "Cause"}
    assert STATES["TimedOut"]["ResultPath"] == "$.error"
    assert STATES["TimedOut"]["Next"] == "NotifyFailure"
    assert STATES["NotifyFailure"]["Next"] == "Failed"
    assert STATES["NotifyFailure"]["Catch"][0]["Next"] == "Failed"


def test_a_film_that_is_done_stays_done_though_nobody_can_be_told() -> None:
    (caught,) = STATES["NotifySuccess"]["Catch"]
    assert caught == {"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "Succeeded"}


def test_a_failed_job_fails_the_execution_under_its_own_name() -> None:
    assert STATES["Failed"] == {
        "Type": "Fail",
        "ErrorPath": "$.error.Error",
        "CausePath": "$.error.Cause",
    }


def test_only_publishing_is_retried_never_a_stage() -> None:
    ours = {code.error for code in ExitCode}
    for state in STATES.values():
        for retry in state.get("Retry", []):
            assert all(error.startswith("SNS.") for error in retry["ErrorEquals"])
            assert not ours & set(retry["ErrorEquals"])


def test_the_data_of_an_execution_stays_out_of_the_log() -> None:
    """It holds task tokens."""
    logged = deployment("prod").one("StateMachine", "").inputs["loggingConfiguration"]
    assert logged["level"] == "ALL"
    assert logged["includeExecutionData"] is False
