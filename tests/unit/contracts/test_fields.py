"""The table of a model's fields says what the model takes."""

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from contracts.base import Contract, either
from contracts.setting_table import field_facts


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Paint(Contract):
    """Fields of every kind that settings have."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    colour: Colour = Colour.RED
    """What it looks
    like."""
    coats: Literal[1, 2] | None = None
    litres: float = Field(default=1.5, gt=0, le=20)
    gloss: Literal["matt"] | int | None = Field(
        default=None, json_schema_extra={"unset": "as the wall"}
    )
    tools: tuple[str, ...] = Field(default=("brush",), min_length=1)


FACTS = {field.name: field for field in field_facts(Paint)}


def test_all_fields_are_listed_in_the_models_order() -> None:
    assert list(FACTS) == list(Paint.model_fields)
    assert [name for name, field in FACTS.items() if field.required] == ["name"]


def test_choices_are_listed_only_where_there_are_no_other_values() -> None:
    assert FACTS["colour"].choices == ("red", "blue")
    assert FACTS["colour"].allowed == "red, blue"
    assert FACTS["coats"].choices == ("1", "2")
    assert FACTS["gloss"].choices == FACTS["name"].choices == ()


def test_bounds_are_put_into_words() -> None:
    assert FACTS["litres"].allowed == "above 0, up to 20"
    assert FACTS["tools"].allowed == "1 or more"
    assert FACTS["name"].allowed == ""


def test_types_defaults_and_descriptions_are_the_models() -> None:
    assert [field.type for field in FACTS.values()] == [
        "string", "string", "integer", "number", "string", "array",
    ]  # fmt: skip
    assert (FACTS["colour"].default, FACTS["litres"].default) == ("red", 1.5)
    assert FACTS["gloss"].unset == "as the wall"
    assert FACTS["coats"].unset == "none"
    assert FACTS["colour"].description == "What it looks like."


def test_alternatives_read_as_a_sentence() -> None:
    assert either([2, 3, 4]) == "2, 3 or 4"
    assert either(["mkv"]) == "mkv"
