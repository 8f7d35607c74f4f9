"""Which parts of which statement were some call's only grant. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tools.least_privilege.aws_only import AWS_ONLY, only_on_aws


class PolicyPart(NamedTuple):
    """Something that could be taken out of a policy by itself."""

    role: str
    sid: str
    kind: str
    """`action`, `resource`, or the condition's key whose alternative it is."""
    value: str

    def __str__(self) -> str:
        return f"{self.role}: {self.sid}: {self.kind} {self.value}"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One Allow of a role's own policy."""

    role: str
    sid: str
    document: Mapping[str, Any]

    @property
    def aws_only(self) -> str | None:
        return AWS_ONLY.get(self.sid)

    def parts(self) -> Iterator[PolicyPart]:
        for action in _listed(self.document["Action"]):
            yield PolicyPart(self.role, self.sid, "action", action)
        for resource in _listed(self.document["Resource"]):
            yield PolicyPart(self.role, self.sid, "resource", resource)
        for key, values in self.alternatives():
            for value in values:
                yield PolicyPart(self.role, self.sid, key, value)

    def alternatives(self) -> Iterator[tuple[str, list[str]]]:
        """Conditions that hold for any of several values: (key, values)."""
        for keys in self.document.get("Condition", {}).values():
            for key, values in keys.items():
                if isinstance(values, list) and len(values) > 1:
                    yield key, values


@dataclass(frozen=True)
class Proof:
    """What the log of decisions says of the statements."""

    statements: tuple[Statement, ...]
    needed: Mapping[PolicyPart, str] = field(default_factory=dict)
    """Parts without which a call would have been refused, each with that call's resource."""

    @classmethod
    def of(cls, statements: Iterable[Statement], lines: Iterable[Mapping[str, Any]]) -> Self:
        known = {(s.role, s.sid): s for s in statements}
        needed: dict[PolicyPart, str] = {}
        for line in lines:
            found = _only_grant(line)
            statement = known.get((line["role"], found["sid"])) if found else None
            if found is None or statement is None:
                continue
            for part in _parts(statement, line["action"], found):
                needed.setdefault(part, line["resource"])
        return cls(tuple(known.values()), needed)

    def unproved(self) -> list[PolicyPart]:
        """Parts that nothing needed, of statements that the pipeline itself must exercise."""
        return [
            part
            for statement in self.statements
            if statement.aws_only is None
            for part in statement.parts()
            if part not in self.needed and not only_on_aws(part.kind, part.value)
        ]

    def stale(self) -> list[PolicyPart]:
        """Parts that were needed although only AWS is said to exercise them."""
        aws_only = {(s.role, s.sid) for s in self.statements if s.aws_only is not None}
        return [part for part in self.needed if (part.role, part.sid) in aws_only]


def _only_grant(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one statement that the call was allowed by, if there is just one."""
    if not line["allowed"] or line["resource_policy"] or len(line["grants"]) != 1:
        return None
    return line["grants"][0]


def _parts(statement: Statement, action: str, found: Mapping[str, Any]) -> Iterator[PolicyPart]:
    role, sid = statement.role, statement.sid
    yield PolicyPart(role, sid, "action", action)
    if len(found["resources"]) == 1:
        yield PolicyPart(role, sid, "resource", found["resources"][0])
    for key, values in statement.alternatives():
        held = [value for value in values if value in found["values"]]
        if len(held) == 1:
            yield PolicyPart(role, sid, key, held[0])


def by_statement(parts: Iterable[PolicyPart]) -> dict[str, list[str]]:
    """For people: `role: statement` -> its parts."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        grouped[f"{part.role}: {part.sid}"].append(f"{part.kind} {part.value}")
    return dict(grouped)


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
