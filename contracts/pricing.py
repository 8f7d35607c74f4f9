"""What things cost: public list prices, and estimates made from them. No I/O.

All prices are US dollars before tax, for us-east-1, as AWS listed them publicly in 2025; other
regions cost up to half as much again. Nothing here has been compared with a bill.
Pages: https://aws.amazon.com/ec2/pricing/on-demand/, /s3/pricing/, /ebs/pricing/,
/cloudwatch/pricing/, /step-functions/pricing/, /lambda/pricing/, /sqs/pricing/, /sns/pricing/,
/kms/pricing/, /privatelink/pricing/, /dynamodb/pricing/.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.models import ModelFacts
from contracts.planning import WORKER_START_SECONDS, frame_seconds

HOURS_A_MONTH = 730.0
SECONDS_AN_HOUR = 3600.0
GB = 1e9

SPOT_SHARE = 0.5
"""Assumed: the Spot price over the on-demand price. It varies with hour, family and zone."""


@dataclass(frozen=True)
class InstanceFacts:
    vcpus: int
    gpus: int
    dollars_per_hour: float
    """On demand, Linux."""


INSTANCES: dict[str, InstanceFacts] = {
    "g4dn.xlarge": InstanceFacts(4, 1, 0.526),
    "g4dn.2xlarge": InstanceFacts(8, 1, 0.752),
    "g4dn.4xlarge": InstanceFacts(16, 1, 1.204),
    "g5.xlarge": InstanceFacts(4, 1, 1.006),
    "g5.2xlarge": InstanceFacts(8, 1, 1.212),
    "g5.4xlarge": InstanceFacts(16, 1, 1.624),
    "g6.xlarge": InstanceFacts(4, 1, 0.8048),
    "g6.2xlarge": InstanceFacts(8, 1, 0.9776),
    "g6.4xlarge": InstanceFacts(16, 1, 1.3232),
    "g6e.xlarge": InstanceFacts(4, 1, 1.861),
    "g6e.2xlarge": InstanceFacts(8, 1, 2.24208),
}
FAMILIES: dict[str, float] = {"c6i": 0.0425, "c7i": 0.044625, "m6i": 0.048, "m7i": 0.0504}
"""Dollars of one vCPU for an hour; within these families the price follows the size."""

EBS_GP3_GB_MONTH = 0.08
S3_GB_MONTH = 0.023
S3_PUT = 0.005 / 1000
S3_GET = 0.0004 / 1000
STATE_TRANSITION = 0.025 / 1000
LAMBDA_REQUEST = 0.20 / 1e6
LAMBDA_GB_SECOND = 0.0000133334
"""arm64."""
SQS_REQUEST = 0.40 / 1e6
SNS_PUBLISH = 0.50 / 1e6
DYNAMODB_WRITE = 0.625 / 1e6
DYNAMODB_READ = 0.125 / 1e6
KMS_KEY_MONTH = 1.0
ALARM_METRIC_MONTH = 0.10
DASHBOARD_MONTH = 3.0
METRIC_MONTH = 0.30
ENDPOINT_HOUR = 0.01
"""An interface endpoint, in each of its zones."""

GIB_TO_GB = 1024**3 / GB


def instance_dollars(instance_type: str, vcpus: int, gpus: int) -> float | None:
    """US dollars per hour, on demand, of one job's share of an instance; None if unknown.

    As many jobs share an instance as fit onto its vCPUs and GPUs. For a bare family, such as
    `c6i`, Batch chooses an instance of just the size that the job needs.
    """
    if instance_type in INSTANCES:
        facts = INSTANCES[instance_type]
        room = [facts.vcpus // vcpus, *([facts.gpus // gpus] if gpus else [])]
        return facts.dollars_per_hour / min(room) if min(room) else None
    family = FAMILIES.get(instance_type.split(".")[0])
    return None if family is None or gpus else family * vcpus


def worker_dollars(
    instance_types: Sequence[str], vcpus: int, gpus: int, *, spot: bool, scratch_gib: int
) -> float | None:
    """Estimated US dollars per hour of one job with its disk; None if no type's price is known.

    It is the mean over the types whose price is known.
    """
    prices = [instance_dollars(kind, vcpus, gpus) for kind in instance_types]
    known = [price for price in prices if price is not None]
    if not known:
        return None
    machine = sum(known) / len(known) * (SPOT_SHARE if spot else 1.0)
    return machine + scratch_gib * GIB_TO_GB * EBS_GP3_GB_MONTH / HOURS_A_MONTH


def fleet_dollars(
    instance_types: Sequence[str], spot: int, on_demand: int, *, scratch_gib: int
) -> float:
    """Estimated US dollars per hour of a fleet with its disks, busy or idle.

    `spot` and `on_demand` count instances. Raises KeyError for an unknown instance type.
    """
    prices = [INSTANCES[kind].dollars_per_hour for kind in instance_types]
    mean = sum(prices) / len(prices)
    disk = scratch_gib * GIB_TO_GB * EBS_GP3_GB_MONTH / HOURS_A_MONTH
    return mean * (spot * SPOT_SHARE + on_demand) + disk * (spot + on_demand)


@dataclass(frozen=True, kw_only=True)
class FilmMeasures:
    """What the price of a film depends on; its size in pixels is the source's."""

    width: int
    height: int
    frames_per_second: float
    seconds: float
    bytes: float

    @property
    def frames(self) -> int:
        return math.ceil(self.frames_per_second * self.seconds)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast a stack's machines are, and what they cost."""

    worker_dollars_per_hour: float
    worker_gflops: float
    """Measured throughput of the model on one worker, in 1e9 operations per second."""
    media_dollars_per_hour: float
    intermediate_days: int


