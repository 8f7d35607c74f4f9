"""`superres promote`: give a stack what the one before it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import UserError
from cli.output import Output

if TYPE_CHECKING:
    from cli.promotion.image_registry import Found
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
    "--project", type=click.Path(path_type=Path), default=Path(), help="Folder of the stack files."
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
    from cli.promotion import plan
    from cli.promotion.image_registry import ImageRegistry

    output = Output(as_json)
    try:
        plan.check_order(source, target)
        said = (
            plan.file_outputs(outputs)
            if outputs is not None
            else plan.stack_outputs(project, source)
        )
        now = plan.running(source, said, commit)
        planned = plan.plan(
            project, source, target, now, ImageRegistry.of, accept_critical=accept_critical
        )
        if not dry_run:
            plan.carry_out(planned, ImageRegistry.of)
        output.result(*summary(planned, dry_run=dry_run))
    except UserError as error:
        output.error(str(error), {"exit_code": error.exit_code})
        sys.exit(error.exit_code)


def summary(planned: "Promotion", *, dry_run: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """(JSON object, rows for people)."""
    status = "PROMOTED" if planned.changed else "UNCHANGED"
    images = {
        image.value: {
            "old": step.old,
            "new": str(step.new),
            "tag": step.tag,
            "findings": dict(step.found.findings),
        }
        for image, step in planned.steps.items()
    }
    data = {
        "status": "DRY_RUN" if dry_run else status,
        "from": planned.source,
        "to": planned.target_name,
        "commit": {"old": planned.old_commit, "new": planned.commit},
        "images": images,
        "file": str(planned.target.path),
    }
    rows = {image: f"{step['old']} -> {step['new']}" for image, step in images.items()}
    rows |= {
        f"scan of {image.value}": _findings(step.found) for image, step in planned.steps.items()
    }
    rows["commit"] = f"{planned.old_commit} -> {planned.commit}"
    done = "written" if planned.changed else "unchanged"
    rows["file"] = f"{planned.target.path} ({'not written: dry run' if dry_run else done})"
    return data, rows


def _findings(found: "Found") -> str:
    counted = ", ".join(f"{count} {level.lower()}" for level, count in found.findings.items())
    note = f" ({found.scan})" if found.scan else ""
    return (counted or "no findings") + note
