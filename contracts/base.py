"""The one base model of all contracts, and how a validation error becomes one sentence."""

import difflib
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

SCHEMA_VERSION = 1


class ContractError(ValueError):
    """A value broke a contract. `str(error)` is one sentence fit for a person."""


class Contract(BaseModel):
    """Immutable, strict about names: an unknown field is refused, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        """Compact JSON, the form in which contracts travel and rest."""
        return self.model_dump_json()


class Versioned(Contract):
    """A contract that rests in S3 or DynamoDB, or crosses a queue."""

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
    """Printable: whatever a key or a worker wrote stays within its line of ours."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


_ALLOWED = {
    "bool_parsing": "allowed are true and false",
    "float_parsing": "allowed are numbers",
    "int_parsing": "allowed are whole numbers",
    "string_type": "allowed is text",
    "too_short": "allowed is a list of {min_length} or more",
    "tuple_type": 'allowed is a list, such as ["one", "two"]',
}
"""Where pydantic speaks Python, by its types of error."""


def explain(
    error: ValidationError,
    prefix: str = "",
    spell: Callable[[str], str] = str,
    known: Collection[str] = (),
) -> str:
    """Turn pydantic's report into one sentence: field, what is wrong, the value got.

    A field's name is shown as `prefix` and what `spell` makes of it. `known` are the names of all
    fields, to guess from which one was meant.
    """
    parts: list[str] = []
    for item in error.errors(include_url=False):
        field = prefix + spell(_path(item["loc"]) or "value")
        message = item["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if item["type"] in _ALLOWED:
            message = _ALLOWED[item["type"]].format(**item.get("ctx", {}))
        if item["type"] == "missing":
            parts.append(f"{field}: is missing")
        elif item["type"] == "extra_forbidden":
            meant = difflib.get_close_matches(_path(item["loc"]), known, n=1)
            guess = f"; did you mean {prefix}{spell(meant[0])}?" if meant else ""
            parts.append(f"{field}: is not a known field{guess}")
        elif item["type"] == "value_error" and not item["loc"]:
            parts.append(prefix + message)
        else:
            parts.append(f"{field}: got {_shown(item['input'])}, {message}")
    return "; ".join(parts)


def _path(loc: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in loc)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
