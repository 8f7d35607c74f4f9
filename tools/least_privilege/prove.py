"""`make prove-iam`: take one statement at a time out of its role's policy, and show what stops.

First the walks run untouched, which tells for each statement the first walk that needs it. Then
each is taken out and its walk repeated until a call is refused that the statement allowed. Two
embedded stacks share the work.
"""

import argparse
import contextlib
import json
import queue
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ministack.core import iam_evaluator
from rich.console import Console
from rich.table import Table

from cli.stacks.embedded import embedded_stack
from cli.stacks.machine import machine_settings
from cli.stacks.stack import Stack
from tools.least_privilege import roles
from tools.least_privilege.coverage import Statement
from tools.least_privilege.walker import Enough, Walker
from tools.least_privilege.walks import TOLD, UNTOLD, Walk

STACKS = 2
KEYS = {"encryption": "kms"}
"""With keys of the account's there is every grant that the local stack can have."""
PATIENCE_SECONDS = 60.0
AT_REST = "(at rest)"
"""No walk is needed: queues are polled all the time."""


Target = tuple[Statement, str]
"""A statement, and the name of the walk that needs it."""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What came of one statement's removal."""

    role: str
    statement: str
    walk: str
    refused: str | None
    """The first call that was refused for it; None where nothing changed."""
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 where a removal changed nothing."""
    parser = argparse.ArgumentParser(prog="python -m tools.least_privilege.prove")
    parser.add_argument("--json", action="store_true", help="one JSON object, no table")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    console = Console(stderr=True)
    with contextlib.ExitStack() as stacks:
        running = [
            stacks.enter_context(
                embedded_stack({**machine_settings(workers=2, precision="auto"), **KEYS})
            )
            for _ in range(STACKS)
        ]
        console.print("The walks, untouched ...")
        found = first_walks(running[0])
        console.print(f"Taking out {len(found)} statements, one at a time ...")
        removals = prove(running, found, lambda one: console.print(_line(one), soft_wrap=True))
    removals.sort(key=lambda one: (one.role, one.statement))
    seconds = time.monotonic() - began
    useless = [one for one in removals if one.refused is None]
    if given.json:
        facts = {"seconds": round(seconds, 1), "statements": [asdict(one) for one in removals]}
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        Console().print(_table(removals, seconds))
    for one in useless:
        sys.stderr.write(f"{one.role}: {one.statement} is not needed: without it all went on.\n")
    return 1 if useless else 0


def first_walks(stack: Stack, walks: Sequence[Walk] = (*TOLD, *UNTOLD)) -> list[Target]:
    """Every statement that the pipeline itself must exercise, and the first walk that did."""
    known = roles.read_statements(Walker(stack).client("iam"))
    first: dict[tuple[str, str], str] = {}
    for walk in (None, *walks):
        if walk is not None:
            walk(Walker(stack))
        for line in roles.read_decisions(stack.access_log):
            if line["allowed"] and len(line["grants"]) == 1:
                key = line["role"], line["grants"][0]["sid"]
                first.setdefault(key, walk.__name__ if walk else AT_REST)
    wanted = [s for s in known if s.aws_only is None]
    return [(s, first.get((s.role, s.sid), walks[0].__name__)) for s in wanted]


def prove(
    stacks: Sequence[Stack], found: Sequence[Target], told: Callable[[Removal], None]
) -> list[Removal]:
    """Take out each statement; its walk is given by name."""
    waiting: queue.SimpleQueue[Target] = queue.SimpleQueue()
    for statement, walk in sorted(found, key=lambda target: target[1]):
        waiting.put((statement, walk))

    def work(stack: Stack) -> list[Removal]:
        done: list[Removal] = []
        with contextlib.suppress(queue.Empty):
            while True:
                statement, walk = waiting.get_nowait()
                done.append(take_out(stack, statement, walk))
                told(done[-1])
        return done

    with ThreadPoolExecutor(len(stacks)) as pool:
        return [removal for each in pool.map(work, stacks) for removal in each]


def take_out(stack: Stack, statement: Statement, walk: str) -> Removal:
    """Walk without the statement until a call is refused that it allowed; then put it back."""
    began = time.monotonic()
    seen = len(roles.read_decisions(stack.access_log))

    def refused() -> str | None:
        for line in roles.read_decisions(stack.access_log)[seen:]:
            if not line["allowed"] and line["role"] == statement.role and _allows(statement, line):
                return f"{line['action']} on {line['resource']}"
        return None

    with _without(Walker(stack).client("iam"), statement):
        call = _walk_until(stack, walk, refused)
    Walker(stack).calm_down()
    return Removal(
        role=statement.role,
        statement=statement.sid,
        walk=walk,
        refused=call,
        seconds=round(time.monotonic() - began, 2),
    )


def _walk_until(stack: Stack, name: str, refused: Callable[[], str | None]) -> str | None:
    """The refused call, or None where the walk came to its end, or nowhere, without one."""
    walker = Walker(stack, enough=lambda: refused() is not None, patience_seconds=PATIENCE_SECONDS)
    walks = {walk.__name__: walk for walk in (*TOLD, *UNTOLD)}
    with contextlib.suppress(Enough, AssertionError, TimeoutError):
        if name == AT_REST:
            walker.until(lambda: None, "nothing was refused")
        else:
            walks[name](walker)
    return refused()


@contextlib.contextmanager
def _without(iam: Any, statement: Statement) -> Iterator[None]:
    role = statement.role
    (policy,) = [
        name
        for owner, name in roles.list_policies(iam)
        if owner == role and statement.document in roles.read_policy(iam, role, name)["Statement"]
    ]
    whole = roles.read_policy(iam, role, policy)
    rest = [one for one in whole["Statement"] if one != statement.document]
    if rest:
        reduced = json.dumps({**whole, "Statement": rest})
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=reduced)
    else:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(whole))


def _allows(statement: Statement, line: dict[str, Any]) -> bool:
    """Whether the statement would have allowed the refused call."""
    context = iam_evaluator.EvalContext(
        principal_arn=line["role"],
        principal_type="AssumedRole",
        principal_account="",
        action=line["action"],
        resource_arn=line["resource"],
        region="",
        service_context=line["context"],
    )
    parsed = iam_evaluator.parse_policy_document({"Statement": [dict(statement.document)]})
    return iam_evaluator.evaluate(context, [parsed]).decision == "Allow"


def _line(removal: Removal) -> str:
    what = f"refused {removal.refused}" if removal.refused else "NOTHING CHANGED"
    return f"{removal.seconds:5.1f} s  {removal.role}: {removal.statement}: {what}"


def _table(removals: Sequence[Removal], seconds: float) -> Table:
    table = Table(title=f"Each statement taken out by itself ({seconds:.0f} s)")
    for column in ("role", "statement", "walk", "first call refused", "s"):
        table.add_column(column, overflow="fold")
    for one in removals:
        call = one.refused or "[red]nothing changed[/red]"
        table.add_row(one.role, one.statement, one.walk, call, f"{one.seconds:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
