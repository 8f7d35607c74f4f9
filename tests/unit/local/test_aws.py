"""The embedded AWS as a whole: a deployed program, with IAM enforced."""

import json
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.local_aws import (
    Server,
    eventually,
    shared_server,
)


@pytest.fixture
def server() -> Server:
    return shared_server()


def submit(server: Server, name: str, code: str, **fields: Any) -> str:
    answer = server.client("batch").submit_job(
        jobName=name,
        jobQueue=server.outputs["queue"],
        jobDefinition=server.outputs["definition"],
        containerOverrides={
            "command": ["python", "-c", code],
            "environment": [{"name": "COLOUR", "value": "blue"}],
        },
        **fields,
    )
    return answer["jobId"]


def job_ended(server: Server, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        (job,) = server.client("batch").describe_jobs(jobs=[job_id])["jobs"]
        return job if job["status"] in ("SUCCEEDED", "FAILED") else None

    return eventually(look)


def execution_ended(server: Server, machine: str, data: dict[str, Any]) -> dict[str, Any]:
    states = server.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=server.outputs[machine], input=json.dumps(data))[
        "executionArn"
    ]

    def look() -> dict[str, Any] | None:
        found = states.describe_execution(executionArn=arn)
        return found if found["status"] != "RUNNING" else None

    return eventually(look)


def events(server: Server) -> list[dict[str, Any]]:
    """Details of events that nobody has read yet."""
    answer = server.client("sqs").receive_message(
        QueueUrl=server.outputs["seen"], MaxNumberOfMessages=10, VisibilityTimeout=600
    )
    bodies = [json.loads(one["Body"]) for one in answer.get("Messages", [])]
    return [body.get("detail", body) for body in bodies]


def test_a_job_runs_with_its_definitions_and_its_own_settings(server: Server) -> None:
    code = "import os; print(os.environ['COLOUR'], os.environ['BUCKET'])"
    found = job_ended(server, submit(server, "settings", code))
    assert found["status"] == "SUCCEEDED"
    assert found["retryStrategy"]["attempts"] == 3
    log = server.logs / found["container"]["logStreamName"]
    assert log.read_text().split() == ["blue", server.outputs["bucket"]]


def test_a_job_may_do_what_its_role_says_and_nothing_else(server: Server) -> None:
    code = (
        "import boto3, os\n"
        "s3, bucket = boto3.client('s3'), os.environ['BUCKET']\n"
        "s3.put_object(Bucket=bucket, Key='out/film', Body=b'x')\n"
        "s3.put_object(Bucket=bucket, Key='out/two\\nlines', Body=b'x')\n"
        "try: s3.put_object(Bucket=bucket, Key='other/film', Body=b'x')\n"
        "except Exception as error: print(error)\n"
        "boto3.client('batch').list_jobs(jobQueue='x')\n"
    )
    found = job_ended(server, submit(server, "permissions", code))
    log = (server.logs / found["container"]["logStreamName"]).read_text()
    assert found["container"]["exitCode"] == 1
    assert "AccessDenied" in log
    assert "not authorized to perform: batch:ListJobs" in log
    keys = server.client("s3").list_objects_v2(Bucket=server.outputs["bucket"])["Contents"]
    assert {"out/film", "out/two\nlines"} <= {entry["Key"] for entry in keys}
    assert "other/film" not in [entry["Key"] for entry in keys]


def test_an_array_is_listed_described_and_told_of_by_child(server: Server) -> None:
    code = "import os; raise SystemExit(int(os.environ['AWS_BATCH_JOB_ARRAY_INDEX']))"
    parent = submit(server, "array", code, arrayProperties={"size": 2})
    assert job_ended(server, parent)["arrayProperties"]["statusSummary"]["FAILED"] == 1
    batch = server.client("batch")
    named = batch.list_jobs(
        jobQueue=server.outputs["queue"], filters=[{"name": "JOB_NAME", "values": ["ARR*"]}]
    )
    assert [job["jobId"] for job in named["jobSummaryList"]] == [parent]
    failed = batch.list_jobs(arrayJobId=parent, jobStatus="FAILED")["jobSummaryList"]
    assert [job["arrayProperties"]["index"] for job in failed] == [1]
    told: dict[str, str] = {}

    def hear() -> bool:
        told.update((d["jobId"], d["status"]) for d in events(server) if "jobId" in d)
        return parent in told

    eventually(hear)
    expected = {parent: "FAILED", f"{parent}:0": "SUCCEEDED", f"{parent}:1": "FAILED"}
    assert {name: told[name] for name in expected} == expected


def test_a_running_job_is_terminated(server: Server) -> None:
    job = submit(server, "endless", "import time; time.sleep(600)")
    batch = server.client("batch")
    eventually(lambda: batch.describe_jobs(jobs=[job])["jobs"][0]["status"] == "RUNNING")
    batch.terminate_job(jobId=job, reason="no longer wanted")
    assert job_ended(server, job)["statusReason"] == "no longer wanted"


def test_a_mistaken_submission_is_refused_in_one_sentence(server: Server) -> None:
    with pytest.raises(ClientError, match="Array size must be between 2 and 10000, got 1"):
        submit(server, "one", "pass", arrayProperties={"size": 1})


