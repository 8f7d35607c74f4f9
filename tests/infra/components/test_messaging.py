"""Topics, queues, and who may send."""

import json

from tests.infra.support.recorder import (
    ACCOUNT,
    REGION,
    Deployment,
    stack_config,
    variant,
)

CHANNELS = ("extract-frames", "processing", "recomposition", "notification")


def test_there_are_five_topics(stack: Deployment) -> None:
    prefix = f"superres-{stack.stack}-"
    topics = {t.name.removeprefix(prefix) for t in stack.of("Topic")}
    assert topics == {*CHANNELS, "email-notification"}


def test_every_topic_is_encrypted_under_our_rotated_key(stack: Deployment) -> None:
    key = stack.one("Key", "messages")
    assert key.inputs["enableKeyRotation"] is True
    assert {t.inputs["kmsMasterKeyId"] for t in stack.of("Topic")} == {key.arn}


def test_every_queue_is_encrypted(stack: Deployment, kms: Deployment) -> None:
    assert all(q.inputs["sqsManagedSseEnabled"] is True for q in stack.of("Queue"))
    assert not any("kmsMasterKeyId" in q.inputs for q in stack.of("Queue"))
    key = kms.one("Key", "messages").arn
    assert {q.inputs["kmsMasterKeyId"] for q in kms.of("Queue")} == {key}
    assert not any("sqsManagedSseEnabled" in q.inputs for q in kms.of("Queue"))


def test_every_message_has_an_end(stack: Deployment) -> None:
    queues = {q.arn: q.inputs for q in stack.of("Queue")}
    redrives = [json.loads(q["redrivePolicy"]) for q in queues.values() if "redrivePolicy" in q]
    undelivered = {
        json.loads(s.inputs["redrivePolicy"])["deadLetterTargetArn"]
        for s in stack.of("TopicSubscription")
    }
    failed = {
        f.inputs["destinationConfig"]["onFailure"]["destination"]
        for f in stack.of("FunctionEventInvokeConfig")
    }
    undelivered |= {t.inputs["deadLetterConfig"]["arn"] for t in stack.of("EventTarget")}
    dead = {r["deadLetterTargetArn"] for r in redrives} | failed | undelivered
    assert {arn for arn, q in queues.items() if "redrivePolicy" not in q} == dead
    assert all(r["maxReceiveCount"] >= 5 for r in redrives)
    assert len(redrives) == len(CHANNELS)
    assert all(queues[arn]["messageRetentionSeconds"] == 14 * 24 * 3600 for arn in dead)


def test_each_stage_topic_feeds_its_queue_raw(stack: Deployment) -> None:
    subscriptions = [s.inputs for s in stack.of("TopicSubscription")]
    by_queue = {s["endpoint"]: s for s in subscriptions if s["protocol"] == "sqs"}
    for name in CHANNELS:
        subscription = by_queue[stack.one("Queue", name).arn]
        assert subscription["topic"] == stack.one("Topic", name).arn
        assert subscription["rawMessageDelivery"] is True


def test_the_addresses_of_the_settings_hear_the_email_topic(stack: Deployment) -> None:
    wanted = json.loads(stack_config(stack.stack)["superres:email_addresses"])
    emails = [s.inputs for s in stack.of("TopicSubscription") if s.inputs["protocol"] == "email"]
    assert [e["endpoint"] for e in emails] == wanted
    assert {e["topic"] for e in emails} == {stack.outputs["email_topic_arn"]}
    assert not any("filterPolicy" in e for e in emails)


def test_an_address_hears_only_what_it_asked_for() -> None:
    stack = variant(
        "dev",
        'failure_email_addresses=["failures@example.com"]',
        'alarm_email_addresses=["alarms@example.com"]',
    )
    filters = {
        s.inputs["endpoint"]: (s.inputs["filterPolicyScope"], json.loads(s.inputs["filterPolicy"]))
        for s in stack.of("TopicSubscription")
        if "filterPolicy" in s.inputs
    }
    assert filters == {
        "failures@example.com": ("MessageAttributes", {"status": ["FAILED", "TIMED_OUT"]}),
        "alarms@example.com": ("MessageBody", {"AlarmName": [{"exists": True}]}),
    }


