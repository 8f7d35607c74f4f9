"""The settings of a job as options: names, choices, ranges, defaults and help are the model's."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from cli.errors import UserError
from contracts.base import ContractError
from contracts.job import Settings
from contracts.setting_table import FieldFacts, field_facts

Command = TypeVar("Command", bound=Callable[..., Any])


def option_name(field: str) -> str:
    """The option that sets a field: `--pixel-format`."""
    return "--" + field.replace("_", "-")


def setting_options(command: Command) -> Command:
    """Give a command one option for each setting; each value comes as text, None if not given."""
    for field in reversed(field_facts(Settings)):
        add = click.option(option_name(field.name), metavar=_metavar(field), help=_help(field))
        command = add(command)
    return command


def parse_options(values: Mapping[str, str | None]) -> Settings:
    """Settings from the options that were given. Raises UserError, which names the option."""
    given = {name: value for name, value in values.items() if value is not None}
    if {"scale", "fit"} <= given.keys():
        raise UserError("--scale and --fit both say how large the result is; give one")
    try:
        return Settings.parse(given, option_name)
    except ContractError as error:
        raise UserError(str(error)) from error


def default_text(field: FieldFacts) -> str:
    """What holds where the option is not given."""
    if field.default is None:
        return field.unset
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def _metavar(field: FieldFacts) -> str:
    if field.choices:
        return f"[{'|'.join(field.choices)}]"
    return {"integer": "INTEGER", "number": "NUMBER"}.get(field.type, "TEXT")


def _help(field: FieldFacts) -> str:
    listed = "" if field.choices or not field.allowed else f"{field.allowed}; "
    return f"{field.description}  [{listed}default: {default_text(field)}]"
