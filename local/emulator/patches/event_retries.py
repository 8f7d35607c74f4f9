"""EventBridge invokes functions asynchronously: two retries, then the function's destination.

ministack calls them once and forgets.
"""

import json
import logging
from collections.abc import Callable

from ministack.services import eventbridge, lambda_svc

from local.emulator.patching import wrap

NEEDS = {
    "ministack.services.eventbridge": ("_dispatch_to_lambda",),
    "ministack.services.lambda_svc": ("_get_func_record_for_ref", "invoke_async_with_retry"),
}

log = logging.getLogger(__name__)


def apply() -> None:
    wrap(eventbridge, "_dispatch_to_lambda", _with_retries)


def _with_retries(_: Callable[..., None]) -> Callable[..., None]:
    def dispatch_to_lambda(arn: str, payload: str) -> None:
        function, _, name = lambda_svc._get_func_record_for_ref(arn)
        if function is None:
            log.warning("FailedInvocation: function %s does not exist", name)
            return
        lambda_svc.invoke_async_with_retry(function, json.loads(payload))

    return dispatch_to_lambda
