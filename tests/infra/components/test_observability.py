"""Alarms, dashboard and budget: on metrics that exist, told to people, with words that help."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from components.observability.dashboard import COLUMNS
from contracts.names import METRIC_NAMESPACE, Metric
from contracts.stack.metrics import METRICS
from policy.rules.observability import NATIVE
from tests.infra.support.recorder import (
    REGION,
    REPOSITORY,
    Deployment,
    Recorded,
    run_program,
    stack_config,
)

NATIVE_DIMENSIONS = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    "AWS/Lambda": {"FunctionName"},
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/Events": {"RuleName"},
    "AWS/SQS": {"QueueName"},
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    "AWS/States": {"StateMachineArn"},
}
FREE_DASHBOARD_METRICS = 50
"""https://aws.amazon.com/cloudwatch/pricing/"""


def page(stack: Deployment) -> dict[str, Any]:
    (dashboard,) = stack.of("Dashboard")
    return json.loads(dashboard.inputs["dashboardBody"])


def drawn(stack: Deployment) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(namespace, metric, dimensions) of all that the dashboard draws."""
    for widget in page(stack)["widgets"]:
        for entry in widget["properties"].get("metrics", []):
            names = [part for part in entry if isinstance(part, str)]
            if names:
                yield names[0], names[1], dict(zip(names[2::2], names[3::2], strict=True))


def assert_exists(stack: Deployment, namespace: str, name: str, given: dict[str, str]) -> None:
    if namespace == METRIC_NAMESPACE:
        assert set(given) == {d.value for d in METRICS[Metric(name)].dimensions}, name
        assert given["stack"] == stack.stack
    else:
        assert name in NATIVE[namespace]
        assert set(given) == NATIVE_DIMENSIONS[namespace], name


def test_what_is_watched_or_drawn_exists_with_just_these_dimensions(stack: Deployment) -> None:
    for alarm in stack.of("MetricAlarm"):
        given = alarm.inputs
        assert_exists(stack, given["namespace"], given["metricName"], given["dimensions"])
    for found in drawn(stack):
        assert_exists(stack, *found)


@pytest.mark.parametrize("metric", Metric)
def test_our_code_emits_every_metric(metric: Metric) -> None:
    """Dimensions are those of contracts.stack.metrics: both ways to emit refuse any others."""
    name = re.compile(rf"\bMetric\.{metric.name}\b")
    files = [f for part in ("lambdas", "containers") for f in (REPOSITORY / part).rglob("*.py")]
    assert any(name.search(f.read_text()) for f in files)


def test_whatever_is_named_belongs_to_the_stack(stack: Deployment) -> None:
    known = {
        r.inputs.get("name", r.name)
        for kind in ("Queue", "Function", "EventRule")
        for r in stack.of(kind)
    }
    known |= {m.arn for m in stack.of("StateMachine")}
    looked = [a.inputs["dimensions"] for a in stack.of("MetricAlarm")]
    for given in [*looked, *(dimensions for _, _, dimensions in drawn(stack))]:
        native = {v for k, v in given.items() if k not in ("stack", "stage")}
        assert native <= known


def test_every_dead_letter_queue_and_function_has_its_alarms(prod: Deployment) -> None:
    watched = {
        (alarm.inputs["metricName"], *alarm.inputs["dimensions"].values())
        for alarm in prod.of("MetricAlarm")
    }
    dlqs = [q.name for q in prod.of("Queue") if q.name.endswith("-dlq")]
    assert dlqs
    for queue in prod.of("Queue"):
        metric = "NumberOfMessagesVisible" if queue.name in dlqs else "AgeOfOldestMessage"
        assert (f"Approximate{metric}", queue.name) in watched
    for function in prod.of("Function"):
        assert {("Errors", function.name), ("Throttles", function.name)} <= watched


def headings() -> set[str]:
    text = (REPOSITORY / "docs/operations.md").read_text()
    return set(re.findall(r"^### (.+)$", text, re.MULTILINE))


def test_an_alarm_says_what_is_wrong_and_where_it_stands_what_to_do(prod: Deployment) -> None:
    named: set[str] = set()
    for alarm in prod.of("MetricAlarm"):
        description = alarm.inputs["alarmDescription"]
        found = re.search(r"What to do: docs/operations\.md, section '(.+)'\.$", description)
        assert found is not None, description
        assert found[1] in headings()
        assert len(description) <= 1024
        named.add(found[1])
    assert len(named) >= 8


def test_an_alarm_goes_straight_to_the_mails_that_it_may_write(stack: Deployment) -> None:
    topic = stack.outputs["email_topic_arn"]
    for alarm in stack.of("MetricAlarm"):
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic]
        assert alarm.name.startswith(f"superres-{stack.stack}-")  # as the topic's policy wants it
    if stack.of("MetricAlarm"):
        (policy,) = [p for p in stack.of("TopicPolicy") if p.inputs["arn"] == topic]
        assert "cloudwatch.amazonaws.com" in policy.inputs["policy"]


def test_an_alarm_fits_cloudwatch(stack: Deployment) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    for alarm in stack.of("MetricAlarm"):
        period, periods = alarm.inputs["period"], alarm.inputs["evaluationPeriods"]
        assert period % 60 == 0
        assert period * periods <= 24 * 3600


def test_only_the_reconcilers_silence_is_an_alarm(prod: Deployment) -> None:
    silent = {a.name: a.inputs["treatMissingData"] for a in prod.of("MetricAlarm")}
    breaching = [name for name, silence in silent.items() if silence == "breaching"]
    assert breaching == ["superres-prod-reconciler-silent"]
    assert set(silent.values()) == {"breaching", "notBreaching"}
    alarm = prod.one("MetricAlarm", "reconciler-silent").inputs
    assert (alarm["statistic"], alarm["comparisonOperator"], alarm["threshold"]) == (
        "SampleCount", "LessThanThreshold", 1,
    )  # fmt: skip
    minutes = alarm["period"] * alarm["evaluationPeriods"] / 60
    (rate,) = [r.inputs["scheduleExpression"] for r in prod.of("EventRule")
               if r.inputs.get("scheduleExpression")]  # fmt: skip
    assert minutes >= 3 * int(re.findall(r"\d+", rate)[0])


def test_the_dashboard_keeps_to_the_grid(stack: Deployment) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    taken: set[tuple[int, int]] = set()
    for widget in page(stack)["widgets"]:
        x, y, width, height = (widget[k] for k in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert width >= 1
        assert height >= 1
        assert x + width <= COLUMNS
        cells = set(itertools.product(range(x, x + width), range(y, y + height)))
        assert not taken & cells
        taken |= cells
    assert len(taken) == COLUMNS * (max(y for _, y in taken) + 1)  # no holes


WIDGETS = {
    "text": {"markdown", "background"},
    "alarm": {"title", "alarms", "sortBy"},
    "log": {"title", "region", "view", "query"},
    "metric": {"title", "region", "view", "stat", "period", "metrics", "stacked", "yAxis",
               "setPeriodToTimeRange", "annotations"},
}  # fmt: skip


def test_the_dashboards_widgets_are_well_formed(stack: Deployment) -> None:
    whole = page(stack)
    assert set(whole) == {"start", "periodOverride", "widgets"}
    for widget in whole["widgets"]:
        properties = widget["properties"]
        assert set(properties) <= WIDGETS[widget["type"]]
        if widget["type"] in ("metric", "log"):
            assert properties["region"] == REGION
        if widget["type"] == "metric":
            assert properties["view"] in ("timeSeries", "singleValue")
            assert properties["period"] % 60 == 0
            _check_lines(properties["metrics"])
        if widget["type"] == "alarm":
            assert sorted(properties["alarms"]) == sorted(a.arn for a in stack.of("MetricAlarm"))
            assert 1 <= len(properties["alarms"]) <= 100


def _check_lines(lines: list[list[Any]]) -> None:
    ids = [line[-1]["id"] for line in lines if "id" in line[-1]]
    assert len(set(ids)) == len(ids)
    for line in lines:
        *names, options = line
        assert isinstance(options, dict)
        assert options["label"]
        if names:
            assert len(names) % 2 == 0
        else:
            used = set(re.findall(r"\b[a-z]\w*", options["expression"]))
            assert used
            assert used <= set(ids)
    assert any(line[-1].get("visible", True) for line in lines)


def test_the_page_shows_what_the_mission_names(prod: Deployment) -> None:
    titles = " ".join(w["properties"].get("title", "") for w in page(prod)["widgets"])
    for wanted in (
        "Jobs by state", "Shards a minute", "Frames a second", "Messages waiting", "Age of the",
        "Failures by stage", "GPU seconds", "Dollars", "interrupted", "wait for an instance",
    ):  # fmt: skip
        assert wanted in titles


def test_the_dashboard_stays_within_the_free_allowance(stack: Deployment) -> None:
    different = {json.dumps(line) for line in drawn(stack)}
    assert 0 < len(different) <= FREE_DASHBOARD_METRICS


def test_the_budget_counts_the_stacks_own_tag_and_warns_before_it_is_spent(
    stack: Deployment,
) -> None:
    (budget,) = stack.of("Budget")
    wanted = json.loads(stack_config(stack.stack)["superres:monthly_budget_dollars"])
    assert budget.inputs["limitAmount"] == str(wanted)
    (cost_filter,) = budget.inputs["costFilters"]
    assert cost_filter == {"name": "TagKeyValue", "values": [f"user:stack${stack.stack}"]}
    kinds = {(n["notificationType"], n["threshold"]) for n in budget.inputs["notifications"]}
    assert kinds == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}
    assert all(n["subscriberEmailAddresses"] for n in budget.inputs["notifications"])


def changed(**settings: str) -> Deployment:
    given = {f"superres:{name}": value for name, value in settings.items()}
    return run_program("prod", {**stack_config("prod"), **given})


def test_settings_switch_dashboard_alarms_and_budget_off() -> None:
    config = stack_config("prod")
    del config["superres:monthly_budget_dollars"]
    off = run_program("prod", {**config, "superres:alarms": "false", "superres:dashboard": "false"})
    assert not [*off.of("MetricAlarm"), *off.of("Dashboard"), *off.of("Budget")]


def test_thresholds_come_from_the_settings() -> None:
    stack = changed(
        alarm_failed_jobs="7", alarm_function_errors="9", alarm_queue_minutes="11",
        alarm_capacity_minutes="130",
    )  # fmt: skip

    def threshold(name: str) -> float:
        found: Recorded = stack.one("MetricAlarm", name)
        return found.inputs["threshold"]

    assert threshold("jobs-failed") == threshold("executions-failed") == 7
    assert threshold("trigger-errors") == 9
    assert threshold("processing-slow") == 11 * 60
    assert threshold("process-waits") == 130 * 60
