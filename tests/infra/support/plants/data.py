"""What holds data and carries messages: buckets, table, keys, queues, topics, events, alarms."""

from typing import Any

from tests.infra.support.planting import (
    Damage,
    both,
    no_longer_uses,
    plus,
    props,
    within,
    within_json,
    without,
)
from tests.infra.support.recorder import bucket

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
EVENT_RULE = "aws:cloudwatch/eventRule:EventRule"
LOGGING = "aws:s3/bucketLogging:BucketLogging"


def first(statements: dict[str, Any]) -> dict[str, Any]:
    return statements["Statement"][0]


def alarm_to(topic: str) -> Damage:
    """An alarm that tells a topic."""
    metric = {"namespace": "AWS/SQS", "metricName": "NumberOfMessagesSent"}
    return plus(ALARM, "alarm", metric, alarmActions=("Topic", topic))


STORAGE = [
    ("bucket-blocks-public-access", without("BucketPublicAccessBlock", "-final"), "has no Buc"),
    (
        "bucket-blocks-public-access",
        props("BucketPublicAccessBlock", "-final", blockPublicPolicy=False),
        "does not set blockPublicPolicy",
    ),
    (
        "bucket-is-encrypted",
        without("BucketServerSideEncryptionConfiguration", "-source"),
        "has no BucketServerSideEncryptionConfiguration",
    ),
    (
        "bucket-is-encrypted",
        within(
            "BucketServerSideEncryptionConfiguration",
            "-source",
            "rules",
            lambda rules: rules[0].update(
                applyServerSideEncryptionByDefault={"sseAlgorithm": "aws:kms"}
            ),
        ),
        "is encrypted by aws:kms, without a key of ours",
    ),
    (
        "bucket-is-encrypted",
        within(
            "BucketServerSideEncryptionConfiguration",
            "-source",
            "rules",
            lambda rules: rules[0].update(
                applyServerSideEncryptionByDefault={
                    "sseAlgorithm": "aws:kms",
                    "kmsMasterKeyId": "key",
                },
                bucketKeyEnabled=False,
            ),
        ),
        "bucketKeyEnabled is not set",
    ),
    ("bucket-wants-tls", without("BucketPolicy", "-final"), "denies calls without TLS"),
    (
        "bucket-wants-tls",
        within_json("BucketPolicy", "-final", "policy", lambda d: first(d).update(Effect="Allow")),
        "allows everybody",
    ),
    (
        "bucket-owner-is-enforced",
        props("BucketOwnershipControls", "-final", rule={"objectOwnership": "ObjectWriter"}),
        "objectOwnership",
    ),
    (
        "bucket-aborts-uploads",
        within(
            "BucketLifecycleConfiguration",
            "-source",
            "rules",
            lambda rules: rules[0].update(status="Disabled"),
        ),
        "parts of uploads",
    ),
    (
        "bucket-log-does-not-loop",
        plus(LOGGING, "loop", {}, bucket=("Bucket", "-final"), targetBucket=("Bucket", "-final")),
        "superres-prod-final logs into a bucket that is logged itself",
    ),
    (
        "table-is-encrypted-and-restorable",
        props("Table", "", pointInTimeRecovery={"enabled": False}),
        "does not enable pointInTimeRecovery",
    ),
    ("key-rotates", props("Key", "-messages", enableKeyRotation=None), "enableKeyRotation"),
]

