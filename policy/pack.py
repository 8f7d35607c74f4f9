"""The rules in the form that Pulumi's policy SDK wants."""

from collections.abc import Sequence

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policy.rule import Graph, Resource, Rule
from policy.rules import RULES

PACK_NAME = "superres"


def policies() -> list[Policy]:
    """Every rule, mandatory: a violation fails the preview and stops the update.

    A rule on a single resource is checked before the resource is made; one that also needs the
    resources around it, once everything is declared.
    """
    return [_alone(rule) if rule.alone else _in_stack(rule) for rule in RULES]


def _alone(rule: Rule) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(type=args.resource_type, name=args.name, urn=args.urn, props=args.props)
        _report(rule, Graph([resource]), report)

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.text,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def _in_stack(rule: Rule) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        _report(rule, graph(args.resources), report)

    return StackValidationPolicy(
        name=rule.name,
        description=rule.text,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def _report(rule: Rule, resources: Graph, report: ReportViolation) -> None:
    for violation in rule.violations(resources, UnknownValueError):
        report(violation.message, violation.urn)


def graph(resources: Sequence[PolicyResource]) -> Graph:
    return Graph(
        Resource(
            type=r.resource_type,
            name=r.name,
            urn=r.urn,
            props=r.props,
            uses={
                name: frozenset(used.urn for used in values)
                for name, values in r.property_dependencies.items()
            },
        )
        for r in resources
    )
