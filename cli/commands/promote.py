"""`superres promote`: give a stack what the one before it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import Console

if TYPE_CHECKING:
    from cli.promotion.image_registry import ScannedImage
    from cli.promotion.plan import Promotion


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--commit", help="The commit that FROM runs, where its outputs do not say.")
@click.option(
    "--outputs",
    type=click.Path(path_type=Path),
    help="FROM's outputs as JSON.  [default: ask pulumi]",
)
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="Folder of the stack files.",
)
@click.option("--accept-critical", is_flag=True, help="Promote in spite of critical findings.")
@click.option("--dry-run", is_flag=True, help="Check and show everything, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(
    source: str,
    target: str,
    commit: str | None,
    outputs: Path | None,
    project: Path,
    accept_critical: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write what FROM runs, images by digest and commit, into the file of stack TO."""
    from cli.promotion.image_registry import ImageRegistry
    from cli.promotion.plan import carry_out, check_order, plan_promotion
    from cli.promotion.stack_outputs import (
        read_outputs_file,
        read_stack_outputs,
        running_images,
    )

    console = Console(as_json)
    with console.exit_on_error():
        check_order(source, target)
        found = read_outputs_file(outputs) if outputs else read_stack_outputs(project, source)
        promotion = plan_promotion(
            running_images(source, found, commit),
            target,
            project,
            registry=ImageRegistry.of,
            accept_critical=accept_critical,
        )
        if not dry_run:
            carry_out(promotion, ImageRegistry.of)
        console.result(*summarise(promotion, dry_run=dry_run))


def summarise(promotion: "Promotion", *, dry_run: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """(JSON object, rows for people)."""
    status = "PROMOTED" if promotion.changed else "UNCHANGED"
    images = {
        name.value: {
            "old": image.old,
            "new": str(image.new),
            "tag": image.tag,
            "findings": dict(image.scanned.findings),
        }
        for name, image in promotion.images.items()
    }
    data = {
        "status": "DRY_RUN" if dry_run else status,
        "from": promotion.source,
        "to": promotion.target,
        "commit": {"old": promotion.old_commit, "new": promotion.commit},
        "images": images,
        "file": str(promotion.file.path),
    }
    rows = {name: f"{image['old']} -> {image['new']}" for name, image in images.items()}
    rows |= {
        f"scan of {name.value}": _findings(image.scanned)
        for name, image in promotion.images.items()
    }
    rows["commit"] = f"{promotion.old_commit} -> {promotion.commit}"
    done = "written" if promotion.changed else "unchanged"
    rows["file"] = f"{promotion.file.path} ({'not written: dry run' if dry_run else done})"
    return data, rows


def _findings(image: "ScannedImage") -> str:
    counted = ", ".join(f"{count} {level.lower()}" for level, count in image.findings.items())
    note = f" ({image.scan})" if image.scan else ""
    return (counted or "no findings") + note
