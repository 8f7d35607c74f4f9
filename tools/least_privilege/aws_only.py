"""Grants that nothing exercises on the embedded AWS, each with the reason. Nowhere else are any.

An entry of which a part is some call's only grant after all is stale, and so is one that no stack
has: both fail the proof.
"""

_AGENT = "AWS: the ECS agent asks it; the embedded AWS runs jobs without instances."
_ECR = "AWS: Docker pulls the image; the embedded AWS runs jobs from this repository's sources."
_FLEET = "AWS: EC2 starts and ends a Spot Fleet's instances; the embedded AWS starts none."
_FLOW = "AWS: VPC flow logs are written by AWS; the embedded AWS has no traffic to log."
_LOGS = "AWS: Lambda, Step Functions and Docker write logs with the role; here they go to files."
_XRAY = "AWS: traces are sent by the service; the embedded AWS keeps none."

AWS_ONLY: dict[str, str] = {
    "DeliverLogs": _LOGS,
    "EndInstances": _FLEET,
    "FindAgentEndpoint": _AGENT,
    "FindLogGroup": _FLOW,
    "JoinCluster": _AGENT,
    "LogInToRegistry": _ECR,
    "LookAround": _FLEET,
    "PassInstanceRole": _FLEET,
    "PullImages": _ECR,
    "ReadOwnTags": _AGENT,
    "SendTraces": _XRAY,
    "ServeCluster": _AGENT,
    "StartInstances": _FLEET,
    "TagInstances": _FLEET,
    "TagSelf": _AGENT,
    "WriteFlowLog": _FLOW,
    "WriteJobLogs": _LOGS,
    "WriteLog": _LOGS,
}
"""By statement id."""

OBJECT_CONTEXT = "kms:EncryptionContext:aws:s3:arn"
"""AWS: an object that was written without a bucket key is bound to its own ARN and not to its
bucket's; users may upload so. The embedded AWS binds every object to its bucket."""


def only_on_aws(key: str, value: str) -> bool:
    """Whether an alternative of a condition, by key and value, is met on AWS alone."""
    return key == OBJECT_CONTEXT and value.endswith("/*")
