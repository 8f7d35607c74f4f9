"""The settings of a job as options: the parser, its help, and how a mistake is named."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.commands.run import run
from cli.options import option_name, parse_options
from contracts.job import Codec, Settings
from contracts.setting_table import field_facts
from tests.unit.cli.support import invoke

OPTIONS = {option.name: option for option in run.params if isinstance(option, click.Option)}


def test_every_setting_is_an_option_and_described() -> None:
    for field in field_facts(Settings):
        option = OPTIONS[field.name]
        assert option.opts == [option_name(field.name)]
        assert option.help is not None
        assert field.description
        assert option.help.startswith(field.description)
        assert "default: " in option.help


def test_choices_and_defaults_are_those_of_the_settings() -> None:
    shown = " ".join(invoke("run", "--help").output.split())
    for words in (
        f"--codec [{'|'.join(Codec)}]",
        "--scale [2|3|4]",
        "[default: 2]",
        "default: animevideov3]",
        "0 to 63 for av1; default: 18 for h264, 20 for hevc, 28 for av1]",
        "[from 0.04, up to 60.0; default: 10, or less so that every worker gets a shard]",
    ):
        assert words in shown


def test_options_that_are_not_given_leave_the_defaults() -> None:
    assert parse_options(dict.fromkeys(Settings.model_fields)) == Settings()


def test_scale_and_fit_together_are_refused(film: Path) -> None:
    result = invoke("run", film, "--scale", "2", "--fit", "2160p")
    assert result.exit_code == 2
    assert "--scale and --fit both say how large the result is; give one" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--max-cost", "0"), "--max-cost: got '0', must be greater than 0"),
        (("--pixel-format", "rgb", "--codec", "av1"), "--pixel-format: got 'rgb', must be yuv420p"),
        (("--container", "webm"), "--container: webm cannot hold h264; choose mp4, mov or mkv"),
    ],
)
def test_a_wrong_setting_is_named_as_its_option(
    film: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = invoke("run", film, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"superres: {sentence}")
    assert result.stderr.count("\n") == 1


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['superres', '--help']\n"
        "import cli.main\n"
        "heavy = {'boto3', 'torch', 'av', 'pulumi', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
