"""What is said about a result, on the terminal and in the e-mail."""

from types import SimpleNamespace
from typing import Any, cast

from contracts.film.facts import (
    Concealed,
    DroppedStream,
    Fields,
    LostLabel,
)
from contracts.film.ledger import Report
from contracts.film.remarks import (
    REMARK_CHARS,
    SHOWN_REMARKS,
    changes,
    concealed,
    remarks,
)
from contracts.job import Codec


def _report(**differing: Any) -> Report:
    ledger = {"frames_concealed": 0, "concealed": (), "dropped": (), "streams": (), "lost": ()}
    encoder = {"codec": Codec.H264, "instead_of": None}
    parts = {
        "fields": Fields(),
        "encoder": SimpleNamespace(**encoder | differing.pop("encoder", {})),
        "output": SimpleNamespace(width=5184, height=2160),
        "ledger": SimpleNamespace(**ledger | differing.pop("ledger", {})),
    }
    return cast("Report", SimpleNamespace(**parts | differing))


def test_a_result_as_expected_has_no_remarks() -> None:
    assert remarks(_report()) == ()


def test_another_codec_than_the_settings_say_is_remarked() -> None:
    report = _report(encoder={"codec": Codec.HEVC, "instead_of": Codec.H264})
    said = "5184x2160 is too large for h264 decoders; the result is hevc"
    assert list(changes(report)) == list(remarks(report)) == [said]


def test_what_was_done_to_a_films_fields_is_remarked() -> None:
    fields = Fields(treatment="inverse_telecine", reason="5 of 5 samples show 3:2 pulldown")
    (said,) = changes(_report(fields=fields))
    assert said.endswith("treated (inverse telecine): 5 of 5 samples show 3:2 pulldown")


def test_what_the_result_lacks_is_remarked() -> None:
    streams = (SimpleNamespace(source_index=2, lost="colours"), SimpleNamespace(lost=None))
    lost = (LostLabel(of="file", label="mood", value="glad", found=None),)
    dropped = (DroppedStream(source_index=3, kind="data", codec="klv", reason="MP4 has none"),)
    report = _report(ledger={"streams": streams, "lost": lost, "dropped": dropped})
    assert remarks(report) == (
        "stream 3 was left out: data klv: MP4 has none",
        "lost: stream 2: colours; file: mood glad",
    )


def test_concealed_frames_are_named_first_by_first() -> None:
    places = [
        Concealed(first_frame=20, frames=1, seconds=0.8, stands_in="decoder"),
        Concealed(first_frame=31, frames=2, seconds=1.24, stands_in=30),
    ]
    ledger: Any = SimpleNamespace(frames_concealed=3, concealed=places)
    assert concealed(ledger) == (
        "3 damaged frames: frame 20 (0.800 s) as decoded; "
        "frames 31 to 32 (1.240 s) replaced by frame 30"
    )
    ledger.concealed = places[:1] * 9
    assert concealed(ledger).endswith("; 4 more in the report")


def test_remarks_fit_a_message_whatever_the_film_says() -> None:
    reason = "line\nbreak" * 400
    dropped = tuple(
        DroppedStream(source_index=i, kind="data", codec="klv", reason=reason) for i in range(99)
    )
    said = remarks(_report(ledger={"dropped": dropped}))
    assert len(said) == SHOWN_REMARKS + 1
    assert said[-1] == "the report has 79 more remarks"
    assert all(len(one) <= REMARK_CHARS and "\n" not in one for one in said)
