"""Lambda functions and what wakes them."""

import json
from pathlib import Path

import pulumi
import pytest

from components.functions import REPOSITORY, ScheduleSource, code_archive
from tests.infra.support.recorder import Deployment

FROM_QUEUES = {
    "extract-frames": "extract-frames",
    "process-frames": "processing",
    "recompose-video": "recomposition",
    "completion-notification": "notification",
}
FROM_EVENTS = ("trigger", "job-state", "execution-ended", "reconciler")
"""Of the account's bus, and of the clock."""


def test_there_are_eight_functions(stack: Deployment) -> None:
    prefix = f"superres-{stack.stack}-"
    names = {f.name.removeprefix(prefix) for f in stack.of("Function")}
    assert names == {*FROM_QUEUES, *FROM_EVENTS}


def test_functions_differ_only_in_what_they_must(stack: Deployment) -> None:
    layer = "arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python311"
    for function in stack.of("Function"):
        assert function.inputs["runtime"] == "python3.11"
        assert function.inputs["architectures"] == ["arm64"]
        assert function.inputs["layers"] == [f"{layer}-arm64:27"]
        assert function.inputs["loggingConfig"]["logFormat"] == "JSON"


def test_each_queue_feeds_its_function_with_partial_batch_responses(stack: Deployment) -> None:
    for name, queue in FROM_QUEUES.items():
        mapping = stack.one("EventSourceMapping", name).inputs
        assert mapping["eventSourceArn"] == stack.one("Queue", queue).arn
        assert mapping["functionName"] == stack.one("Function", name).arn
        assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["batchSize"] <= 10


def test_events_that_nobody_could_handle_are_kept(stack: Deployment) -> None:
    for name in FROM_EVENTS:
        function, dlq = stack.one("Function", name), stack.one("Queue", f"{name}-dlq")
        target = stack.one("EventTarget", name).inputs
        assert target["arn"] == function.arn
        assert target["deadLetterConfig"] == {"arn": dlq.arn}
        later = stack.one("FunctionEventInvokeConfig", name).inputs
        assert later["destinationConfig"] == {"onFailure": {"destination": dlq.arn}}
        allowed = stack.one("Permission", name).inputs
        assert allowed["principal"] == "events.amazonaws.com"
        assert allowed["sourceArn"] == stack.one("EventRule", name).arn


def test_an_upload_wakes_the_trigger(prod: Deployment) -> None:
    assert json.loads(prod.one("EventRule", "trigger").inputs["eventPattern"]) == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [prod.outputs["source_bucket"]]},
            "object": {"key": [{"prefix": "uploads/"}]},
        },
    }


def test_ends_of_jobs_in_our_queues_wake_the_job_state_function(prod: Deployment) -> None:
    pattern = json.loads(prod.one("EventRule", "job-state").inputs["eventPattern"])
    assert pattern["source"] == ["aws.batch"]
    assert pattern["detail-type"] == ["Batch Job State Change"]
    assert set(pattern["detail"]["jobQueue"]) == {
        prod.outputs["media_queue_arn"],
        prod.outputs["process_queue_arn"],
    }


def test_a_childs_success_wakes_nobody_but_its_failure_does(prod: Deployment) -> None:
    pattern = json.loads(prod.one("EventRule", "job-state").inputs["eventPattern"])
    assert pattern["detail"]["$or"] == [
        {"status": ["FAILED"]},
        {"status": ["SUCCEEDED"], "arrayProperties": {"index": [{"exists": False}]}},
    ]


@pytest.mark.parametrize("name", FROM_QUEUES)
def test_polling_never_outruns_a_reserve(name: str, prod: Deployment, local: Deployment) -> None:
    function, mapping = prod.one("Function", name), prod.one("EventSourceMapping", name)
    assert function.inputs["reservedConcurrentExecutions"] == 20
    assert mapping.inputs["scalingConfig"] == {"maximumConcurrency": 10}
    assert "reservedConcurrentExecutions" not in local.one("Function", name).inputs


def test_ends_of_executions_that_leave_work_behind_wake_who_ends_it(prod: Deployment) -> None:
    assert json.loads(prod.one("EventRule", "execution-ended").inputs["eventPattern"]) == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [prod.outputs["state_machine_arn"]],
            "status": ["FAILED", "ABORTED", "TIMED_OUT"],
        },
    }


def test_the_reconciler_looks_by_the_clock_and_never_twice_at_once(
    prod: Deployment, local: Deployment
) -> None:
    rule, function = prod.one("EventRule", "reconciler"), prod.one("Function", "reconciler")
    assert rule.inputs["scheduleExpression"] == "rate(5 minutes)"
    assert "eventPattern" not in rule.inputs
    assert function.inputs["timeout"] < 5 * 60
    assert function.inputs["reservedConcurrentExecutions"] == 1
    assert "reservedConcurrentExecutions" not in local.one("Function", "reconciler").inputs


@pytest.mark.parametrize(("minutes", "text"), [(1, "rate(1 minute)"), (2, "rate(2 minutes)")])
def test_a_rate_is_spelt_as_eventbridge_wants_it(minutes: int, text: str) -> None:
    assert ScheduleSource(minutes=minutes).expression == text


def test_tracing_is_on_with_its_permission_or_off_without(
    prod: Deployment, local: Deployment
) -> None:
    for function in prod.of("Function"):
        assert function.inputs["tracingConfig"] == {"mode": "Active"}
        name = function.name.removeprefix("superres-prod-")
        assert prod.policy(name)["xray:PutTraceSegments"] == ["*"]
    assert prod.one("StateMachine", "").inputs["tracingConfiguration"] == {"enabled": True}
    assert not [f for f in local.of("Function") if "tracingConfig" in f.inputs]
    assert local.one("StateMachine", "").inputs["tracingConfiguration"] == {"enabled": False}
    for _, document in local.policies():
        assert "xray:" not in json.dumps(document)


def test_an_incomplete_checkout_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lambdas").mkdir()
    (tmp_path / "lambdas" / "code.py").touch()
    with pytest.raises(pulumi.RunError, match=r"no Python files in .*/contracts; run pulumi in a"):
        code_archive(tmp_path)


def test_the_archive_holds_the_sources_of_two_packages_and_nothing_else() -> None:
    files = set(code_archive().assets)
    on_disk = {
        path.relative_to(REPOSITORY).as_posix()
        for package in ("contracts", "lambdas")
        for path in (REPOSITORY / package).rglob("*.py")
    }
    assert files == on_disk
    assert {"contracts/__init__.py", "lambdas/__init__.py"} <= files
