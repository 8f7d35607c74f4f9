"""The entry point: arguments in, exit code out."""

import sys

import click

from cli.commands.inspect import inspect
from cli.commands.promote import promote
from cli.commands.run import run
from cli.signals import stop_on_sigterm


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="superres")
def cli() -> None:
    """Video super-resolution: a film in, the same film larger out, every frame accounted for."""


for _command in (run, inspect, promote):
    cli.add_command(_command)


def main() -> None:
    """Run the command; Ctrl+C and SIGTERM end everything that it started."""
    stop_on_sigterm()
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("superres: stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