def test_an_upload_is_told_with_its_version_to_those_who_may_hear_it(server: Server) -> None:
    put = server.client("s3").put_object(
        Bucket=server.outputs["bucket"], Key="out/ä film+1", Body=b"x"
    )
    wanted = {"key": "out/ä film+1", "version-id": put["VersionId"]}

    def hear() -> list[dict[str, Any]]:
        return [
            d["object"] for d in events(server) if d.get("object", {}).items() >= wanted.items()
        ]

    assert eventually(hear)
    unheard = server.client("sqs").receive_message(QueueUrl=server.outputs["unheard"])
    assert "Messages" not in unheard  # its queue has no policy for events


def test_a_range_of_a_version_is_that_part_and_no_more(server: Server) -> None:
    s3, at = server.client("s3"), {"Bucket": server.outputs["bucket"], "Key": "out/ranged"}
    old = s3.put_object(**at, Body=b"0123456789")["VersionId"]
    s3.put_object(**at, Body=b"another")

    def read(wanted: str) -> tuple[bytes, str]:
        answer = s3.get_object(**at, VersionId=old, Range=wanted)
        return answer["Body"].read(), answer["ContentRange"]

    assert read("bytes=2-4") == (b"234", "bytes 2-4/10")
    assert read("bytes=-3") == (b"789", "bytes 7-9/10")
    assert read("bytes=8-99") == (b"89", "bytes 8-9/10")
    with pytest.raises(ClientError, match="InvalidRange"):
        read("bytes=10-")


def test_a_function_that_fails_an_event_is_retried_then_its_destination_told(
    server: Server,
) -> None:
    server.client("s3").put_object(Bucket=server.outputs["bucket"], Key="broken", Body=b"x")

    def hear() -> list[dict[str, Any]]:
        failed = [d for d in events(server) if "responsePayload" in d]
        return [d for d in failed if d["requestPayload"]["detail"]["object"]["key"] == "broken"]

    assert eventually(hear)[0]["responsePayload"]["errorType"] == "FilmBroken"


def test_a_function_reads_no_queue_that_its_role_may_not_read(server: Server) -> None:
    with pytest.raises(ClientError, match="permissions to call ReceiveMessage on SQS"):
        server.client("lambda").create_event_source_mapping(
            FunctionName=server.outputs["function"], EventSourceArn=server.outputs["seen_arn"]
        )


def test_a_function_takes_no_role_that_does_not_trust_lambda(server: Server) -> None:
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        server.client("lambda").create_function(
            FunctionName="other",
            Runtime="python3.11",
            Handler="main.handler",
            Role=server.outputs["job_role"],
            Code={"ZipFile": b""},
        )


def test_a_workflow_acts_with_its_role_only(server: Server) -> None:
    assert execution_ended(server, "publishes_allowed", {})["status"] == "SUCCEEDED"
    denied = execution_ended(server, "publishes_forbidden", {})
    assert denied["error"] == "SNS.AuthorizationErrorException"
    assert "not authorized to perform: sns:Publish" in denied["cause"]


def test_a_workflow_catches_a_functions_error_by_its_class(server: Server) -> None:
    assert execution_ended(server, "catches_by_class", {})["output"] == '"caught by name"'


def test_a_task_times_out_after_the_seconds_that_its_path_leads_to(server: Server) -> None:
    assert execution_ended(server, "waits_by_path", {"seconds": 1})["error"] == "States.Timeout"
    wrong = execution_ended(server, "waits_by_path", {"seconds": "soon"})
    assert wrong["error"] == "States.Runtime"


def test_a_task_without_heartbeat_fails(server: Server) -> None:
    found = execution_ended(server, "waits_for_heartbeat", {})
    assert found["error"] == "States.HeartbeatTimeout"


def state_events(server: Server, arn: str) -> list[str]:
    """Statuses told of an execution, as soon as there is one."""
    return eventually(lambda: [d["status"] for d in events(server) if d.get("executionArn") == arn])


def test_an_execution_past_its_own_limit_is_timed_out_and_told(server: Server) -> None:
    """Its task's Catch never sees that."""
    found = execution_ended(server, "waits_too_long", {})
    assert found["status"] == "TIMED_OUT"
    assert found["error"] == "States.Timeout"
    assert state_events(server, found["executionArn"]) == ["TIMED_OUT"]


def test_a_stopped_execution_is_told_and_its_token_dead(server: Server) -> None:
    states = server.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=server.outputs["waits_for_ever"])["executionArn"]
    token = eventually(lambda: [d["token"] for d in events(server) if "token" in d])[0]
    states.stop_execution(executionArn=arn, error="Changed", cause="my mind")
    with pytest.raises(ClientError, match=r"TaskDoesNotExist|TaskTimedOut"):
        states.send_task_success(taskToken=token, output="{}")
    assert state_events(server, arn) == ["ABORTED"]
    last = states.get_execution_history(executionArn=arn, reverseOrder=True)["events"][0]
    assert last["type"] == "ExecutionAborted"


def test_neither_unsigned_nor_wrongly_signed_requests_are_served(server: Server) -> None:
    place = {"region_name": "us-east-1", "endpoint_url": server.ready["endpoint"]}
    unsigned = boto3.client("s3", config=Config(signature_version=UNSIGNED), **place)
    guessed = boto3.client("s3", aws_access_key_id="test", aws_secret_access_key="test", **place)
    for client in (unsigned, guessed):
        with pytest.raises(ClientError):
            client.list_objects_v2(Bucket=server.outputs["bucket"])
