"""Metrics in embedded metric format: what functions and workers report in their logs."""

import json
import logging
from typing import Any

import pytest

from containers.common.runtime.meter import Meter
from containers.common.runtime.worker import (
    Task,
    WorkerError,
    run_worker,
)
from contracts.names import METRIC_NAMESPACE, ExitCode, Metric, Stage
from contracts.stack.environ import ProcessEnvironment, RecomposeEnvironment
from contracts.stack.metrics import (
    METRICS,
    Dimension,
    Unit,
    embedded_metrics,
)
from lambdas.common.observability import count, gauge
from tests.support.bench import INTERMEDIATE_BUCKET
from tests.support.fake_s3 import FakeS3

Emitted = dict[Metric, tuple[float, dict[str, str], str]]


def emitted(line: dict[str, Any]) -> Emitted:
    """Value, dimensions and unit of each metric as CloudWatch extracts them from a log line.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    found: Emitted = {}
    assert isinstance(line["_aws"]["Timestamp"], int)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == METRIC_NAMESPACE
        (dimensions,) = directive["Dimensions"]
        for definition in directive["Metrics"]:
            value = line[definition["Name"]]
            assert isinstance(value, int | float)
            where = {name: line[name] for name in dimensions}
            assert all(isinstance(v, str) and v for v in where.values())
            found[Metric(definition["Name"])] = (value, where, definition["Unit"])
    return found


def meter(seconds: list[float], **fields: Any) -> Meter:
    """A meter whose clock shows these times, one after the other."""
    environment = ProcessEnvironment(
        stack="prod", job_id="film-1", intermediate_bucket="b", model_dir="/m", device="cpu",
        children=1, progress_seconds=1, **fields,
    )  # fmt: skip
    return Meter(Stage.PROCESS, environment, clock=iter(seconds).__next__, now=lambda: 1.5)


def test_every_metric_has_its_unit_and_says_whose_it_is() -> None:
    assert set(METRICS) == set(Metric)
    assert all(Dimension.STACK in facts.dimensions for facts in METRICS.values())


def test_metrics_of_different_dimensions_share_a_line() -> None:
    line = embedded_metrics(
        {Metric.FRAMES: 240, Metric.WORKER_SECONDS: 60.5},
        {Dimension.STACK: "prod", Dimension.STAGE: "process"},
        1_700_000_000_000,
    )
    assert emitted(line) == {
        Metric.FRAMES: (240, {"stack": "prod"}, "Count"),
        Metric.WORKER_SECONDS: (60.5, {"stack": "prod", "stage": "process"}, "Seconds"),
    }
    assert line["_aws"]["Timestamp"] == 1_700_000_000_000


def test_a_shard_reports_frames_speed_time_and_price() -> None:
    reported = emitted(meter([0, 1800], gpus=1, dollars_per_hour=0.5).shard(240, 60))
    values = {metric: value for metric, (value, _, _) in reported.items()}
    assert values == {
        Metric.SHARDS_COMMITTED: 1,
        Metric.FRAMES: 240,
        Metric.FRAMES_PER_SECOND: 4,
        Metric.WORKER_SECONDS: 1800,
        Metric.GPU_SECONDS: 1800,
        Metric.ESTIMATED_DOLLARS: 0.25,
    }


def test_every_second_is_reported_once() -> None:
    one = meter([0, 10, 25, 26])
    lines = [one.shard(24, 1), one.shard(24, 1), one.ended(ExitCode.OK)]
    assert [emitted(line)[Metric.WORKER_SECONDS][0] for line in lines] == [10, 15, 1]
    assert Metric.GPU_SECONDS not in emitted(lines[0])


@pytest.mark.parametrize(
    ("code", "failures", "interruptions"),
    [
        (ExitCode.OK, 0, 0),
        (ExitCode.BAD_SOURCE, 1, 0),
        (ExitCode.CRASH, 1, 0),
        (ExitCode.TRANSIENT, 1, 0),
        (ExitCode.INTERRUPTED, 0, 1),
    ],
)
def test_an_interruption_is_no_failure(code: ExitCode, failures: int, interruptions: int) -> None:
    reported = emitted(meter([0, 1]).ended(code))
    assert reported[Metric.WORKER_FAILURES][0] == failures
    assert reported[Metric.WORKER_INTERRUPTIONS][0] == interruptions


@pytest.mark.parametrize(("attempt", "retries"), [(1, 0), (2, 1), (3, 1)])
def test_an_attempt_counts_as_a_retry_from_the_second_on(attempt: int, retries: int) -> None:
    reported = emitted(meter([0]).started(attempt))
    assert (reported[Metric.WORKER_ATTEMPTS][0], reported[Metric.WORKER_RETRIES][0]) == (1, retries)


def fail(_task: Task[RecomposeEnvironment]) -> None:
    raise WorkerError(ExitCode.BAD_SOURCE, "it is broken")


@pytest.mark.logs_errors
def test_a_worker_reports_its_metrics_within_its_log_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = {
        "SUPERRES_STACK": "dev", "SUPERRES_JOB_ID": "film-1", "SUPERRES_FINAL_BUCKET": "final",
        "SUPERRES_INTERMEDIATE_BUCKET": INTERMEDIATE_BUCKET, "AWS_BATCH_JOB_ATTEMPT": "2",
    }  # fmt: skip
    with caplog.at_level(logging.INFO):
        run_worker(Stage.RECOMPOSE, RecomposeEnvironment, fail, environ=environ, client=FakeS3())
    lines = [vars(record) for record in caplog.records if hasattr(record, "_aws")]
    begin, end = (emitted(line) for line in lines)
    where = {"stack": "dev", "stage": "recompose"}
    assert begin[Metric.WORKER_RETRIES] == (1, where, "Count")
    assert end[Metric.WORKER_FAILURES] == (1, where, "Count")
    # the awslogs driver has been seen to keep a last line of metrics to itself
    assert not hasattr(caplog.records[-1], "_aws")


@pytest.mark.parametrize("metric", [m for m in Metric if m.value.startswith(("Jobs", "Repair"))])
def test_a_function_counts_for_its_stack(
    metric: Metric, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERRES_STACK", "prod")
    count(metric)
    assert emitted(_line(capsys)) == {metric: (1.0, {"stack": "prod"}, "Count")}


def test_a_gauge_has_the_metrics_unit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERRES_STACK", "prod")
    gauge(Metric.RUNNABLE_AGE_SECONDS, 90.5, Stage.PROCESS)
    where = {"stack": "prod", "stage": "process"}
    expected = {Metric.RUNNABLE_AGE_SECONDS: (90.5, where, Unit.SECONDS.value)}
    assert emitted(_line(capsys)) == expected


@pytest.mark.parametrize(
    ("metric", "stage"), [(Metric.STAGE_FAILED, None), (Metric.JOBS_FAILED, Stage.EXTRACT)]
)
def test_dimensions_that_nobody_looks_at_are_refused(metric: Metric, stage: Stage | None) -> None:
    with pytest.raises(ValueError, match="it has"):
        count(metric, stage)


def _line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line = json.loads(capsys.readouterr().out)
    # Powertools writes a metric's value as a list of one
    return {key: v[0] if isinstance(v, list) else v for key, v in line.items()}
