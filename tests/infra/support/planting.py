"""Breaks a recorded graph in one place, to see whether a rule notices."""

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from policy.rule import Graph, Resource

Damage = Callable[[Graph], Graph]


def _is(resource: Resource, kind: str, suffix: str) -> bool:
    return (
        resource.kind == kind
        and resource.type.startswith(("aws:", "pulumi:"))
        and resource.name.endswith(suffix)
    )


def _replace(graph: Graph, kind: str, suffix: str, by: Callable[[Resource], Resource]) -> Graph:
    found = [r for r in graph.resources if _is(r, kind, suffix)]
    assert found, f"there is no {kind} whose name ends with {suffix!r}"
    return Graph(by(r) if r in found else r for r in graph.resources)


def props(kind: str, suffix: str, **values: Any) -> Damage:
    """Set properties; None takes one away."""

    def by(resource: Resource) -> Resource:
        changed = {**resource.props, **values}
        return dataclasses.replace(
            resource, props={k: v for k, v in changed.items() if v is not None}
        )

    return lambda graph: _replace(graph, kind, suffix, by)


def within(kind: str, suffix: str, key: str, edit: Callable[[Any], Any]) -> Damage:
    """Change what a property holds, in place."""

    def by(resource: Resource) -> Resource:
        changed = copy.deepcopy(dict(resource.props))
        edit(changed[key])
        return dataclasses.replace(resource, props=changed)

    return lambda graph: _replace(graph, kind, suffix, by)


def within_json(kind: str, suffix: str, key: str, edit: Callable[[Any], Any]) -> Damage:
    """The same for a property that is JSON text."""

    def by(resource: Resource) -> Resource:
        document = json.loads(resource.props[key])
        edit(document)
        return dataclasses.replace(resource, props={**resource.props, key: json.dumps(document)})

    return lambda graph: _replace(graph, kind, suffix, by)


def no_longer_uses(kind: str, suffix: str, key: str) -> Damage:
    """Take a property away, and what it was made from."""

    def by(resource: Resource) -> Resource:
        return dataclasses.replace(
            resource,
            props={k: v for k, v in resource.props.items() if k != key},
            uses={k: v for k, v in resource.uses.items() if k != key},
        )

    return lambda graph: _replace(graph, kind, suffix, by)


def without(kind: str, suffix: str = "") -> Damage:
    """Take resources away."""

    def damage(graph: Graph) -> Graph:
        kept = [r for r in graph.resources if not _is(r, kind, suffix)]
        assert len(kept) < len(graph.resources), f"there is no {kind} {suffix!r}"
        return Graph(kept)

    return damage


def plus(type_: str, name: str, values: dict[str, Any], **uses: tuple[str, str]) -> Damage:
    """Add a resource; `uses` says by property which (kind, suffix) it is made from."""

    def damage(graph: Graph) -> Graph:
        made_from = {
            key: frozenset(r.urn for r in graph.resources if _is(r, *wanted))
            for key, wanted in uses.items()
        }
        assert all(made_from.values()), f"{name} uses something that does not exist"
        urn = f"urn:pulumi:test::superres::{type_}::{name}"
        added = Resource(type=type_, name=name, urn=urn, props=values, uses=made_from)
        return Graph([*graph.resources, added])

    return damage


def both(*damages: Damage) -> Damage:
    def damage(graph: Graph) -> Graph:
        for one in damages:
            graph = one(graph)
        return graph

    return damage
