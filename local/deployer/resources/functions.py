"""Lambda."""

from local.deployer.archive import zip_bytes
from local.deployer.resource import Aws, Created, RequestedResource, pascal


def _function(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("publish", "skipDestroy", "sourceCodeHash")
    name = r.physical_name()
    client = aws.client("lambda")
    nested = {
        "Environment": r.get("environment"),
        "LoggingConfig": r.get("loggingConfig"),
        "TracingConfig": r.get("tracingConfig"),
        "EphemeralStorage": r.get("ephemeralStorage"),
        "DeadLetterConfig": r.get("deadLetterConfig"),
    }
    parameters = {key: pascal(value) for key, value in nested.items() if value is not None}
    if "Environment" in parameters:  # its names are the function's own
        parameters["Environment"] = {"Variables": r["environment"]["variables"]}
    answer = client.create_function(
        FunctionName=name,
        Role=r["role"],
        Code={"ZipFile": zip_bytes(r["code"])},
        **parameters,
        **r.pick(
            Runtime="runtime",
            Handler="handler",
            Description="description",
            Timeout="timeout",
            MemorySize="memorySize",
            Architectures="architectures",
            Layers="layers",
            KMSKeyArn="kmsKeyArn",
        ),
    )
    if (reserved := r.get("reservedConcurrentExecutions")) is not None:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    arn = answer["FunctionArn"]
    outputs = {
        "name": name,
        "arn": arn,
        "version": "$LATEST",
        "qualifiedArn": f"{arn}:$LATEST",
        "invokeArn": f"arn:aws:apigateway:{aws.region}:lambda:path/2015-03-31/functions/{arn}"
        "/invocations",
    }
    return Created(name, outputs)


def _permission(aws: Aws, r: RequestedResource) -> Created:
    statement = r.get("statementId") or r.name
    aws.client("lambda").add_permission(
        FunctionName=r["function"],
        StatementId=statement,
        Action=r["action"],
        Principal=r["principal"],
        **r.pick(SourceArn="sourceArn", SourceAccount="sourceAccount", Qualifier="qualifier"),
    )
    return Created(statement, {"statementId": statement})


def _event_source_mapping(aws: Aws, r: RequestedResource) -> Created:
    nested = {"ScalingConfig": r.get("scalingConfig"), "FilterCriteria": r.get("filterCriteria")}
    answer = aws.client("lambda").create_event_source_mapping(
        FunctionName=r["functionName"],
        EventSourceArn=r["eventSourceArn"],
        **{key: pascal(value) for key, value in nested.items() if value is not None},
        **r.pick(
            BatchSize="batchSize",
            Enabled="enabled",
            FunctionResponseTypes="functionResponseTypes",
            MaximumBatchingWindowInSeconds="maximumBatchingWindowInSeconds",
        ),
    )
    return Created(answer["UUID"], {"uuid": answer["UUID"], "functionArn": answer["FunctionArn"]})


def _event_invoke_config(aws: Aws, r: RequestedResource) -> Created:
    destination = r.get("destinationConfig")
    aws.client("lambda").put_function_event_invoke_config(
        FunctionName=r["functionName"],
        **({"DestinationConfig": pascal(destination)} if destination else {}),
        **r.pick(
            MaximumEventAgeInSeconds="maximumEventAgeInSeconds",
            MaximumRetryAttempts="maximumRetryAttempts",
            Qualifier="qualifier",
        ),
    )
    return Created(r["functionName"], {})


HANDLERS = {
    "aws:lambda/function:Function": _function,
    "aws:lambda/permission:Permission": _permission,
    "aws:lambda/eventSourceMapping:EventSourceMapping": _event_source_mapping,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": _event_invoke_config,
}
