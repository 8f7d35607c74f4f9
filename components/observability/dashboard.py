"""The page that a stack's operators look at: pure functions from what is watched to a dashboard.

From top to bottom: is anything wrong, how does the work go, is there capacity, what does it cost.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.observability.alarms import (
    Look,
    Watched,
    of_ours,
    of_queue,
    of_rule,
    of_workflow,
)
from contracts.names import Metric, Stage

Widget = dict[str, Any]

COLUMNS = 24
HEADING_ROWS, CHART_ROWS = 1, 6
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, kw_only=True)
class Line:
    """A metric drawn, or an expression over other lines of its chart."""

    label: str
    look: Look | None = None
    expression: str | None = None
    id: str | None = None
    stat: str | None = None
    hidden: bool = False
    right: bool = False
    """Against the axis on the right."""

    def entry(self) -> list[Any]:
        options: dict[str, Any] = {"label": self.label}
        if self.id is not None:
            options["id"] = self.id
        if self.stat is not None:
            options["stat"] = self.stat
        if self.hidden:
            options["visible"] = False
        if self.right:
            options["yAxis"] = "right"
        if self.look is None:
            return [{"expression": self.expression, **options}]
        pairs = [part for pair in self.look.dimensions.items() for part in pair]
        return [self.look.namespace, self.look.metric, *pairs, options]


@dataclass(frozen=True, kw_only=True)
class Chart:
    title: str
    lines: Sequence[Line]
    stat: str = "Sum"
    period_seconds: int = 5 * MINUTE
    view: str = "timeSeries"
    stacked: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)
    """Horizontal lines, such as where an alarm begins, by label."""

    def widget(self, region: str) -> Widget:
        properties: dict[str, Any] = {
            "title": self.title,
            "region": region,
            "view": self.view,
            "stat": self.stat,
            "period": self.period_seconds,
            "metrics": [line.entry() for line in self.lines],
        }
        if self.view == "timeSeries":
            properties["stacked"] = self.stacked
            properties["yAxis"] = {"left": {"min": 0}, "right": {"min": 0}}
        if self.view == "singleValue":
            # over the whole range that the page shows
            properties["setPeriodToTimeRange"] = True
        if self.limits:
            marks = [{"label": label, "value": value} for label, value in self.limits.items()]
            properties["annotations"] = {"horizontal": marks}
        return {"type": "metric", "properties": properties}


def dashboard_body(
    watched: Watched,
    *,
    region: str,
    alarm_arns: Sequence[str],
    job_log: str,
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """The whole page, with all names known. `limits`, in seconds, are where alarms begin."""
    rows: list[list[Widget]] = [
        [_heading(f"# Superres, stack {watched.stack}: what to do stands in docs/operations.md")],
        *([[_alarms(alarm_arns)]] if alarm_arns else []),
        [_heading("## Pipeline")],
        [g.widget(region) for g in _jobs(watched)],
        [g.widget(region) for g in _work(watched)],
        [g.widget(region) for g in _queues(watched, limits["queue"])],
        [_failures(region, job_log)],
        [_heading("## Capacity")],
        [g.widget(region) for g in _capacity(watched, limits["capacity"])],
        [_heading("## Cost: estimates from list prices, not the bill")],
        [g.widget(region) for g in _cost(watched)],
    ]
    return {"start": "-PT12H", "periodOverride": "inherit", "widgets": _laid_out(rows)}


def _laid_out(rows: Sequence[Sequence[Widget]]) -> list[Widget]:
    """Each row's widgets side by side over the whole width."""
    placed: list[Widget] = []
    y = 0
    for row in rows:
        height = max(HEADING_ROWS if w["type"] == "text" else CHART_ROWS for w in row)
        width = COLUMNS // len(row)
        for number, widget in enumerate(row):
            place = {"x": number * width, "y": y, "width": width, "height": height}
            placed.append({"type": widget["type"], **place, "properties": widget["properties"]})
        y += height
    return placed


def _heading(markdown: str) -> Widget:
    return {"type": "text", "properties": {"markdown": markdown, "background": "transparent"}}


def _alarms(arns: Sequence[str]) -> Widget:
    properties = {"title": "Alarms", "alarms": list(arns), "sortBy": "stateUpdatedTimestamp"}
    return {"type": "alarm", "properties": properties}


def _failures(region: str, log_group: str) -> Widget:
    query = (
        f"SOURCE '{log_group}' | fields @timestamp, stage, job_id, run, attempt, error, message"
        " | filter level = 'ERROR' | sort @timestamp desc | limit 20"
    )
    properties = {"title": "Latest failures of workers", "region": region, "view": "table"}
    return {"type": "log", "properties": {**properties, "query": query}}


