"""Tables of docs/commands.md, made from the command line itself and from the settings of a job."""

from collections.abc import Iterator

import click

from cli.main import cli
from cli.options import default_text, option_name
from contracts.job import Settings, metadata_name
from contracts.setting_table import field_facts


def settings_table() -> str:
    """Every setting of a job: as an option, and as metadata of an upload."""
    lines = ["| option | metadata | allowed | default | what |", "| --- " * 5 + "|"]
    lines += [
        f"| `{option_name(field.name)}` | `{metadata_name(field.name)}` | {field.allowed} "
        f"| {default_text(field)} | {field.description} |"
        for field in field_facts(Settings)
    ]
    return "\n".join(lines)


def commands() -> str:
    """Every command: its arguments, what it does, and its options but for a job's settings."""
    return "\n\n".join(_describe(command) for _, command in sorted(cli.commands.items()))


def _describe(command: click.Command) -> str:
    context = click.Context(command)
    arguments = [
        param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)
    ]
    lines = [f"### superres {' '.join([str(command.name), *arguments])}", ""]
    paragraphs = (command.help or "").split("\n\n")
    lines += [" ".join(paragraph.split()) + "\n" for paragraph in paragraphs]
    lines += ["| option | what |", "| --- | --- |"]
    lines += [f"| {name} | {text} |" for name, text in _options(command, context)]
    return "\n".join(lines)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """(names, help) of each option, as `--help` shows them."""
    settings = Settings.model_fields.keys()
    if settings <= {param.name for param in command.params}:
        yield "[the settings of a job](#settings-of-a-job)", "as options"
    for param in command.params:
        record = param.get_help_record(context) if isinstance(param, click.Option) else None
        if record is not None and param.name not in settings:
            names, text = (" ".join(part.split()).replace("|", "\\|") for part in record)
            yield f"`{names}`", text
