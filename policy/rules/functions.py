"""Rules on Lambda functions and the workflow."""

from policy.rule import Graph, Problems, Resource, rule, rule_alone

TIMEOUT_SECONDS_MAX = 900
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


@rule_alone("A log forgets", "LogGroup")
def log_group_forgets(group: Resource) -> Problems:
    if not group.props.get("retentionInDays"):
        yield "keeps everything for ever: set retentionInDays"


@rule("A function writes a log group of its own", "Function")
def function_has_its_own_log(function: Resource, graph: Graph) -> Problems:
    groups = graph.used(function, "LogGroup", "loggingConfig")
    if not groups:
        yield "writes a log group that Lambda makes, which never forgets"
    for group in groups:
        if len(graph.users(group, "Function", "loggingConfig")) > 1:
            yield f"shares the log group {group.name}"


@rule("What a function could not handle is kept", "Function")
def function_keeps_what_failed(function: Resource, graph: Graph) -> Problems:
    """By the DLQ of the queue that it reads, or by its own for what services send to it."""
    mappings = graph.users(function, "EventSourceMapping", "functionName")
    if any(graph.used(mapping, "Queue", "eventSourceArn") for mapping in mappings):
        return
    configs = graph.users(function, "FunctionEventInvokeConfig", "functionName")
    kept = any(graph.used(config, "Queue", "destinationConfig") for config in configs)
    if not kept and not graph.used(function, "Queue", "deadLetterConfig"):
        yield "has neither a queue to read nor a destination for events that it failed on"


@rule_alone("A function has a time limit", "Function")
def function_has_a_time_limit(function: Resource) -> Problems:
    if not 0 < (function.props.get("timeout") or 0) < TIMEOUT_SECONDS_MAX:
        yield f"may run as long as Lambda lets it: set timeout below {TIMEOUT_SECONDS_MAX}"


@rule("A trace shows all or nothing: functions are traced where the workflow is", "Function")
def function_is_traced_like_the_workflow(function: Resource, graph: Graph) -> Problems:
    """A setting turns tracing off, for the embedded AWS has none."""
    traced = (function.props.get("tracingConfig") or {}).get("mode") == "Active"
    for machine in graph.of("StateMachine"):
        if traced != bool((machine.props.get("tracingConfiguration") or {}).get("enabled")):
            yield f"is {'' if traced else 'not '}traced, unlike {machine.name}"


@rule_alone("A service may invoke a function on behalf of one source only", "Permission")
def permission_names_its_source(permission: Resource) -> Problems:
    if not permission.props.get("sourceArn"):
        yield f"lets {permission.props.get('principal')} in on behalf of anybody: set sourceArn"


@rule_alone("The workflow logs, and keeps its data out of the log", "StateMachine")
def workflow_logs(machine: Resource) -> Problems:
    logging = machine.props.get("loggingConfiguration") or {}
    if logging.get("level") not in ("ALL", "ERROR"):
        yield "logs nothing"
    if logging.get("includeExecutionData"):
        yield "logs its data, task tokens included"
