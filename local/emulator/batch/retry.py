"""Whether a failed attempt is retried.

https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
"""

import re
from typing import Any

from contracts.limits import BATCH_ATTEMPTS_MAX, BATCH_EXIT_RULES_MAX
from local.emulator.batch.model import AttemptOutcome, BatchError, ExitRule

_PATTERN_CHARS = 512
_EXIT_CODE = re.compile(r"[0-9]*\*?")
_REASON = re.compile(r"[A-Za-z0-9.:\s]*\*?")
_CONDITIONS = {"onStatusReason": _REASON, "onReason": _REASON, "onExitCode": _EXIT_CODE}


def should_retry(
    rules: tuple[ExitRule, ...], attempts: int, done: int, outcome: AttemptOutcome
) -> bool:
    """`done` attempts of `attempts` have run and the last ended as `outcome`.

    The first rule whose conditions all match decides; without a match the job is retried.
    """
    if done >= attempts or not outcome.retryable:
        return False
    for rule in rules:
        if _matches(rule, outcome):
            return rule.retry
    return True


def _matches(rule: ExitRule, outcome: AttemptOutcome) -> bool:
    code = "" if outcome.exit_code is None else str(outcome.exit_code)
    pairs = (
        (rule.on_status_reason, outcome.status_reason),
        (rule.on_reason, outcome.reason or ""),
        (rule.on_exit_code, code),
    )
    return all(glob(pattern, value) for pattern, value in pairs if pattern is not None)


def glob(pattern: str, value: str) -> bool:
    """Exact, or by prefix where the pattern ends with an asterisk; case does not matter."""
    pattern, value = pattern.lower(), value.lower()
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern


def parse_retry_strategy(strategy: dict[str, Any]) -> tuple[int, tuple[ExitRule, ...]]:
    """(attempts, rules). Raises BatchError where AWS would refuse it."""
    attempts = strategy.get("attempts", 1)
    if not 1 <= attempts <= BATCH_ATTEMPTS_MAX:
        raise BatchError(
            f"retryStrategy attempts must be between 1 and {BATCH_ATTEMPTS_MAX}, got {attempts}."
        )
    rules = strategy.get("evaluateOnExit") or []
    if len(rules) > BATCH_EXIT_RULES_MAX:
        raise BatchError(
            f"evaluateOnExit takes at most {BATCH_EXIT_RULES_MAX} rules, got {len(rules)}."
        )
    if rules and "attempts" not in strategy:
        raise BatchError("retryStrategy with evaluateOnExit must say attempts too.")
    return attempts, tuple(_parse_rule(rule) for rule in rules)


def _parse_rule(rule: dict[str, Any]) -> ExitRule:
    action = str(rule.get("action", "")).upper()
    if action not in ("RETRY", "EXIT"):
        raise BatchError(f"evaluateOnExit action must be RETRY or EXIT, got {action!r}.")
    if not any(name in rule for name in _CONDITIONS):
        raise BatchError("an evaluateOnExit rule needs onStatusReason, onReason or onExitCode.")
    for name, allowed in _CONDITIONS.items():
        pattern = rule.get(name)
        if pattern is None:
            continue
        if len(pattern) > _PATTERN_CHARS or not allowed.fullmatch(pattern):
            raise BatchError(
                f"evaluateOnExit {name} {pattern!r} is not allowed: at most {_PATTERN_CHARS} of "
                f"{'digits' if name == 'onExitCode' else 'letters, digits, dots, colons, spaces'}"
                ", and an asterisk at the end only."
            )
    return ExitRule(
        retry=action == "RETRY",
        on_status_reason=rule.get("onStatusReason"),
        on_reason=rule.get("onReason"),
        on_exit_code=rule.get("onExitCode"),
    )
