"""Partial batch responses for functions behind a queue."""

from collections.abc import Callable
from typing import Any

from contracts.base import ContractError
from lambdas.common.observability import logger
from lambdas.common.values import BusyError


def for_each_body(event: dict[str, Any], take: Callable[[str], None]) -> dict[str, Any]:
    """Call `take` with each SQS record's body; report only those that failed.

    A failed record is delivered again, and after the queue's limit goes to its dead letters.
    """
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            take(record["body"])
        except (ContractError, BusyError) as error:
            logger.warning(
                "message given back: %s", error, extra={"message_id": record["messageId"]}
            )
            failed.append({"itemIdentifier": record["messageId"]})
        except Exception:  # noqa: BLE001 one record's fault must not take its neighbours along
            logger.exception("message failed", extra={"message_id": record["messageId"]})
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