MESSAGING = [
    ("queue-is-encrypted", props("Queue", "-processing", sqsManagedSseEnabled=False), "sets nei"),
    ("queue-has-dead-letters", no_longer_uses("Queue", "-processing", "redrivePolicy"), "has no r"),
    ("queue-has-dead-letters", without("FunctionEventInvokeConfig", "-trigger"), None),
    (
        "queue-has-dead-letters",
        both(without("FunctionEventInvokeConfig", "-trigger"), without("EventTarget", "-trigger")),
        "superres-prod-trigger-dlq: has no redrivePolicy",
    ),
    (
        "dead-letters-name-their-queue",
        without("RedriveAllowPolicy", "-trigger-dlq"),
        "superres-prod-trigger-dlq: takes dead letters of every queue",
    ),
    (
        "dead-letters-name-their-queue",
        within_json(
            "RedriveAllowPolicy",
            "-processing-dlq",
            "redriveAllowPolicy",
            lambda p: p.update(redrivePermission="allowAll"),
        ),
        "lets allowAll redrive to it",
    ),
    (
        "dead-letters-name-their-queue",
        no_longer_uses("RedriveAllowPolicy", "-processing-dlq", "redriveAllowPolicy"),
        "lets None redrive to it",
    ),
    ("queue-wants-tls", without("QueuePolicy", "-processing"), "denies calls without TLS"),
    (
        "queue-wants-tls",
        within_json(
            "QueuePolicy", "-processing", "policy", lambda d: d["Statement"][1].pop("Condition")
        ),
        "on behalf of anybody",
    ),
    (
        "queue-waits-for-its-function",
        props("Queue", "-processing", visibilityTimeoutSeconds=359.0),
        "superres-prod-processing hides messages for less than 360 s",
    ),
    (
        "mapping-reports-single-failures",
        props("EventSourceMapping", "-process-frames", functionResponseTypes=None),
        "ReportBatchItemFailures",
    ),
    ("topic-is-encrypted", props("Topic", "-processing", kmsMasterKeyId=None), "of ours"),
    (
        "topic-is-encrypted",
        props("Topic", "-processing", kmsMasterKeyId="alias/aws/sns"),
        "of ours",
    ),
    ("topic-wants-tls", without("TopicPolicy", "-processing"), "publishing without TLS"),
    (
        "target-has-dead-letters",
        no_longer_uses("EventTarget", "-trigger", "deadLetterConfig"),
        "has no deadLetterConfig",
    ),
    (
        "events-do-not-loop",
        within_json(
            "EventRule",
            "-trigger",
            "eventPattern",
            lambda p: p["detail"]["bucket"].update(name=[bucket("prod", "final")]),
        ),
        f"hears of {bucket('prod', 'final')}, into which the pipeline writes",
    ),
    (
        "events-do-not-loop",
        within_json(
            "RolePolicy",
            "-recompose-job",
            "policy",
            lambda d: first(d).update(
                Action=["s3:PutObject"],
                Resource=[f"arn:aws:s3:::{bucket('prod', 'source')}/uploads/*"],
            ),
        ),
        f"hears of {bucket('prod', 'source')}, into which the pipeline writes",
    ),
    (
        "events-do-not-loop",
        plus(EVENT_RULE, "all", {"eventPattern": '{"source": ["aws.s3"]}'}),
        "hears of every bucket",
    ),
    (
        "events-do-not-loop",
        plus(EVENT_RULE, "all", {"eventPattern": '{"detail-type": ["Object Created"]}'}),
        "hears of every bucket",
    ),
    (
        "events-do-not-loop",
        within_json(
            "EventRule",
            "-trigger",
            "eventPattern",
            lambda p: p["detail"]["bucket"].update(name=[{"prefix": "superres"}]),
        ),
        "matches buckets by pattern",
    ),
    (
        "bucket-notifies-by-events-only",
        props("BucketNotification", "-source", lambdaFunctions=[{"events": ["s3:*"]}]),
        "tells lambdaFunctions past the rules",
    ),
]

OBSERVABILITY = [
    (
        "alarm-metric-exists",
        plus(ALARM, "gone", {"namespace": "AWS/Batch", "metricName": "JobsFailed"}),
        "looks at AWS/Batch/JobsFailed, which nobody emits",
    ),
    (
        "alarm-metric-exists",
        plus(
            ALARM,
            "gone",
            {"metricQueries": [{"metric": {"namespace": "Superres", "metricName": "Pictures"}}]},
        ),
        "looks at Superres/Pictures, which nobody emits",
    ),
    (
        "alarm-metric-exists",
        props("MetricAlarm", "-jobs-failed", dimensions={"service": "superres"}),
        "looks for ['service'], but the metric comes with ['stack']",
    ),
    (
        "alarm-metric-exists",
        plus(ALARM, "gone", {"metricQueries": [{"expression": "1 + 1"}]}),
        "looks at no metric",
    ),
    (
        "alarm-is-heard",
        plus(ALARM, "deaf", {"namespace": "AWS/SQS", "metricName": "NumberOfMessagesSent"}),
        "tells no topic",
    ),
    ("alarm-is-heard", alarm_to("-email-notification"), None),
    ("alarm-is-heard", alarm_to("-processing"), "may not publish to superres-prod-processing"),
    (
        "alarm-is-heard",
        both(
            alarm_to("-email-notification"),
            within_json("Key", "-messages", "policy", lambda d: d["Statement"].__delitem__(1)),
        ),
        "may not use the key of superres-prod-email-notification",
    ),
    ("provider-gives-tags", props("aws", "", defaultTags='{"tags": {"owner": ""}}'), "no tag own"),
    ("provider-gives-tags", props("aws", "", defaultTags=None), "gives no tag project"),
]

PLANTS = [*STORAGE, *MESSAGING, *OBSERVABILITY]
