"""Roles as services use them: assume one, then ask whether it may do something.

ministack checks only signed requests. What a service does by itself as a role (Step Functions'
tasks, EventBridge's targets, event source mappings) is checked here, with the same evaluator.
"""

import json
import secrets
import threading
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam, sts

NEEDS = {
    "ministack.core.iam_evaluator": (
        "AuthError",
        "EvalContext",
        "enforce",
        "evaluate_resource_policy",
    ),
    "ministack.services.iam": ("_roles",),
    "ministack.services.sts": ("register_session",),
}


class CannotAssumeError(Exception):
    """The role does not exist or does not trust the service; the text is one sentence."""


@dataclass(frozen=True)
class Session:
    """Temporary credentials of a role."""

    access_key: str
    secret_key: str
    token: str

    def variables(self) -> dict[str, str]:
        """As environment variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.token,
        }


_sessions: dict[tuple[str, str], Session] = {}
_lock = threading.Lock()


def assume(role_arn: str, principal: str, session: str) -> Session:
    """A session of the role for the service `principal`, one per session name.

    Raises CannotAssumeError.
    """
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = iam._roles.get_scoped(account, None, name)
    if role is None:
        raise CannotAssumeError(f"Role {role_arn} does not exist.")
    if not _trusts(role["AssumeRolePolicyDocument"], principal):
        raise CannotAssumeError(f"Role {role_arn} does not trust {principal}.")
    with _lock:
        known = _sessions.get((role_arn, session))
        if known is None:
            known = _sessions[role_arn, session] = _new_session()
            sts.register_session(
                known.access_key,
                {
                    "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
                    "UserId": f"{name}:{session}",
                    "SecretAccessKey": known.secret_key,
                    "SessionToken": known.token,
                },
            )
    return known


def why_denied(role_arn: str, principal: str, action: str, resource: str) -> str | None:
    """Why the service `principal`, acting as the role, may not do `action`; None if it may."""
    try:
        session = assume(role_arn, principal, principal.partition(".")[0])
    except CannotAssumeError as error:
        return str(error)
    service, region = action.partition(":")[0], (resource.split(":") + [""] * 4)[3]
    denied = iam_evaluator.enforce(session.access_key, action, service, region, resource)
    if denied is None:
        return None
    return f"{role_arn} is not authorized to perform: {action} on resource: {resource}"


def policy_allows(
    policy: str | dict[str, Any] | None, principal: str, action: str, resource: str, source: str
) -> bool:
    """Whether a resource's policy lets the service `principal` do `action` for `source` (ARN)."""
    context = {"aws:sourcearn": source, "aws:sourceaccount": resource.split(":")[4]}
    return policy_allows_in(policy, principal, action, resource, context)


def policy_allows_in(
    policy: str | dict[str, Any] | None,
    principal: str,
    action: str,
    resource: str,
    context: dict[str, str],
) -> bool:
    """The same with these condition keys, in small letters."""
    evaluated = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=resource.split(":")[3],
        service_context=context,
    )
    result = iam_evaluator.evaluate_resource_policy(policy, evaluated, service=principal)
    return result.decision == "Allow"


def _trusts(document: str | dict[str, Any], principal: str) -> bool:
    parsed = json.loads(document) if isinstance(document, str) else document
    statements = parsed.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        trusted = statement.get("Principal", {})
        services = trusted.get("Service", []) if isinstance(trusted, dict) else trusted
        if statement.get("Effect") == "Allow" and principal in _as_list(services):
            return "sts:AssumeRole" in _as_list(statement.get("Action", []))
    return False


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _new_session() -> Session:
    return Session(
        "ASIA" + secrets.token_hex(8).upper(), secrets.token_hex(20), secrets.token_hex(32)
    )