RUN_SECONDS = 180.0
"""About as long as the planner makes a run."""
SHARD_SECONDS = 10.0
PROGRESS_SECONDS = 2.0
MEDIA_BYTES_PER_SECOND = 100e6
"""Extract and recompose are bound by the network; a cautious figure for their instances."""
OUTPUT_BITS_PER_PIXEL = 0.12
"""x264 at the default quality; grain takes several times as much."""
TRANSITIONS_A_JOB = 8
FUNCTION_CALLS_A_JOB = 12
FUNCTION_SECONDS = 1.0
FUNCTION_GB = 0.5
RANGE_BYTES = 8e6
"""Of one ranged read of the source."""


def film_cost(
    film: FilmMeasures, size: tuple[int, int], model: ModelFacts, rates: Rates
) -> dict[str, float]:
    """Estimated US dollars of one job, by what they pay for.

    `size` is (width, height) of the result. Not counted: storage of source and result, data that
    leaves the region, instances that wait idle for a job, work repeated after an interruption.
    """
    width, height = size
    scale = height / film.height
    per_frame = frame_seconds(
        film.width, film.height, scale, model=model, worker_gflops=rates.worker_gflops
    )
    compute = film.frames * per_frame
    runs = max(1, math.ceil(compute / RUN_SECONDS))
    worker_seconds = compute + runs * WORKER_START_SECONDS
    result = film.frames * width * height * OUTPUT_BITS_PER_PIXEL / 8
    media_seconds = 2 * WORKER_START_SECONDS + (film.bytes + 2 * result) / MEDIA_BYTES_PER_SECOND
    shards = math.ceil(film.seconds / SHARD_SECONDS)
    puts = shards + worker_seconds / PROGRESS_SECONDS + 20
    gets = 2 * film.bytes / RANGE_BYTES + shards + 20 * runs + result / RANGE_BYTES
    months = rates.intermediate_days / 30
    return {
        "upscaling": worker_seconds / SECONDS_AN_HOUR * rates.worker_dollars_per_hour,
        "reading and joining": media_seconds / SECONDS_AN_HOUR * rates.media_dollars_per_hour,
        "S3 requests": puts * S3_PUT + gets * S3_GET,
        "intermediate shards": result / GB * S3_GB_MONTH * months,
        "orchestration": _orchestration(),
    }


def _orchestration() -> float:
    """US dollars for one job's Step Functions, Lambda, SNS, SQS and DynamoDB, of any length."""
    functions = FUNCTION_CALLS_A_JOB * (
        LAMBDA_REQUEST + FUNCTION_SECONDS * FUNCTION_GB * LAMBDA_GB_SECOND
    )
    messages = 4 * SNS_PUBLISH + 12 * SQS_REQUEST
    records = 12 * DYNAMODB_WRITE + 12 * DYNAMODB_READ
    return TRANSITIONS_A_JOB * STATE_TRANSITION + functions + messages + records


@dataclass(frozen=True, kw_only=True)
class IdleStack:
    """What a stack is charged for while it has no film to work on."""

    keys: int
    alarm_metrics: int
    """Metrics that alarms watch: AWS charges for an alarm on an expression by its metrics."""
    dashboards: int
    standing_metrics: int
    """Custom metrics that the reconciler emits whether there are jobs or not."""
    endpoint_zones: int
    """Interface endpoints, each counted once for each of its zones."""
    reconciler_minutes: int
    fleet_dollars_per_hour: float
    """Of a Spot Fleet's instances with their disks."""


def idle_month(stack: IdleStack) -> dict[str, float]:
    """US dollars of a month without a single film, by what they pay for.

    Before the account's free allowance: ten alarms, ten metrics, three dashboards, a million
    function calls. Stored films are not counted.
    """
    rounds = HOURS_A_MONTH * 60 / stack.reconciler_minutes
    return {
        "KMS keys": stack.keys * KMS_KEY_MONTH,
        "alarms": stack.alarm_metrics * ALARM_METRIC_MONTH,
        "dashboards": stack.dashboards * DASHBOARD_MONTH,
        "metrics": stack.standing_metrics * METRIC_MONTH,
        "reconciler": rounds * (LAMBDA_REQUEST + FUNCTION_SECONDS * FUNCTION_GB * LAMBDA_GB_SECOND),
        "interface endpoints": stack.endpoint_zones * ENDPOINT_HOUR * HOURS_A_MONTH,
        "Spot Fleet": stack.fleet_dollars_per_hour * HOURS_A_MONTH,
    }


def total(parts: Mapping[str, float]) -> float:
    return sum(parts.values())
