"""What the picture shows: who hands what to whom, read off the resource graph."""

import json
import textwrap
from collections import Counter
from dataclasses import dataclass, field

from contracts.names import PROJECT
from policy.rule import Graph, Resource, listed, statements
from tests.infra.support.graphs import graph_of
from tests.infra.support.recorder import Deployment

READS = ("s3:GetObject", "s3:GetObjectVersion")
WRITES = ("s3:PutObject",)
ANSWERS = "states:SendTaskSuccess"

SOURCE, START, WORKFLOW, CHANNELS, FUNCTIONS, WORK, RESULTS = range(7)
"""Columns, from left to right."""


@dataclass(frozen=True, kw_only=True)
class Node:
    key: str
    title: str
    lines: tuple[str, ...] = ()
    component: str
    column: int
    row: float
    rows: int = 1


@dataclass(frozen=True, kw_only=True)
class Edge:
    start: str
    end: str
    both: bool = False
    kind: str = "hands on"
    """`hands on`: control; `data`: objects; `reports`: what became of it."""


class Components:
    """Which component each resource belongs to."""

    def __init__(self, deployment: Deployment) -> None:
        self._parents = {r.urn: r.parent for r in deployment.resources}

    def of(self, urn: str) -> str:
        """The outermost one, e.g. Storage; empty for what stands below none."""
        outermost = ""
        while urn:
            kind = urn.split("::")[2].rpartition("$")[2]
            if kind.startswith(f"{PROJECT}:"):
                outermost = kind.rpartition(":")[2]
            urn = self._parents.get(urn, "")
        return outermost


@dataclass
class Diagram:
    components: Components
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    inventory: dict[str, Counter[str]] = field(default_factory=dict)
    """By component: how many resources of which kind, all of them."""

    def add(
        self,
        resource: Resource,
        column: int,
        row: float,
        lines: tuple[str, ...] = (),
        rows: int = 1,
        title: str = "",
    ) -> None:
        node = Node(
            key=resource.urn,
            title=title or short(resource),
            lines=lines,
            component=self.components.of(resource.urn),
            column=column,
            row=row,
            rows=rows,
        )
        self.nodes.append(node)


def short(resource: Resource) -> str:
    """A resource's name without its stack's."""
    return resource.name.removeprefix(f"{PROJECT}-{resource.stack}").lstrip("-") or "workflow"


def diagram_of(deployment: Deployment) -> Diagram:
    graph, drawn = graph_of(deployment), Diagram(Components(deployment))
    (machine,) = graph.of("StateMachine")
    channels = _channels(graph, machine)
    rows = max(len(channels), 1)
    _source(drawn, graph, rows)
    drawn.add(machine, WORKFLOW, 0, ("Step Functions",), rows)
    for row, (topic, queue) in enumerate(channels):
        dead = graph.used(queue, "Queue", "redrivePolicy")
        lines = ("topic ▸ queue", *(["and dead letters"] if dead else []))
        drawn.add(topic, CHANNELS, row, lines)
        drawn.edges.append(Edge(start=machine.urn, end=topic.urn))
        for mapping in graph.users(queue, "EventSourceMapping", "eventSourceArn"):
            for function in graph.used(mapping, "Function", "functionName"):
                _stage(drawn, graph, topic, function, row)
    _listeners(drawn, graph, machine, rows)
    _results(drawn, graph)
    _alarms(drawn, graph, rows)
    _access(drawn, graph)
    _inventory(drawn, graph)
    return drawn


def _channels(graph: Graph, machine: Resource) -> list[tuple[Resource, Resource]]:
    """The workflow's topics, in the order of its states, each with its queue."""
    topics = graph.used(machine, "Topic", "definition")
    text = machine.props["definition"]
    found: list[tuple[Resource, Resource]] = []
    for topic in sorted(topics, key=lambda t: text.index(f'{t.name}"')):
        for subscription in graph.users(topic, "TopicSubscription", "topic"):
            found += [(topic, queue) for queue in graph.used(subscription, "Queue", "endpoint")]
    return found


def _source(drawn: Diagram, graph: Graph, rows: int) -> None:
    """The buckets whose events start something, and the functions that they start."""
    row = (rows - 1) / 2
    for rule in _sorted(graph.of("EventRule")):
        for bucket in graph.used(rule, "Bucket", "eventPattern"):
            drawn.add(bucket, SOURCE, row, ("bucket",))
            for function in _targets(graph, rule):
                drawn.add(function, START, row, ("function", *_wakes(graph, function)))
                drawn.edges.append(Edge(start=bucket.urn, end=function.urn))
                for machine in graph.used(function, "StateMachine", "environment"):
                    drawn.edges.append(Edge(start=function.urn, end=machine.urn))


def _targets(graph: Graph, rule: Resource) -> list[Resource]:
    return [
        function
        for target in graph.users(rule, "EventTarget", "rule")
        for function in graph.used(target, "Function", "arn")
    ]


def _stage(drawn: Diagram, graph: Graph, topic: Resource, function: Resource, row: int) -> None:
    """The function that reads a queue, and the job or the topic that it hands on to."""
    drawn.add(function, FUNCTIONS, row, ("function",))
    drawn.edges.append(Edge(start=topic.urn, end=function.urn))
    for definition in graph.used(function, "JobDefinition", "environment"):
        queues = [short(q) for q in graph.used(function, "JobQueue", "environment")]
        drawn.add(definition, WORK, row, ("job", f"in queue {', '.join(queues)}"))
        drawn.edges.append(Edge(start=function.urn, end=definition.urn))
    for mail in graph.used(function, "Topic", "environment"):
        people = graph.users(mail, "TopicSubscription", "topic")
        count = f"{len(people)} address" + ("es" if len(people) != 1 else "")
        drawn.add(mail, WORK, row, (f"topic, {count}",))
        drawn.edges.append(Edge(start=function.urn, end=mail.urn))


