"""The roles of a running stack: their statements, read from IAM, and the log of decisions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contracts.names import PROJECT
from tools.least_privilege.coverage import Statement


def read_statements(iam: Any) -> list[Statement]:
    """Every statement of every role's inline policies."""
    return [
        Statement(role=role, sid=statement["Sid"], document=statement)
        for role, name in list_policies(iam)
        for statement in read_policy(iam, role, name)["Statement"]
    ]


def list_policies(iam: Any) -> Iterator[tuple[str, str]]:
    """(role, policy) by name, of the stack's roles."""
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            name = role["RoleName"]
            if not name.startswith(f"{PROJECT}-"):
                continue  # a test's own
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                yield name, policy


def read_policy(iam: Any, role: str, policy: str) -> dict[str, Any]:
    found = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return json.loads(found) if isinstance(found, str) else found


def read_decisions(access_log: Path | None) -> list[dict[str, Any]]:
    """Lines of patches/permissions/access_log.py. Raises ValueError where there is no log."""
    if access_log is None:
        raise ValueError("only the embedded AWS logs its decisions")
    return [json.loads(line) for line in access_log.read_text().splitlines()]