def test_removing_an_address_leaves_the_other_subscriptions_alone() -> None:
    both = variant("dev", 'email_addresses=["a@example.com", "b@example.com"]')
    one = variant("dev", 'email_addresses=["b@example.com"]')
    named = [{s.inputs["endpoint"]: s.urn for s in d.of("TopicSubscription")} for d in (both, one)]
    assert named[0]["b@example.com"] == named[1]["b@example.com"]


def test_only_its_topic_may_send_to_a_queue_and_only_by_tls(stack: Deployment) -> None:
    policies = {
        p.name: json.loads(p.inputs["policy"])["Statement"] for p in stack.of("QueuePolicy")
    }
    assert set(policies) == {q.name for q in stack.of("Queue")}
    for name in (*CHANNELS, "email-notification"):
        topic = stack.one("Topic", name)
        queues = {f"superres-{stack.stack}-{name}-dlq", f"superres-{stack.stack}-{name}"}
        for queue in queues & set(policies):
            deny, allow = policies[queue]
            assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            assert allow["Principal"] == {"Service": "sns.amazonaws.com"}
            assert allow["Action"] == "sqs:SendMessage"
            assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": topic.arn}}


def test_only_its_rule_may_send_to_a_functions_dead_letters(stack: Deployment) -> None:
    for name in ("trigger", "job-state"):
        (policy,) = [p for p in stack.of("QueuePolicy") if p.name.endswith(f"{name}-dlq")]
        _, allow = json.loads(policy.inputs["policy"])["Statement"]
        assert allow["Principal"] == {"Service": "events.amazonaws.com"}
        rule = stack.one("EventRule", name)
        assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": rule.arn}}


def test_only_alarms_may_write_mails_and_use_the_topics_key(stack: Deployment) -> None:
    """Without the one an alarm is refused, without the other it is dropped."""
    topics = {p.name: json.loads(p.inputs["policy"]) for p in stack.of("TopicPolicy")}
    key = json.loads(stack.one("Key", "messages").inputs["policy"])
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:superres-{stack.stack}-*"
    wanted = {"cloudwatch.amazonaws.com": alarms}
    mail = topics.pop(f"superres-{stack.stack}-email-notification")
    for document, actions in (
        (mail, "sns:Publish"),
        (key, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ):
        allowed = {
            s["Principal"]["Service"]: s
            for s in document["Statement"]
            if isinstance(s["Principal"], dict) and "Service" in s["Principal"]
        }
        assert set(allowed) == set(wanted)
        for service, source in wanted.items():
            assert allowed[service]["Action"] == actions
            assert allowed[service]["Condition"] == {
                "ArnLike": {"aws:SourceArn": source},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            }
    assert all(len(policy["Statement"]) == 1 for policy in topics.values())


def test_every_alarm_that_writes_mails_may_do_so(stack: Deployment) -> None:
    email = stack.outputs["email_topic_arn"]
    for alarm in stack.of("MetricAlarm"):
        if email in alarm.inputs.get("alarmActions", []):
            name = alarm.inputs.get("name", alarm.name)
            assert name.startswith(f"superres-{stack.stack}-"), alarm


def test_under_kms_topics_and_rules_may_use_the_queues_key(kms: Deployment) -> None:
    statements = {
        s["Sid"]: s for s in json.loads(kms.one("Key", "messages").inputs["policy"])["Statement"]
    }
    ours = f"arn:aws:sqs:{REGION}:{ACCOUNT}:superres-dev-*"
    assert statements["AllowTopics"]["Condition"] == {
        "ArnLike": {"aws:SourceArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:superres-dev-*"}
    }
    assert statements["AllowRules"]["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:sqs:arn": ours}
    }
    for role, queue, wanted in (
        ("trigger", "trigger-dlq", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("extract-frames", "extract-frames", ["kms:Decrypt"]),
    ):
        (use,) = [
            s
            for s in kms.statements(role)
            if s.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService")
            == f"sqs.{REGION}.amazonaws.com"
        ]
        assert use["Action"] == wanted
        assert use["Condition"]["StringLike"] == {
            "kms:EncryptionContext:aws:sqs:arn": [kms.one("Queue", queue).arn]
        }