def _listeners(drawn: Diagram, graph: Graph, machine: Resource, first: int) -> None:
    """Below: Batch's queues, and the functions that hear how jobs and executions ended."""
    for row, queue in enumerate(_sorted(graph.of("JobQueue")), first):
        environments = graph.used(queue, "ComputeEnvironment", "computeEnvironmentOrders")
        order = json.dumps(queue.props["computeEnvironmentOrders"])
        markets = sorted(environments, key=lambda e: order.index(f'{e.name}"'))
        names = [short(e).removeprefix(short(queue)).lstrip("-") for e in markets]
        drawn.add(queue, WORK, row, ("job queue", ", then ".join(names)))
    known = {node.key for node in drawn.nodes}
    others = [f for f in _sorted(graph.of("Function")) if f.urn not in known]
    for row, function in enumerate(others, first):
        drawn.add(function, FUNCTIONS, row, ("function", *_wakes(graph, function)))
        for speaker in _heard(graph, function):
            drawn.edges.append(Edge(start=speaker.urn, end=function.urn, kind="reports"))
        for topic in _sorted(graph.used(function, "Topic", "environment")):
            drawn.edges.append(Edge(start=function.urn, end=topic.urn))
        if ANSWERS in _actions(graph, function):
            drawn.edges.append(Edge(start=function.urn, end=machine.urn, kind="reports"))


def _wakes(graph: Graph, function: Resource) -> tuple[str, ...]:
    """What wakes a function that reads no queue."""
    for rule in graph.of("EventRule"):
        if function in _targets(graph, rule) and rule.props.get("eventPattern"):
            (kind,) = rule.text("eventPattern")["detail-type"]
            words = kind.removeprefix("Step Functions ").removeprefix("Batch ")
            return tuple(textwrap.wrap(f"on {words}", 20))
    return ("by the clock",)


def _heard(graph: Graph, function: Resource) -> list[Resource]:
    """Job queues and workflows whose events wake a function."""
    rules = [rule for rule in graph.of("EventRule") if function in _targets(graph, rule)]
    return [
        speaker
        for rule in rules
        for kind in ("JobQueue", "StateMachine")
        for speaker in _sorted(graph.used(rule, kind, "eventPattern"))
    ]


def _actions(graph: Graph, user: Resource) -> set[str]:
    return {action for _, actions in _grants(graph, user) for action in actions}


def _grants(graph: Graph, user: Resource) -> list[tuple[list[str], list[str]]]:
    """(resources, actions) of every statement of the role that a function or a job takes."""
    roles = graph.used(user, "Role", "role", "containerProperties")
    return [
        (listed(statement.get("Resource")), listed(statement.get("Action")))
        for role in roles
        for policy in graph.users(role, "RolePolicy", "role")
        for statement in statements(policy.text("policy"), "Allow")
    ]


def _results(drawn: Diagram, graph: Graph) -> None:
    """The buckets that jobs write, and the job table."""
    known = {node.key for node in drawn.nodes}
    written = {name for job in graph.of("JobDefinition") for name in _buckets(graph, job, WRITES)}
    row = 0
    for bucket in sorted(graph.of("Bucket"), key=lambda b: short(b) == "final"):
        if bucket.urn not in known and _physical(bucket) in written:
            drawn.add(bucket, RESULTS, row, ("bucket",), 2)
            row += 2
    for table in graph.of("Table"):
        users = graph.users(table, "Function", "environment")
        drawn.add(table, START, row, ("table", f"of {len(users)} functions"), title="jobs")


def _alarms(drawn: Diagram, graph: Graph, row: int) -> None:
    """All alarms as one box, which writes to the mail topic."""
    alarms = _sorted(graph.of("MetricAlarm"))
    if not alarms:
        return
    drawn.add(alarms[0], RESULTS, row, ("CloudWatch",), title=f"{len(alarms)} alarms")
    topics = {t.urn for alarm in alarms for t in graph.used(alarm, "Topic", "alarmActions")}
    known = {node.key for node in drawn.nodes}
    drawn.edges += [
        Edge(start=alarms[0].urn, end=urn, kind="reports") for urn in sorted(topics & known)
    ]


def _buckets(graph: Graph, user: Resource, actions: tuple[str, ...]) -> set[str]:
    return {
        resource.split(":::", 1)[1].split("/", 1)[0]
        for resources, allowed in _grants(graph, user)
        if set(allowed) & set(actions)
        for resource in resources
        if ":s3:::" in resource
    }


def _physical(bucket: Resource) -> str:
    """The name that AWS knows, which grants speak of."""
    return bucket.props["bucket"]


def _access(drawn: Diagram, graph: Graph) -> None:
    """Which job reads and writes which bucket."""
    for job in _sorted(graph.of("JobDefinition")):
        read, written = _buckets(graph, job, READS), _buckets(graph, job, WRITES)
        for bucket in _sorted(graph.of("Bucket")):
            name = _physical(bucket)
            ends = {name in read: (bucket, job), name in written: (job, bucket)}
            if True not in ends:
                continue
            start, end = ends[True]
            both = name in read and name in written
            drawn.edges.append(Edge(start=start.urn, end=end.urn, both=both, kind="data"))


def _inventory(drawn: Diagram, graph: Graph) -> None:
    for resource in graph.resources:
        if resource.type.startswith("aws:"):
            kinds = drawn.inventory.setdefault(drawn.components.of(resource.urn), Counter())
            kinds[resource.kind] += 1


def _sorted(resources: list[Resource]) -> list[Resource]:
    return sorted(resources, key=lambda r: r.name)
