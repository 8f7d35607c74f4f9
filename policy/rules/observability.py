"""Rules on alarms and tags."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.names import METRIC_NAMESPACE, Metric
from contracts.stack.metrics import METRICS
from policy.rule import Graph, Problems, Resource, listed, rule, rule_alone, statements
from policy.rules.compute import TAGS

CLOUDWATCH = "cloudwatch.amazonaws.com"

NATIVE = {
    "AWS/DynamoDB": {"SystemErrors", "ThrottledRequests", "UserErrors"},
    "AWS/Events": {"FailedInvocations", "Invocations", "InvocationsSentToDlq", "TriggeredRules"},
    "AWS/Lambda": {
        "AsyncEventAge",
        "ConcurrentExecutions",
        "DeadLetterErrors",
        "DestinationDeliveryFailures",
        "Duration",
        "Errors",
        "Invocations",
        "Throttles",
    },
    "AWS/SNS": {"NumberOfNotificationsFailed", "NumberOfMessagesPublished"},
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesSent",
    },
    "AWS/States": {
        "ExecutionsAborted",
        "ExecutionsFailed",
        "ExecutionsStarted",
        "ExecutionsSucceeded",
        "ExecutionsTimedOut",
        "ExecutionThrottled",
        "ExecutionTime",
    },
}
"""Metrics that AWS emits without being asked, by namespace. AWS/Batch and AWS/EC2's GPU metrics
do not exist: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html"""


def _metrics(alarm: Resource) -> Iterator[tuple[str, str]]:
    """(namespace, metric) of everything that the alarm looks at."""
    if alarm.props.get("metricName"):
        yield alarm.props.get("namespace") or "", alarm.props["metricName"]
    for query in alarm.props.get("metricQueries") or []:
        metric: Mapping[str, Any] = query.get("metric") or {}
        if metric:
            yield metric.get("namespace") or "", metric["metricName"]


@rule_alone("An alarm looks at metrics that somebody emits", "MetricAlarm")
def alarm_metric_exists(alarm: Resource) -> Problems:
    ours = {metric.value for metric in Metric}
    found = list(_metrics(alarm))
    if not found:
        yield "looks at no metric"
    for namespace, name in found:
        if name not in (ours if namespace == METRIC_NAMESPACE else NATIVE.get(namespace, set())):
            yield f"looks at {namespace}/{name}, which nobody emits"
    if alarm.props.get("namespace") == METRIC_NAMESPACE and alarm.props["metricName"] in ours:
        wanted = {d.value for d in METRICS[Metric(alarm.props["metricName"])].dimensions}
        given = set(alarm.props.get("dimensions") or {})
        if given != wanted:
            yield f"looks for {sorted(given)}, but the metric comes with {sorted(wanted)}"


@rule("Somebody hears an alarm", "MetricAlarm")
def alarm_is_heard(alarm: Resource, graph: Graph) -> Problems:
    topics = graph.used(alarm, "Topic", "alarmActions")
    if not topics:
        yield "tells no topic"
    for topic in topics:
        policies = graph.users(topic, "TopicPolicy", "arn")
        if not _lets_alarms_in(policies, "sns:Publish"):
            yield f"may not publish to {topic.name}: its policy does not name {CLOUDWATCH}"
        keys = graph.used(topic, "Key", "kmsMasterKeyId")
        if not _lets_alarms_in(keys, "kms:GenerateDataKey"):
            yield f"may not use the key of {topic.name}: its policy does not name {CLOUDWATCH}"


def _lets_alarms_in(holders: Iterable[Resource], action: str) -> bool:
    return any(
        action in listed(statement.get("Action"))
        and (statement.get("Principal") or {}).get("Service") == CLOUDWATCH
        for holder in holders
        for statement in statements(holder.text("policy"), "Allow")
    )


@rule("Every resource says whose it is", "aws")
def provider_gives_tags(provider: Resource, _: Graph) -> Problems:
    """By the provider's default tags."""
    default = provider.props.get("defaultTags") or {}
    given = json.loads(default) if isinstance(default, str) else default
    tags = given.get("tags") or {}
    for tag in sorted(TAGS):
        if not tags.get(tag):
            yield f"gives no tag {tag}"