def _jobs(watched: Watched) -> list[Chart]:
    ours = {
        "started": Metric.JOBS_STARTED, "succeeded": Metric.JOBS_SUCCEEDED,
        "failed": Metric.JOBS_FAILED, "cancelled": Metric.JOBS_CANCELLED,
        "refused": Metric.JOBS_REJECTED,
    }  # fmt: skip
    counts = [Line(label=k, look=of_ours(m, watched.stack)) for k, m in ours.items()]
    running = Line(
        label="running", look=of_ours(Metric.RUNNING_JOBS, watched.stack), stat="Maximum"
    )
    aborted = Line(
        label="executions aborted",
        look=of_workflow("ExecutionsAborted", watched.state_machine_arn),
    )
    timed_out = Line(
        label="executions timed out",
        look=of_workflow("ExecutionsTimedOut", watched.state_machine_arn),
    )
    repaired = Line(
        label="made good by the reconciler", look=of_ours(Metric.REPAIRED, watched.stack)
    )
    return [
        Chart(title="Jobs, in the range shown", lines=counts, view="singleValue"),
        Chart(title="Jobs by state", lines=[running, *counts]),
        Chart(title="Unusual ends", lines=[aborted, timed_out, repaired]),
    ]


def _work(watched: Watched) -> list[Chart]:
    stack = watched.stack
    shards = Line(
        id="shards", hidden=True, label="shards", look=of_ours(Metric.SHARDS_COMMITTED, stack)
    )
    frames = Line(id="frames", hidden=True, label="frames", look=of_ours(Metric.FRAMES, stack))
    each = Line(
        label="one worker",
        look=of_ours(Metric.FRAMES_PER_SECOND, stack),
        stat="Average",
        right=True,
    )
    rate = Line(label="all workers", expression="frames / PERIOD(frames)")
    minute = Line(label="shards a minute", expression="60 * shards / PERIOD(shards)")
    failed = [
        Line(label=stage.value, look=of_ours(Metric.STAGE_FAILED, stack, stage)) for stage in Stage
    ]
    return [
        Chart(title="Shards a minute", lines=[shards, minute]),
        Chart(title="Frames a second", lines=[frames, rate, each]),
        Chart(title="Failures by stage", lines=failed, stacked=True),
    ]


def _queues(watched: Watched, limit_seconds: float) -> list[Chart]:
    def lines(metric: str, queues: Mapping[str, Any]) -> list[Line]:
        return [Line(label=name, look=of_queue(metric, queue)) for name, queue in queues.items()]

    visible = "ApproximateNumberOfMessagesVisible"
    return [
        Chart(title="Messages waiting", stat="Maximum", lines=lines(visible, watched.queues)),
        Chart(
            title="Age of the oldest message (s)",
            stat="Maximum",
            lines=lines("ApproximateAgeOfOldestMessage", watched.queues),
            limits={"alarm": limit_seconds},
        ),
        Chart(title="Dead letters", stat="Maximum", lines=lines(visible, watched.dlqs)),
    ]


def _by_stage(metric: Metric, watched: Watched, stat: str | None = None) -> list[Line]:
    return [
        Line(label=stage.value, look=of_ours(metric, watched.stack, stage), stat=stat)
        for stage in Stage
    ]


def _capacity(watched: Watched, limit_seconds: float) -> list[Chart]:
    return [
        Chart(
            title="Longest wait for an instance (s)",
            stat="Maximum",
            lines=_by_stage(Metric.RUNNABLE_AGE_SECONDS, watched),
            limits={"alarm": limit_seconds},
        ),
        Chart(
            title="Workers interrupted (Spot, or ended by somebody)",
            lines=_by_stage(Metric.WORKER_INTERRUPTIONS, watched),
            stacked=True,
        ),
        Chart(
            title="Notices of Spot, for all instances of the account",
            lines=[Line(label=k, look=of_rule(rule)) for k, rule in watched.spot_rules.items()],
        ),
        Chart(
            title="Attempts that were retries",
            lines=_by_stage(Metric.WORKER_RETRIES, watched),
            stacked=True,
        ),
    ]


def _cost(watched: Watched) -> list[Chart]:
    dollars = _by_stage(Metric.ESTIMATED_DOLLARS, watched)
    return [
        Chart(title="Dollars, in the range shown", lines=dollars, view="singleValue"),
        Chart(title="Dollars an hour", lines=dollars, period_seconds=HOUR, stacked=True),
        Chart(
            title="GPU seconds an hour",
            lines=[
                Line(
                    label="process",
                    look=of_ours(Metric.GPU_SECONDS, watched.stack, Stage.PROCESS),
                )
            ],
            period_seconds=HOUR,
        ),
    ]
