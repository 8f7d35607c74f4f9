"""How a worker begins and how it gives up."""

import errno
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from containers.common.runtime.errors import NO_ROOM
from containers.common.runtime.worker import (
    Interrupted,
    Task,
    WorkerError,
    run_worker,
)
from containers.media.__main__ import main
from contracts import keys
from contracts.base import ContractError
from contracts.messages import Failure
from contracts.names import ExitCode, Stage
from contracts.stack.environ import RecomposeEnvironment
from tests.support.bench import INTERMEDIATE_BUCKET
from tests.support.fake_s3 import FakeS3, client_error

JOB = "film-0123456789abcdef0123"
ENVIRON = {
    "SUPERRES_JOB_ID": JOB,
    "SUPERRES_INTERMEDIATE_BUCKET": INTERMEDIATE_BUCKET,
    "SUPERRES_FINAL_BUCKET": "the-final",
}


def run(s3: FakeS3, body: Any, **environ: str) -> int:
    return run_worker(
        Stage.RECOMPOSE, RecomposeEnvironment, body, environ={**ENVIRON, **environ}, client=s3
    )


def failure(s3: FakeS3, number: int = 0) -> Failure:
    key = keys.failure_key(JOB, Stage.RECOMPOSE, number)
    return Failure.model_validate_json(s3.text(INTERMEDIATE_BUCKET, key))


def raising(error: BaseException) -> Any:
    def body(_task: Task[RecomposeEnvironment]) -> None:
        raise error

    return body


def test_a_worker_that_finishes_exits_0_and_leaves_no_failure() -> None:
    s3 = FakeS3()
    assert run(s3, lambda _task: None) == ExitCode.OK
    assert s3.objects == {}


def test_the_body_gets_its_environment_and_its_array_index() -> None:
    seen: list[Task[RecomposeEnvironment]] = []
    run(FakeS3(), seen.append, AWS_BATCH_JOB_ARRAY_INDEX="7")
    assert (seen[0].run, seen[0].environment.job_id) == (7, JOB)


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WorkerError(ExitCode.BAD_SOURCE, "it is broken"), ExitCode.BAD_SOURCE),
        (WorkerError(ExitCode.LIMIT_EXCEEDED, "it is too long"), ExitCode.LIMIT_EXCEEDED),
        (ContractError("scale: got 7"), ExitCode.BAD_REQUEST),
        (EndpointConnectionError(endpoint_url="http://s3"), ExitCode.TRANSIENT),
        (client_error("SlowDown", 503, "PutObject"), ExitCode.TRANSIENT),
        (client_error("ExpiredToken", 400, "PutObject"), ExitCode.TRANSIENT),
        (client_error("AccessDenied", 403, "PutObject"), ExitCode.CRASH),
        (ZeroDivisionError("oops"), ExitCode.CRASH),
    ],
)
def test_every_way_to_give_up_has_its_exit_code_and_a_failure_record(
    error: Exception, code: ExitCode
) -> None:
    s3 = FakeS3()
    assert run(s3, raising(error)) == code
    left = failure(s3)
    assert (left.exit_code, left.error, left.stage) == (code, code.error, Stage.RECOMPOSE)
    assert str(error).split(":")[0] in left.message


@pytest.mark.logs_errors
def test_a_full_disk_is_named_whoever_met_it() -> None:
    s3, met = FakeS3(), RuntimeError("the encoder failed")
    met.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert run(s3, raising(met)) == ExitCode.CRASH
    assert failure(s3).message == NO_ROOM


@pytest.mark.logs_errors
def test_the_failure_record_of_an_array_child_carries_its_run() -> None:
    s3 = FakeS3()
    run(s3, raising(WorkerError(ExitCode.UNSUPPORTED, "no")), AWS_BATCH_JOB_ARRAY_INDEX="12")
    assert failure(s3, 12).run == 12


@pytest.mark.logs_errors
def test_a_wrong_environment_is_a_bad_request() -> None:
    code = run_worker(
        Stage.RECOMPOSE, RecomposeEnvironment, raising(AssertionError()), environ={}, client=None
    )
    assert code == ExitCode.BAD_REQUEST


@pytest.mark.logs_errors
def test_a_failure_that_cannot_be_written_still_gives_the_exit_code() -> None:
    s3 = FakeS3()
    s3.failing["PutObject"] = client_error("SlowDown", 503, "PutObject")
    assert run(s3, raising(WorkerError(ExitCode.BAD_SOURCE, "broken"))) == ExitCode.BAD_SOURCE


@pytest.mark.logs_errors
def test_sigterm_ends_the_work_with_143_and_leaves_no_failure() -> None:
    s3 = FakeS3()

    def body(_task: Task[RecomposeEnvironment]) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the work went on")

    assert run(s3, body) == ExitCode.INTERRUPTED
    assert s3.objects == {}


def test_sigterm_counts_even_where_a_library_turns_it_into_another_error() -> None:
    s3 = FakeS3()

    def body(_task: Task[RecomposeEnvironment]) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Interrupted:
            raise WorkerError(ExitCode.BAD_SOURCE, "the film ends here") from None

    assert run(s3, body) == ExitCode.INTERRUPTED
    assert s3.objects == {}


def test_the_signal_handler_is_taken_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(FakeS3(), lambda _task: None)
    assert signal.getsignal(signal.SIGTERM) is before


SLEEPER = """
import sys, time
from containers.common.runtime.worker import run_worker
from contracts.stack.environ import RecomposeEnvironment
from contracts.names import Stage

def body(task):
    sys.stdout.write("ready")
    sys.stdout.flush()
    time.sleep(60)

sys.exit(run_worker(Stage.RECOMPOSE, RecomposeEnvironment, body, client=object()))
"""


def test_a_worker_process_that_is_terminated_exits_143() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        env={**os.environ, **ENVIRON},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == b"ready"
    started = time.monotonic()
    process.terminate()
    _, log = process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED, log
    assert b"interrupted by SIGTERM" in log
    assert time.monotonic() - started < 60


def test_an_unknown_command_is_a_bad_request() -> None:
    assert main(["transmogrify"]) == ExitCode.BAD_REQUEST
