"""Topics, queues, and who may send."""

import json

from components.functions import TIMEOUT_SECONDS
from tests.infra.recorder import Deployment, stack_config

CHANNELS = ("extract-frames", "processing", "recomposition", "notification")


def test_there_are_five_topics(stack: Deployment) -> None:
    prefix = f"superres-{stack.stack}-"
    topics = {t.name.removeprefix(prefix) for t in stack.of("Topic")}
    assert topics == {*CHANNELS, "email-notification"}


def test_every_topic_is_encrypted_under_our_rotated_key(stack: Deployment) -> None:
    (key,) = stack.of("Key")
    assert key.inputs["enableKeyRotation"] is True
    assert {t.inputs["kmsMasterKeyId"] for t in stack.of("Topic")} == {key.arn}


def test_every_queue_is_encrypted_and_every_message_has_an_end(stack: Deployment) -> None:
    queues = {q.arn: q.inputs for q in stack.of("Queue")}
    redrives = [json.loads(q["redrivePolicy"]) for q in queues.values() if "redrivePolicy" in q]
    failed = [
        f.inputs["destinationConfig"]["onFailure"]["destination"]
        for f in stack.of("FunctionEventInvokeConfig")
    ]
    dead = {r["deadLetterTargetArn"] for r in redrives} | set(failed)
    assert all(q["sqsManagedSseEnabled"] is True for q in queues.values())
    assert {arn for arn, q in queues.items() if "redrivePolicy" not in q} == dead
    assert all(r["maxReceiveCount"] >= 5 for r in redrives)
    assert len(redrives) == len(CHANNELS)


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(
    stack: Deployment,
) -> None:
    timeouts = {f.arn: f.inputs["timeout"] for f in stack.of("Function")}
    queues = {q.arn: q.inputs for q in stack.of("Queue")}
    mappings = stack.of("EventSourceMapping")
    assert len(mappings) == len(CHANNELS)
    for mapping in mappings:
        queue = queues[mapping.inputs["eventSourceArn"]]
        function = timeouts[mapping.inputs["functionName"]]
        assert queue["visibilityTimeoutSeconds"] >= 6 * function == 6 * TIMEOUT_SECONDS


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


def test_only_its_topic_may_send_to_a_queue_and_only_by_tls(stack: Deployment) -> None:
    policies = {
        p.name: json.loads(p.inputs["policy"])["Statement"] for p in stack.of("QueuePolicy")
    }
    assert set(policies) == {q.name for q in stack.of("Queue")}
    for name in CHANNELS:
        queue, topic = stack.one("Queue", name), stack.one("Topic", name)
        deny, allow = policies[queue.name]
        assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert allow["Principal"] == {"Service": "sns.amazonaws.com"}
        assert allow["Action"] == "sqs:SendMessage"
        assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": topic.arn}}
    for name in CHANNELS:
        assert [s["Effect"] for s in policies[f"superres-{stack.stack}-{name}-dlq"]] == ["Deny"]


def test_only_its_rule_may_send_to_a_functions_dead_letters(stack: Deployment) -> None:
    for name in ("trigger", "job-state"):
        (policy,) = [p for p in stack.of("QueuePolicy") if p.name.endswith(f"{name}-dlq")]
        _, allow = json.loads(policy.inputs["policy"])["Statement"]
        assert allow["Principal"] == {"Service": "events.amazonaws.com"}
        rule = stack.one("EventRule", name)
        assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": rule.arn}}


def test_nobody_publishes_by_plain_http(stack: Deployment) -> None:
    policies = [json.loads(p.inputs["policy"]) for p in stack.of("TopicPolicy")]
    assert len(policies) == 5
    for policy in policies:
        (deny,) = policy["Statement"]
        assert (deny["Effect"], deny["Action"]) == ("Deny", "sns:Publish")
