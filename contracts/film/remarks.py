"""What people should know of a result before they open its report, one sentence a matter."""

from collections.abc import Iterator

from contracts.base import one_line
from contracts.film.ledger import Ledger, Report

SHOWN_PLACES = 5
"""Of damage; the report has all."""
SHOWN_REMARKS = 20
"""So that a film of a thousand streams still fits a message (SNS: 256 KiB)."""
REMARK_CHARS = 500


def remarks(report: Report) -> tuple[str, ...]:
    """All of them, for a message: each of one line, the last one saying how many are left out."""
    ledger = report.ledger
    found = [*changes(report)]
    if ledger.frames_concealed:
        found.append(concealed(ledger))
    found += [f"left out is stream {index}: {why}" for index, why in dropped(ledger).items()]
    if left := not_held(ledger):
        found.append(f"not held: {left}")
    shown = [one_line(remark)[:REMARK_CHARS] for remark in found[:SHOWN_REMARKS]]
    if more := len(found) - len(shown):
        shown.append(f"{more} more remarks are in the report")
    return tuple(shown)


def changes(report: Report) -> Iterator[str]:
    """Where the result is not what the upload or its settings would make one expect."""
    if report.fields.treatment != "as_coded":
        done = report.fields.treatment.replace("_", " ")
        yield f"the film's fields: {done}, for {report.fields.reason}"
    if asked := report.encoder.instead_of:
        yield (
            f"{report.output.width}x{report.output.height} is more than {asked.value} decoders "
            f"take; the result is {report.encoder.codec.value}"
        )


def dropped(ledger: Ledger) -> dict[int, str]:
    """By the source's index: what the result lacks, and why."""
    return {d.source_index: f"{d.kind} {d.codec}: {d.reason}" for d in ledger.dropped}


def not_held(ledger: Ledger) -> str:
    """What conversions and the result's container lost; empty if nothing."""
    styles = [f"stream {s.source_index}: {s.lost}" for s in ledger.streams if s.lost]
    labels = [f"{item.of}: {item.label} {item.value}" for item in ledger.lost]
    return "; ".join(styles + labels)


def concealed(ledger: Ledger) -> str:
    """How many frames, and what stands in for the first of them."""
    places: list[str] = []
    for item in ledger.concealed[:SHOWN_PLACES]:
        by = "the decoder" if item.stands_in == "decoder" else f"frame {item.stands_in}"
        last = item.first_frame + item.frames - 1
        what = f"s {item.first_frame} to {last}" if item.frames > 1 else f" {item.first_frame}"
        places.append(f"frame{what} ({item.seconds:.3f} s) by {by}")
    more = len(ledger.concealed) - len(places)
    if more:
        places.append(f"{more} more in the report")
    count = f"{ledger.frames_concealed} damaged frame" + "s" * (ledger.frames_concealed != 1)
    return f"{count}: " + "; ".join(places)
