"""Step Functions."""

from local.deployer.resource import Aws, Created, RequestedResource


def _state_machine(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    parameters = r.pick(type="type", tracingConfiguration="tracingConfiguration")
    if logging := r.get("loggingConfiguration"):
        group = {"cloudWatchLogsLogGroup": {"logGroupArn": logging["logDestination"]}}
        parameters["loggingConfiguration"] = {
            "level": logging["level"],
            "includeExecutionData": logging.get("includeExecutionData", False),
            "destinations": [group],
        }
    arn = aws.client("stepfunctions").create_state_machine(
        name=name, definition=r["definition"], roleArn=r["roleArn"], **parameters
    )["stateMachineArn"]
    return Created(arn, {"name": name, "arn": arn, "stateMachineArn": arn, "status": "ACTIVE"})


HANDLERS = {"aws:sfn/stateMachine:StateMachine": _state_machine}
