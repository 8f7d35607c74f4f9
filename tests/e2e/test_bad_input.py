"""Bad input through the whole pipeline: one sentence, no upscaling, a notification."""

import io

import av
import pytest

from contracts.names import REJECTED_ERROR, ExitCode, Stage
from tests.e2e.support import SAMPLE, Bench, eventually


def audio_only() -> bytes:
    """The sample's sound without its picture."""
    film = io.BytesIO()
    with av.open(str(SAMPLE)) as source, av.open(film, "w", format="mp4") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return film.getvalue()


BAD = {
    "empty": (lambda: b"", ExitCode.BAD_SOURCE, "empty"),
    "text": (lambda: b"This is not a film.\n" * 50, ExitCode.BAD_SOURCE, "not"),
    "audio-only": (audio_only, ExitCode.BAD_SOURCE, "no video"),
    "truncated": (lambda: SAMPLE.read_bytes()[:120_000], ExitCode.BAD_SOURCE, "cut off"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_source_is_refused_before_any_upscaling(bench: Bench, kind: str) -> None:
    make, code, word = BAD[kind]
    job_id = bench.drop(make(), f"{kind}.mp4", {"superres-model": "lanczos"})
    snapshot = bench.finish(job_id)

    assert snapshot.state == "FAILED"
    assert snapshot.error == code.error
    assert word in snapshot.message
    assert f"{kind}.mp4" in snapshot.message
    assert "\n" not in snapshot.message
    assert "Traceback" not in snapshot.message
    assert bench.batch_jobs(job_id, Stage.PROCESS) == []
    assert snapshot.message in bench.mail(job_id)["Message"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("scale", "5", "must be 2, 3 or 4"),
        ("model", "magic", "must be lanczos, animevideov3"),
        ("colour", "red", "not a known field"),
    ],
)
def test_wrong_settings_are_refused_and_notified(
    bench: Bench, field: str, value: str, words: str
) -> None:
    bucket, name = bench.stack.outputs["source_bucket"], f"wrong-{field}.mp4"
    bench.client("s3").put_object(
        Bucket=bucket, Key=f"uploads/{name}", Body=SAMPLE.read_bytes(),
        Metadata={f"superres-{field}": value},
    )  # fmt: skip
    job_id = wait_for_execution(bench, f"wrong-{field}-")
    snapshot = bench.finish(job_id)

    assert snapshot.state == "FAILED"
    assert snapshot.error == REJECTED_ERROR
    assert field in snapshot.message
    assert words in snapshot.message
    for stage in Stage:
        assert bench.batch_jobs(job_id, stage) == []
    assert snapshot.message in bench.mail(job_id)["Message"]


def wait_for_execution(bench: Bench, prefix: str) -> str:
    machine = bench.stack.outputs["state_machine_arn"]

    def look() -> str | None:
        found = bench.client("stepfunctions").list_executions(stateMachineArn=machine)
        names = (execution["name"] for execution in found["executions"])
        return next((name for name in names if name.startswith(prefix)), None)

    return eventually(look)
