"""One settings model per workload: the names and types of its environment variables.

A component fills the model, and a missing or extra name fails the preview; the workload reads the
same model. A variable is SUPERRES_ and the field's name in capitals.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError

from contracts.base import Contract, ContractError, explain
from contracts.names import ENVIRONMENT_PREFIX, Stage

JOB_REGION_VARIABLE = "AWS_DEFAULT_REGION"
"""From it the SDK in a job knows its region: ECS sets it on Fargate, but not on instances. Without
it the SDK looks for S3 in us-east-1, which no private network of another region can reach.
https://github.com/aws/containers-roadmap/issues/1611"""


class Environment(Contract):
    """Base of all workload environments."""

    submitted: ClassVar[frozenset[str]] = frozenset()
    """Fields that the stage function sets for each job; the job definition sets the others."""

    stack: str = Field(default="unnamed", min_length=1)
    """The stack's name, for metrics. Components must set it, as every field, default or not."""

    @classmethod
    def stack_of(cls, environ: Mapping[str, str]) -> str:
        """The stack's name, for code that emits metrics in any workload."""
        return environ.get(cls.variable("stack"), cls.model_fields["stack"].default)

    @classmethod
    def variable(cls, field: str) -> str:
        return ENVIRONMENT_PREFIX + field.upper()

    @classmethod
    def static_variables(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Variables for a function or a job definition. Values may be Pulumi outputs.

        Raises ContractError where a name is missing or unknown.
        """
        expected = set(cls.model_fields) - cls.submitted
        return cls._named(values, expected)

    @classmethod
    def submitted_variables(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Variables for a job's container overrides. Raises ContractError as above."""
        return cls._named(values, set(cls.submitted))

    @classmethod
    def _named(cls, values: Mapping[str, Any], expected: set[str]) -> dict[str, Any]:
        missing, extra = expected - set(values), set(values) - expected
        if missing or extra:
            raise ContractError(
                f"{cls.__name__}: missing {sorted(missing) or 'nothing'}, "
                f"not expected {sorted(extra) or 'nothing'}"
            )
        return {cls.variable(name): values[name] for name in sorted(values)}

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read and check the process environment. Raises ContractError with one sentence."""
        fields = {
            name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
            for name, value in environ.items()
            if name.startswith(ENVIRONMENT_PREFIX)
        }
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise ContractError(
                "environment: " + explain(error, ENVIRONMENT_PREFIX, spell=str.upper)
            ) from error


class TriggerEnvironment(Environment):
    state_machine_arn: str
    intermediate_bucket: str
    registry_table: str


class StageEnvironment(Environment):
    """For each of the three functions that submit jobs."""

    stage: Stage
    job_queue: str
    job_definition: str
    registry_table: str
    state_machine_arn: str


class JobStateEnvironment(Environment):
    registry_table: str
    intermediate_bucket: str


class CompletionEnvironment(Environment):
    registry_table: str
    email_topic_arn: str


class StageQueues(Environment):
    """The Batch job queue of each stage, in which its jobs are found by name."""

    extract_queue: str
    process_queue: str
    recompose_queue: str

    def queue(self, stage: Stage) -> str:
        return getattr(self, stage_queue(stage))


def stage_queue(stage: Stage) -> str:
    """The field of StageQueues that names a stage's queue."""
    return f"{stage.value}_queue"


class ExecutionEndedEnvironment(StageQueues):
    notification_topic_arn: str


class ReconcilerEnvironment(StageQueues):
    registry_table: str
    intermediate_bucket: str
    state_machine_arn: str
    notification_topic_arn: str


class WorkerEnvironment(Environment):
    """For every Batch job."""

    submitted: ClassVar[frozenset[str]] = frozenset({"job_id"})

    job_id: str
    intermediate_bucket: str
    gpus: int = Field(default=0, ge=0)
    """GPUs that the job holds, whether it uses them or not."""
    dollars_per_hour: float = Field(default=0.0, ge=0)
    """Estimated price of the job's share of an instance, in US dollars."""


class DecodingEnvironment(WorkerEnvironment):
    """For jobs that read users' files, or what was made from them, in a child process; the limits
    are the child's."""

    decode_memory_mib: int = Field(default=3072, gt=0)
    decode_cpu_seconds: int = Field(default=6 * 3600, gt=0)
    decode_stall_seconds: float = Field(default=120.0, gt=0)
    """After so long without a sign of life the child counts as hanging."""
    decode_filter: Literal["required", "off"] = "required"
    """Whether the kernel must filter the child's system calls."""


class ExtractEnvironment(DecodingEnvironment):
    worker_gflops: float = Field(gt=0)
    """Measured model throughput of one processing worker, in 1e9 operations per second."""
    worker_dollars_per_hour: float = Field(ge=0)
    """Estimated price of such a worker; the job's own is `dollars_per_hour`."""
    worker_parallelism: int = Field(ge=1)
    """Processing workers that the stack can run at once."""
    inference_threads: int = Field(ge=1)
    inference_dtype: Literal["float32", "float16", "bfloat16"]
    inference_engine: Literal["torch", "ncnn"]
    inference_batch: int = Field(ge=1)
    """Pictures that a network computes at once, if they fit into the memory."""
    inference_memory_mib: int = Field(gt=0)
    """Memory of a worker's device for a network's activations."""
    encoder_threads: int = Field(ge=1)
    video_encoders: Literal["software", "nvenc"]
    """nvenc: the GPU's encoders, for whatever they can make."""
    max_source_bytes: int = Field(gt=0)
    max_frame_pixels: int = Field(gt=0)
    max_output_pixels: int = Field(gt=0)
    max_frames: int = Field(gt=0)
    max_duration_seconds: float = Field(gt=0)
    max_streams: int = Field(gt=0)
    """Attachments are not counted."""
    max_attachments: int = Field(gt=0)
    max_attachment_bytes: int = Field(gt=0)
    """Of all attachments together."""
    max_chapters: int = Field(gt=0)
    max_extradata_bytes: int = Field(gt=0)
    """Of one stream's header."""
    max_job_dollars: float = Field(ge=0)
    """Estimated US dollars of the whole job; 0: no limit."""
    intermediate_days: int = Field(ge=1)
    """How long shards are kept, for their price."""


class ProcessEnvironment(DecodingEnvironment):
    model_dir: str
    """Folder of the safetensors files inside the image."""
    device: Literal["auto", "cpu", "cuda"]
    children: int = Field(ge=1)
    """Processes that share a run; each has a device of its own."""
    progress_seconds: float = Field(gt=0)


class RecomposeEnvironment(DecodingEnvironment):
    final_bucket: str


WORKERS: dict[Stage, type[WorkerEnvironment]] = {
    Stage.EXTRACT: ExtractEnvironment,
    Stage.PROCESS: ProcessEnvironment,
    Stage.RECOMPOSE: RecomposeEnvironment,
}
