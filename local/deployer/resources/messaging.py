"""SNS and SQS."""

from typing import Any

from local.deployer.resource import Aws, Created, RequestedResource

_TOPIC_ATTRIBUTES = {
    "KmsMasterKeyId": "kmsMasterKeyId",
    "DisplayName": "displayName",
    "DeliveryPolicy": "deliveryPolicy",
    "SignatureVersion": "signatureVersion",
    "TracingConfig": "tracingConfig",
    "FifoTopic": "fifoTopic",
    "ContentBasedDeduplication": "contentBasedDeduplication",
}
_QUEUE_ATTRIBUTES = {
    "VisibilityTimeout": "visibilityTimeoutSeconds",
    "MessageRetentionPeriod": "messageRetentionSeconds",
    "MaximumMessageSize": "maxMessageSize",
    "DelaySeconds": "delaySeconds",
    "ReceiveMessageWaitTimeSeconds": "receiveWaitTimeSeconds",
    "RedrivePolicy": "redrivePolicy",
    "RedriveAllowPolicy": "redriveAllowPolicy",
    "Policy": "policy",
    "SqsManagedSseEnabled": "sqsManagedSseEnabled",
    "KmsMasterKeyId": "kmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds": "kmsDataKeyReusePeriodSeconds",
    "FifoQueue": "fifoQueue",
    "ContentBasedDeduplication": "contentBasedDeduplication",
}
_SUBSCRIPTION_ATTRIBUTES = {
    "RawMessageDelivery": "rawMessageDelivery",
    "FilterPolicy": "filterPolicy",
    "FilterPolicyScope": "filterPolicyScope",
    "RedrivePolicy": "redrivePolicy",
    "DeliveryPolicy": "deliveryPolicy",
}


def _attributes(r: RequestedResource, names: dict[str, str]) -> dict[str, str]:
    return {name: _text(value) for name, value in r.pick(**names).items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _topic(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    attributes = _attributes(r, _TOPIC_ATTRIBUTES)
    arn = aws.client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"]
    return Created(arn, {"name": name, "arn": arn, "owner": aws.account})


def _topic_policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("sns").set_topic_attributes(
        TopicArn=r["arn"], AttributeName="Policy", AttributeValue=r["policy"]
    )
    return Created(r["arn"], {"owner": aws.account})


def _subscription(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("confirmationTimeoutInMinutes", "endpointAutoConfirms")
    arn = aws.client("sns").subscribe(
        TopicArn=r["topic"],
        Protocol=r["protocol"],
        Endpoint=r["endpoint"],
        Attributes=_attributes(r, _SUBSCRIPTION_ATTRIBUTES),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Created(arn, {"arn": arn, "ownerId": aws.account})


def _queue(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    url = aws.client("sqs").create_queue(
        QueueName=name, Attributes=_attributes(r, _QUEUE_ATTRIBUTES)
    )["QueueUrl"]
    return Created(url, {"name": name, "url": url, "arn": aws.arn("sqs", name)})


def _queue_policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("sqs").set_queue_attributes(
        QueueUrl=r["queueUrl"], Attributes={"Policy": r["policy"]}
    )
    return Created(r["queueUrl"], {})


def _redrive_policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("sqs").set_queue_attributes(
        QueueUrl=r["queueUrl"], Attributes={"RedrivePolicy": r["redrivePolicy"]}
    )
    return Created(r["queueUrl"], {})


def _redrive_allow_policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("sqs").set_queue_attributes(
        QueueUrl=r["queueUrl"], Attributes={"RedriveAllowPolicy": r["redriveAllowPolicy"]}
    )
    return Created(r["queueUrl"], {})


HANDLERS = {
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": _topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": _queue_policy,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": _redrive_allow_policy,
    "aws:sqs/redrivePolicy:RedrivePolicy": _redrive_policy,
}
