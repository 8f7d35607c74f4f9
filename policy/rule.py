"""Rules over a graph of resources, whoever recorded it: Pulumi's engine or our tests."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.names import PROJECT

Problems = Iterator[str]

_COMPONENTS = f"{PROJECT}:"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource, with its inputs (before it stands) or its state (after)."""

    type: str
    """Token, e.g. aws:sqs/queue:Queue."""
    name: str
    """Logical name."""
    urn: str
    props: Mapping[str, Any]
    """In camelCase. Reading what Pulumi cannot know yet may raise; see `Rule.violations`."""
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By property: URNs of the resources that its value is made from."""

    @property
    def kind(self) -> str:
        """The last part of the type, e.g. Queue."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def stack(self) -> str:
        """Name of the stack, which every URN begins with."""
        return self.urn.split("::", 1)[0].rpartition(":")[2]

    def text(self, key: str) -> Any:
        """A property that holds JSON, parsed; an empty mapping where there is none."""
        value = self.props.get(key)
        return json.loads(value) if value else {}


class Graph:
    """The resources of one stack."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)

    def of(self, kind: str) -> list[Resource]:
        """Resources of a kind; components are named alike and are no resources."""
        return [r for r in self.resources if r.kind == kind and not r.type.startswith(_COMPONENTS)]

    def users(self, used: Resource, kind: str, *properties: str) -> list[Resource]:
        """Resources of a kind that make one of these properties from `used`."""
        return [
            r for r in self.of(kind) if any(used.urn in r.uses.get(name, ()) for name in properties)
        ]

    def used(self, user: Resource, kind: str, *properties: str) -> list[Resource]:
        """Resources of a kind that `user` makes one of these properties from."""
        urns = {urn for name in properties for urn in user.uses.get(name, ())}
        return [r for r in self.of(kind) if r.urn in urns]


@dataclass(frozen=True)
class Violation:
    urn: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that must hold for each resource of some kinds."""

    name: str
    text: str
    """What must hold, in one sentence."""
    kinds: tuple[str, ...]
    check: Callable[[Resource, Graph], Problems]
    alone: bool
    """The rule needs nothing but the resource, so Pulumi can check it before making it."""

    def violations(
        self, graph: Graph, not_yet_known: type[Exception] | tuple[type[Exception], ...] = ()
    ) -> Iterator[Violation]:
        """What breaks the rule.

        A resource of which a preview cannot know enough (`not_yet_known` is what its properties
        raise) is passed over; the update looks again, with everything known.
        """
        for kind in self.kinds:
            for resource in graph.of(kind):
                try:
                    found = list(self.check(resource, graph))
                except not_yet_known:
                    continue
                yield from (Violation(resource.urn, f"{resource.name}: {p}") for p in found)


def rule(text: str, *kinds: str) -> Callable[[Callable[[Resource, Graph], Problems]], Rule]:
    """A rule on resources and what stands around them; named after its function."""
    return lambda check: Rule(
        name=_spelled(check), text=text, kinds=kinds, check=check, alone=False
    )


def rule_alone(text: str, *kinds: str) -> Callable[[Callable[[Resource], Problems]], Rule]:
    """A rule that needs to see nothing but the resource; named after its function."""
    return lambda check: Rule(
        name=_spelled(check),
        text=text,
        kinds=kinds,
        check=lambda resource, _: check(resource),
        alone=True,
    )


def _spelled(check: Callable[..., Problems]) -> str:
    return check.__name__.replace("_", "-")


def listed(value: Any) -> list[Any]:
    """JSON's habit of writing a list of one as its only element, undone."""
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        return [value]
    return list(value)


def statements(document: Mapping[str, Any], effect: str) -> list[Mapping[str, Any]]:
    """The statements of a policy that allow, or that deny."""
    return [s for s in listed(document.get("Statement")) if s.get("Effect") == effect]
