"""`superres inspect`: make a model of the user's own ready to be stored."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import Console

if TYPE_CHECKING:
    from cli.models.users_models import UsersModel


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for the model's two files.  [default: the cache that run reads]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, no progress.")
def inspect(file: Path, to: Path | None, as_json: bool) -> None:
    """Inspect FILE, a model of your own, and write its weights and its facts as a stack stores
    them.

    FILE holds the weights of a network from RGB to RGB that spandrel knows: a .safetensors file,
    or a .pth file with weights and no code. Copy both files under models/ of a stack's source
    bucket, and name the model with each upload. `superres run --model FILE` needs none of this.
    """
    from cli.models.users_models import inspect_model, models_dir

    console = Console(as_json)
    with console.exit_on_error():
        with console.steps() as steps:
            steps.update("inspect", note=file.name)
            model = inspect_model(file, to or models_dir())
            steps.end("inspect", file.name)
        console.result(_data(model), _rows(model))


def _data(model: "UsersModel") -> dict[str, Any]:
    return {
        "status": "SUCCEEDED",
        "model": model.name,
        "facts": model.facts.model_dump(mode="json"),
        "files": {key: str(path) for key, path in model.files.items()},
    }


def _rows(model: "UsersModel") -> dict[str, str]:
    """For people: label and text of each line."""
    facts = model.facts
    reach = "without bounds" if facts.radius is None else f"{facts.radius} pixels"
    return {
        "model": f"{facts.name}, {facts.native_scale}x",
        "work": f"{facts.flop_per_pixel / 1e6:.2f} MFLOP per source pixel",
        "memory": f"{max(facts.bytes_per_pixel.values())} bytes per source pixel",
        "reach": f"{reach}; tiles overlap by {facts.halo}",
        "licence": facts.licence or "not stated in the file",
        "weights": str(model.weights_path),
        "facts": str(model.facts_path),
        "name": model.name,
    }
