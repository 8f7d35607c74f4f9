"""A queue's messages fail one by one, and each failure is logged once, as what it is."""

import logging

import pytest

from contracts.base import ContractError
from lambdas.common.queue_messages import process_bodies
from lambdas.common.values import BusyError
from tests.unit.lambdas.support import KilledError, sqs_event


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("error", "level", "traceback"),
    [
        (ContractError("no such field"), logging.WARNING, False),
        (BusyError("another delivery is at work"), logging.WARNING, False),
        (OSError("no network"), logging.ERROR, True),
    ],
)
def test_a_batch_that_fails_as_a_whole_is_reported_and_logged_message_by_message(
    caplog: pytest.LogCaptureFixture, error: Exception, level: int, traceback: bool
) -> None:
    def fail(_: str) -> None:
        raise error

    answer = process_bodies(sqs_event("a", "b"), fail)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m1"}]}
    ours = [record for record in caplog.records if record.name == "superres"]
    assert [record.levelno for record in ours] == [level, level]
    assert [vars(record)["message_id"] for record in ours] == ["m0", "m1"]
    assert all(bool(record.exc_info) is traceback for record in ours)


def test_a_death_is_no_failure_of_a_message() -> None:
    def die(_: str) -> None:
        raise KilledError("SubmitJob")

    with pytest.raises(KilledError):
        process_bodies(sqs_event("a"), die)
