"""For every rule, ways to break it: what is broken, and what the rule then says."""

from typing import Any

from tests.infra.planting import (
    Damage,
    both,
    no_longer_uses,
    plus,
    props,
    within,
    within_json,
    without,
)
from tests.infra.recorder import bucket

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
EVENT_RULE = "aws:cloudwatch/eventRule:EventRule"
LOGGING = "aws:s3/bucketLogging:BucketLogging"


def first(statements: dict[str, Any]) -> dict[str, Any]:
    return statements["Statement"][0]


def variable(name: str, value: str) -> Damage:
    """One more environment variable of a job."""
    return within_json(
        "JobDefinition",
        "-extract",
        "containerProperties",
        lambda c: c["environment"].append({"name": name, "value": value}),
    )


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

NETWORK = [
    (
        "group-lets-nobody-in",
        props("SecurityGroup", "prod", ingress=[{"cidrBlocks": ["10.0.0.0/8", "0.0.0.0/0"]}]),
        "lets 0.0.0.0/0 in",
    ),
    (
        "group-lets-nobody-in",
        props("SecurityGroup", "prod", ingress=[{"ipv6CidrBlocks": ["::/0"]}]),
        "lets ::/0 in",
    ),
    (
        "ingress-rule-lets-nobody-in",
        plus(
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "ssh",
            {"cidrIpv4": "0.0.0.0/0"},
        ),
        "lets 0.0.0.0/0 in",
    ),
    (
        "group-rule-lets-nobody-in",
        plus(
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            "ssh",
            {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"]},
        ),
        "lets 0.0.0.0/0 in",
    ),
    ("network-default-group-is-closed", without("DefaultSecurityGroup"), "as AWS makes it"),
    (
        "network-default-group-is-closed",
        props("DefaultSecurityGroup", "", egress=[{"cidrBlocks": ["0.0.0.0/0"]}]),
        "its default group has rules for egress",
    ),
]

IDENTITY = [
    ("role-has-one-user", no_longer_uses("Function", "-trigger", "role"), "is used by nothing"),
    (
        "role-has-one-user",
        plus("aws:lambda/function:Function", "second", {}, role=("Role", "-trigger")),
        "is used by Function superres-prod-trigger, Function second",
    ),
    ("role-has-its-own-policy", without("RolePolicy", "-trigger"), "has no policy"),
    (
        "role-has-its-own-policy",
        plus(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "admin",
            {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            role=("Role", "-trigger"),
        ),
        "gets arn:aws:iam::aws:policy/AdministratorAccess",
    ),
    (
        "role-has-its-own-policy",
        plus(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "batch",
            {"policyArn": "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"},
            role=("Role", "-trigger"),
        ),
        None,
    ),
    (
        "role-trusts-one",
        within_json("Role", "-workflow", "assumeRolePolicy", lambda d: first(d).pop("Condition")),
        "lets states.amazonaws.com take it on behalf of any account",
    ),
    (
        "role-trusts-one",
        within_json(
            "Role", "-trigger", "assumeRolePolicy", lambda d: first(d).update(Principal="*")
        ),
        "trusts * instead of one service",
    ),
    (
        "role-trusts-one",
        within_json(
            "Role",
            "-trigger",
            "assumeRolePolicy",
            lambda d: first(d).update(Principal={"AWS": "arn:aws:iam::210987654321:root"}),
        ),
        "instead of one service",
    ),
    *(
        (
            "role-trusts-one",
            within_json(
                "Role",
                "-trigger",
                "assumeRolePolicy",
                lambda d, c=condition: first(d).update(
                    Principal={"Federated": "github"}, Condition={"StringEquals": c}
                ),
            ),
            says,
        )
        for condition, says in (
            ({"github:aud": "us", "github:sub": "repo:example:ref:main"}, None),
            ({"github:sub": "repo:example:ref:main"}, "take it whatever the token's aud is"),
            ({"github:aud": "us", "github:sub": "repo:*"}, "take it whatever the token's sub is"),
        )
    ),
    *(
        (
            "policy-has-no-unexplained-wildcard",
            within_json("RolePolicy", "-trigger", "policy", lambda d, c=change: first(d).update(c)),
            says,
        )
        for change, says in (
            ({"Action": ["s3:*"]}, "allows s3:*"),
            ({"Action": "s3:GetObject", "Resource": "*"}, "allows s3:GetObject on everything"),
            ({"Resource": ["arn:aws:s3:::*"]}, "reaches beyond the stack: arn:aws:s3:::*"),
            ({"Resource": ["arn:aws:s3:::superres-dev-final/*"]}, "reaches beyond the stack"),
            ({"Resource": ["arn:aws:batch:us-east-1:*:job/*"]}, "reaches beyond the stack"),
            ({"NotAction": ["iam:*"]}, "allows everything but something"),
        )
    ),
]

FUNCTIONS = [
    ("log-group-forgets", props("LogGroup", "-trigger", retentionInDays=0.0), "for ever"),
    (
        "function-has-its-own-log",
        no_longer_uses("Function", "-trigger", "loggingConfig"),
        "which never forgets",
    ),
    (
        "function-has-its-own-log",
        plus(
            "aws:lambda/function:Function",
            "second",
            {"timeout": 3},
            loggingConfig=("LogGroup", "-trigger"),
        ),
        "shares the log group superres-prod-trigger",
    ),
    (
        "function-keeps-what-failed",
        without("FunctionEventInvokeConfig", "-trigger"),
        "superres-prod-trigger: has neither",
    ),
    (
        "function-keeps-what-failed",
        without("EventSourceMapping", "-process-frames"),
        "superres-prod-process-frames: has neither",
    ),
    ("function-has-a-time-limit", props("Function", "-trigger", timeout=900), "set timeout below"),
    (
        "function-is-traced-like-the-workflow",
        props("Function", "-trigger", tracingConfig=None),
        "superres-prod-trigger: is not traced, unlike superres-prod",
    ),
    (
        "function-is-traced-like-the-workflow",
        props("StateMachine", "", tracingConfiguration={"enabled": False}),
        "superres-prod-trigger: is traced, unlike superres-prod",
    ),
    ("permission-names-its-source", props("Permission", "-trigger", sourceArn=None), "sourceArn"),
    (
        "workflow-logs",
        within("StateMachine", "", "loggingConfiguration", lambda c: c.update(level="OFF")),
        "logs nothing",
    ),
    (
        "workflow-logs",
        within(
            "StateMachine",
            "",
            "loggingConfiguration",
            lambda c: c.update(includeExecutionData=True),
        ),
        "task tokens",
    ),
]

COMPUTE = [
    ("job-environment-is-its-model", variable("SUPERRES_SPEED", "1"), "gets SUPERRES_SPEED, which"),
    (
        "job-environment-is-its-model",
        variable("SUPERRES_MAX_FRAMES", "1"),
        "gets SUPERRES_MAX_FRAMES twice",
    ),
    (
        "job-environment-is-its-model",
        within_json(
            "JobDefinition", "-extract", "containerProperties", lambda c: c.pop("environment")
        ),
        "does not get SUPERRES_INTERMEDIATE_BUCKET",
    ),
    (
        "job-environment-is-its-model",
        within_json(
            "JobDefinition", "-extract", "containerProperties", lambda c: c.update(command=["sh"])
        ),
        "which is no stage",
    ),
    ("job-has-no-secrets", variable("API_TOKEN", "x"), "API_TOKEN looks like a secret"),
    ("job-has-no-secrets", variable("SUPERRES_KEY", "AKIAABCDEFGHIJKLMNOP"), "looks like a secret"),
    (
        "job-has-no-secrets",
        within_json(
            "JobDefinition",
            "-extract",
            "containerProperties",
            lambda c: c.update(secrets=[{"name": "A", "valueFrom": "arn"}]),
        ),
        "gets secrets",
    ),
    *(
        (
            "job-is-confined",
            within_json(
                "JobDefinition",
                "-process",
                "containerProperties",
                lambda c, change=change: c.update(change),
            ),
            says,
        )
        for change, says in (
            ({"readonlyRootFilesystem": False}, "root file system"),
            ({"privileged": True}, "is privileged"),
            ({"volumes": [{"name": "a", "host": {"sourcePath": "/"}}]}, "sees / of its host"),
        )
    ),
    ("job-has-limits", props("JobDefinition", "-process", timeout=None), "has no time limit"),
    (
        "job-has-limits",
        within("JobDefinition", "-process", "retryStrategy", lambda s: s["evaluateOnExits"].pop()),
        "EXIT *",
    ),
    (
        "instance-asks-by-token",
        within("LaunchTemplate", "-media", "metadataOptions", lambda m: m.update(httpTokens="no")),
        "IMDSv2",
    ),
    (
        "instance-disks-are-encrypted",
        within(
            "LaunchTemplate",
            "-media",
            "blockDeviceMappings",
            lambda disks: disks[0]["ebs"].pop("encrypted"),
        ),
        "/dev/xvda is not encrypted",
    ),
    (
        "instance-is-tagged",
        within("LaunchTemplate", "-media", "tagSpecifications", lambda tags: tags.pop()),
        "gives its volumes no tag owner",
    ),
    (
        "environment-scales-to-zero",
        within(
            "ComputeEnvironment",
            "-media-on-demand",
            "computeResources",
            lambda r: r.update(minVcpus=2),
        ),
        "set minVcpus to 0",
    ),
    (
        "repository-is-safe",
        plus("aws:ecr/repository:Repository", "media", {"imageTagMutability": "MUTABLE"}),
        "lets a tag move",
    ),
    (
        "repository-is-safe",
        plus(
            "aws:ecr/repository:Repository",
            "media",
            {
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filter": "release-*"}],
            },
        ),
        "lets a tag move",
    ),
    (
        "repository-is-safe",
        plus("aws:ecr/repository:Repository", "media", {"imageTagMutability": "IMMUTABLE"}),
        "does not scan",
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

PLANTS = [*STORAGE, *MESSAGING, *NETWORK, *IDENTITY, *FUNCTIONS, *COMPUTE, *OBSERVABILITY]
"""(rule, damage, what it says); None: nothing, for something else still holds the rule up."""
