"""EventBridge patterns: which events wake which function. Pure functions."""

from collections.abc import Sequence
from typing import Any

from contracts.keys import UPLOADS

Pattern = dict[str, Any]


def uploaded(bucket: str) -> Pattern:
    """A new object (version) under the uploads prefix.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": UPLOADS}]}},
    }


def job_ended(queue_arns: Sequence[str]) -> Pattern:
    """A job of ours ended: every failure, but of successes only those of whole jobs.

    The children of an array carry an index; ten thousand of them succeed silently, but the
    first that fails is heard at once. An array's parent and a plain job carry none.
    https://docs.aws.amazon.com/batch/latest/userguide/batch_cwe_events.html
    """
    return {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {
            "jobQueue": list(queue_arns),
            "$or": [
                {"status": ["FAILED"]},
                {
                    "status": ["SUCCEEDED"],
                    "arrayProperties": {"index": [{"exists": False}]},
                },
            ],
        },
    }


def execution_ended(state_machine_arn: str) -> Pattern:
    """An execution ended in another way than by success.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [state_machine_arn],
            "status": ["FAILED", "ABORTED", "TIMED_OUT"],
        },
    }


def spot_interrupted() -> Pattern:
    """A Spot instance is taken back in two minutes.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    """
    return {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}


def rebalance_recommended() -> Pattern:
    """A Spot instance has become likelier to be taken back.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
    """
    return {"source": ["aws.ec2"], "detail-type": ["EC2 Instance Rebalance Recommendation"]}
