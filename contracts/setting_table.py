"""What a model's fields say of themselves: one table for parsers, their help and the documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts.base import Contract

_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "minItems": "{} or more",
}


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """One field, in words that fit an option's help and a table's row."""

    name: str
    type: str
    """string, integer, number, boolean or array."""
    required: bool
    default: Any
    """As in JSON."""
    unset: str
    """What happens where nothing is given, if the default is None."""
    choices: tuple[str, ...]
    """All values that the field takes; empty where they cannot be listed."""
    allowed: str
    """The choices, or the bounds of a number; empty where there are none."""
    description: str


def field_facts(model: type[Contract]) -> list[FieldFacts]:
    """All fields of `model`, in its order.

    `allowed` and `unset` are made from the types, unless the field's `json_schema_extra` has words
    of its own under these names.
    """
    schema = model.model_json_schema()
    kinds, required = schema.get("$defs", {}), schema.get("required", ())
    return [
        _facts(name, field, list(_variants(field, kinds)), required=name in required)
        for name, field in schema["properties"].items()
    ]


def _variants(field: dict[str, Any], kinds: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of the kinds of value that a field takes, None apart."""
    for variant in field.get("anyOf", (field,)):
        shape = kinds[variant["$ref"].rpartition("/")[2]] if "$ref" in variant else variant
        if shape.get("type") != "null":
            yield {**field, **shape}


def _facts(
    name: str, field: dict[str, Any], variants: list[dict[str, Any]], *, required: bool
) -> FieldFacts:
    listed = all("enum" in variant for variant in variants)
    choices = tuple(str(c) for variant in variants for c in variant.get("enum", ()))
    bounds = [
        text.format(variant[key])
        for variant in variants
        for key, text in _BOUNDS.items()
        if key in variant
    ]
    return FieldFacts(
        name=name,
        type=variants[0].get("type", "string"),
        required=required,
        default=field.get("default"),
        unset=field.get("unset", "none"),
        choices=choices if listed else (),
        allowed=field.get("allowed", ", ".join((*choices, *bounds))),
        description=" ".join(field.get("description", "").split()),
    )
