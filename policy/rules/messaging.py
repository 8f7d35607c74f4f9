"""Rules on queues, topics and events."""

from collections.abc import Iterator, Mapping
from typing import Any

from policy.rule import Graph, Problems, Resource, listed, rule, rule_alone, statements
from policy.rules.storage import allows_everybody, denies_plain_http

DEAD_LETTER_SENDERS = {
    "Queue": ("redrivePolicy",),
    "EventTarget": ("deadLetterConfig",),
    "FunctionEventInvokeConfig": ("destinationConfig",),
    "Function": ("deadLetterConfig",),
    "TopicSubscription": ("redrivePolicy",),
}
"""Who may name a queue as the place for what nobody could handle, and by which property."""

VISIBILITY_FACTOR = 6
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""

WRITES = ("s3:PutObject", "s3:CopyObject", "s3:RestoreObject")


def is_dead_letter_queue(queue: Resource, graph: Graph) -> bool:
    return any(
        graph.users(queue, kind, *properties) for kind, properties in DEAD_LETTER_SENDERS.items()
    )


@rule_alone("A queue encrypts its messages", "Queue")
def queue_is_encrypted(queue: Resource) -> Problems:
    if queue.props.get("sqsManagedSseEnabled") is not True and not queue.props.get(
        "kmsMasterKeyId"
    ):
        yield "sets neither sqsManagedSseEnabled nor kmsMasterKeyId"


@rule("A queue has a dead-letter queue, or is one", "Queue")
def queue_has_dead_letters(queue: Resource, graph: Graph) -> Problems:
    if not graph.used(queue, "Queue", "redrivePolicy") and not is_dead_letter_queue(queue, graph):
        yield "has no redrivePolicy, and nobody sends dead letters to it"


@rule("A dead-letter queue says whose letters it takes", "Queue")
def dead_letters_name_their_queue(queue: Resource, graph: Graph) -> Problems:
    """Any queue of the account could send its own there otherwise."""
    if not is_dead_letter_queue(queue, graph):
        return
    sources = {source.urn for source in graph.users(queue, "Queue", "redrivePolicy")}
    found = graph.users(queue, "RedriveAllowPolicy", "queueUrl")
    if not found:
        yield "takes dead letters of every queue of the account: add a RedriveAllowPolicy"
    for allowed in found:
        kind = allowed.text("redriveAllowPolicy").get("redrivePermission")
        named = {q.urn for q in graph.used(allowed, "Queue", "redriveAllowPolicy")}
        if kind != ("byQueue" if sources else "denyAll") or named != sources:
            yield f"lets {kind} redrive to it instead of the queues that do"


@rule("A queue refuses calls without TLS, and only its sources may send", "Queue")
def queue_wants_tls(queue: Resource, graph: Graph) -> Problems:
    documents = [p.text("policy") for p in graph.users(queue, "QueuePolicy", "queueUrl")]
    if not any(denies_plain_http(document, "sqs:*") for document in documents):
        yield "has no policy that denies calls without TLS"
    yield from _open_to_services(documents)


@rule("A queue hides a message for six times as long as its function may run", "EventSourceMapping")
def queue_waits_for_its_function(mapping: Resource, graph: Graph) -> Problems:
    for queue in graph.used(mapping, "Queue", "eventSourceArn"):
        for function in graph.used(mapping, "Function", "functionName"):
            least = VISIBILITY_FACTOR * function.props["timeout"]
            if queue.props["visibilityTimeoutSeconds"] < least:
                yield f"{queue.name} hides messages for less than {least:.0f} s"


@rule_alone("A queue's messages that failed come again one by one", "EventSourceMapping")
def mapping_reports_single_failures(mapping: Resource) -> Problems:
    if "ReportBatchItemFailures" not in listed(mapping.props.get("functionResponseTypes")):
        yield "one bad message would bring its whole batch back: set ReportBatchItemFailures"


@rule_alone("A topic is encrypted under a key of ours", "Topic")
def topic_is_encrypted(topic: Resource) -> Problems:
    """Under alias/aws/sns the service's own key would silently drop what alarms publish."""
    if topic.props.get("kmsMasterKeyId") in (None, "", "alias/aws/sns"):
        yield "has no kmsMasterKeyId of ours"


@rule("A topic refuses calls without TLS, and only its sources may publish", "Topic")
def topic_wants_tls(topic: Resource, graph: Graph) -> Problems:
    documents = [p.text("policy") for p in graph.users(topic, "TopicPolicy", "arn")]
    if not any(denies_plain_http(document, "sns:Publish") for document in documents):
        yield "has no policy that denies publishing without TLS"
    yield from _open_to_services(documents)


def _open_to_services(documents: list[Mapping[str, Any]]) -> Problems:
    for document in documents:
        if allows_everybody(document):
            yield "its policy allows everybody something"
        for statement in statements(document, "Allow"):
            if not statement.get("Condition"):
                yield "its policy lets a service in on behalf of anybody: name the source"


@rule("What a rule's target could not take goes to a dead-letter queue", "EventTarget")
def target_has_dead_letters(target: Resource, graph: Graph) -> Problems:
    if not graph.used(target, "Queue", "deadLetterConfig"):
        yield "has no deadLetterConfig"


def written_buckets(graph: Graph) -> set[str]:
    """Names of the buckets into which some role of ours may write."""
    return {
        resource.split(":::", 1)[1].split("/", 1)[0]
        for policy in graph.of("RolePolicy")
        for statement in statements(policy.text("policy"), "Allow")
        if any(action.startswith(WRITES) for action in listed(statement.get("Action")))
        for resource in listed(statement.get("Resource"))
        if ":s3:::" in resource
    }


@rule("No rule starts work on what the pipeline itself writes", "EventRule")
def events_do_not_loop(event_rule: Resource, graph: Graph) -> Problems:
    if event_rule.props.get("eventPattern"):
        yield from _loops(event_rule.text("eventPattern"), written_buckets(graph))


def _loops(pattern: Mapping[str, Any], written: set[str]) -> Iterator[str]:
    if "aws.s3" not in pattern.get("source", ["aws.s3"]):
        return
    names = pattern.get("detail", {}).get("bucket", {}).get("name")
    if not names:
        yield "hears of every bucket, the pipeline's results included: name the bucket"
        return
    for name in names:
        if not isinstance(name, str):
            yield "matches buckets by pattern: name the bucket"
        elif name in written:
            yield f"hears of {name}, into which the pipeline writes"


@rule("A bucket tells EventBridge of its objects, never a function directly", "BucketNotification")
def bucket_notifies_by_events_only(notification: Resource, _: Graph) -> Problems:
    for target in ("lambdaFunctions", "queues", "topics"):
        if notification.props.get(target):
            yield f"tells {target} past the rules that keep the pipeline from starting itself"
