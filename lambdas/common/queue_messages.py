"""Partial batch responses for functions behind a queue."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    ExceptionInfo,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.base import FailureResponse
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from contracts.base import ContractError
from lambdas.common.observability import logger
from lambdas.common.values import BusyError


class _LoggingProcessor(BatchProcessor):
    """Logs each failure; a batch that fails as a whole is reported message by message too."""

    def __init__(self) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False)

    def failure_handler(self, record: SQSRecord, exception: ExceptionInfo) -> FailureResponse:
        extra = {"message_id": record.message_id}
        if isinstance(exception[1], ContractError | BusyError):
            logger.warning("message returned to its queue: %s", exception[1], extra=extra)
        else:
            logger.error("message failed", exc_info=exception[1], extra=extra)
        return super().failure_handler(record, exception)


def process_bodies(
    event: dict[str, Any], process: Callable[[str], None]
) -> PartialItemFailureResponse:
    """Call `process` with each SQS record's body; report only those that failed.

    SQS delivers a failed record again, and after the queue's limit moves it to its dead letters.
    """

    def process_record(record: SQSRecord) -> None:
        process(record.body)

    return process_partial_response(event, process_record, _LoggingProcessor())
