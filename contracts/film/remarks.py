"""What people should know about a result before they open its report, one sentence each."""

from collections.abc import Iterator

from contracts.base import one_line
from contracts.film.ledger import Ledger, Report

SHOWN_PLACES = 5
"""Places of damage; the report has all of them."""
SHOWN_REMARKS = 20
"""So that even a film of a thousand streams fits into a message (SNS: 256 KiB)."""
REMARK_CHARS = 500


def remarks(report: Report) -> tuple[str, ...]:
    """All remarks for a message, each on one line; the last one counts those left out."""
    ledger = report.ledger
    found = [*changes(report)]
    if ledger.frames_concealed:
        found.append(concealed(ledger))
    found += [f"stream {index} was left out: {why}" for index, why in dropped(ledger).items()]
    if lost := not_held(ledger):
        found.append(f"lost: {lost}")
    shown = [one_line(remark)[:REMARK_CHARS] for remark in found[:SHOWN_REMARKS]]
    if more := len(found) - len(shown):
        shown.append(f"the report has {more} more remarks")
    return tuple(shown)


def changes(report: Report) -> Iterator[str]:
    """Where the result differs from what the upload and its settings lead one to expect."""
    if report.fields.treatment != "as_coded":
        done = report.fields.treatment.replace("_", " ")
        yield f"the film's fields were treated ({done}): {report.fields.reason}"
    if asked := report.encoder.instead_of:
        yield (
            f"{report.output.width}x{report.output.height} is too large for {asked.value} "
            f"decoders; the result is {report.encoder.codec.value}"
        )


def dropped(ledger: Ledger) -> dict[int, str]:
    """Streams that the result lacks, and why, by the source's index."""
    return {d.source_index: f"{d.kind} {d.codec}: {d.reason}" for d in ledger.dropped}


def not_held(ledger: Ledger) -> str:
    """What conversions and the result's container lost; empty for nothing."""
    styles = [f"stream {s.source_index}: {s.lost}" for s in ledger.streams if s.lost]
    labels = [f"{item.of}: {item.label} {item.value}" for item in ledger.lost]
    return "; ".join(styles + labels)


def concealed(ledger: Ledger) -> str:
    """How many frames are concealed, and what stands in for the first of them."""
    places: list[str] = []
    for item in ledger.concealed[:SHOWN_PLACES]:
        last = item.first_frame + item.frames - 1
        what = f"s {item.first_frame} to {last}" if item.frames > 1 else f" {item.first_frame}"
        how = "as decoded" if item.stands_in == "decoder" else f"replaced by frame {item.stands_in}"
        places.append(f"frame{what} ({item.seconds:.3f} s) {how}")
    more = len(ledger.concealed) - len(places)
    if more:
        places.append(f"{more} more in the report")
    count = f"{ledger.frames_concealed} damaged frame" + "s" * (ledger.frames_concealed != 1)
    return f"{count}: " + "; ".join(places)
