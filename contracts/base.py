"""The one base model of all contracts, and how a validation error becomes one sentence."""

import difflib
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

SCHEMA_VERSION = 1


class ContractError(ValueError):
    """A value broke a contract. `str(error)` is one sentence fit for a person."""


class FieldError(ValueError):
    """A validator of the whole model found one field at fault; `explain` spells the field's name.

    `problem` follows the name and a colon, such as "has no meaning for ffv1; leave it out".
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Contract(BaseModel):
    """Immutable, strict about names: an unknown field is refused, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        """Compact JSON, as contracts are sent and stored."""
        return self.model_dump_json()


class Versioned(Contract):
    """A contract that is stored in S3 or DynamoDB, or sent through a queue."""

    schema_version: int = SCHEMA_VERSION


class ObjectRef(Contract):
    """An S3 object by name. `version_id` pins one version where it matters."""

    bucket: str
    key: str
    version_id: str | None = None


def _to_fraction(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{value!r} is not a fraction such as 24000/1001") from error
    return value


def _fraction_text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


Rational = Annotated[
    Fraction,
    BeforeValidator(_to_fraction),
    PlainSerializer(_fraction_text, return_type=str),
]
"""An exact rational number; in JSON a string such as "24000/1001"."""


def one_line(text: str) -> str:
    """Escape what is not printable, so that text from a key or a worker stays on its line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def either(choices: Iterable[object]) -> str:
    """For a sentence: `2, 3 or 4`."""
    *first, last = map(str, choices)
    return f"{', '.join(first)} or {last}" if first else last


_MUST = {
    "bool_parsing": "must be true or false",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "string_type": "must be text",
    "too_short": "must be a list of {min_length} or more",
    "tuple_type": 'must be a list such as ["one", "two"]',
}
"""By pydantic's error types: our words where pydantic's own are meant for programmers."""


def explain(
    error: ValidationError,
    prefix: str = "",
    *,
    spell: Callable[[str], str] = str,
    known: Collection[str] = (),
) -> str:
    """Turn pydantic's report into one sentence: the field, the value it got, what it must be.

    A field is called `prefix` and what `spell` makes of its name. `known` holds the names of all
    fields, to guess which one was meant.
    """
    parts: list[str] = []
    for item in error.errors(include_url=False):
        context = item.get("ctx", {})
        cause = context.get("error")
        field = prefix + spell(_path(item["loc"]) or "value")
        if isinstance(cause, FieldError):
            parts.append(f"{prefix}{spell(cause.field)}: {cause.problem}")
        elif item["type"] == "missing":
            parts.append(f"{field}: is missing")
        elif item["type"] == "extra_forbidden":
            meant = difflib.get_close_matches(_path(item["loc"]), known, n=1)
            guess = f"; did you mean {prefix}{spell(meant[0])}?" if meant else ""
            parts.append(f"{field}: is not a known field{guess}")
        elif item["type"] == "value_error" and not item["loc"]:
            parts.append(prefix + _plain(item["msg"]))
        else:
            ours = _MUST.get(item["type"])
            problem = ours.format(**context) if ours else _plain(item["msg"])
            parts.append(f"{field}: got {_shown(item['input'])}, {problem}")
    return "; ".join(parts)


def _plain(message: str) -> str:
    """Pydantic's message as the rest of a sentence."""
    message = message.removeprefix("Value error, ")
    if message.startswith("Input should "):
        return "must " + message.removeprefix("Input should ")
    return message[:1].lower() + message[1:]


def _path(loc: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in loc)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
