"""The catalogue of workloads: what each job and function runs, and the few things it may do.

This is the access matrix of the whole pipeline; the other components only carry it out.
"""

from collections.abc import Mapping

import pulumi

from components.common.events import (
    execution_ended,
    job_ended,
    uploaded,
)
from components.common.identity import Link, join_links
from components.common.policy import to_json
from components.compute.batch import Resources, Waits
from components.compute.component import (
    Compute,
    JobSpec,
    Pool,
)
from components.compute.fleet import FleetSize
from components.compute.machine.template import (
    CPU_IMAGE,
    GPU_IMAGE,
    Machine,
)
from components.functions import EventSource, FunctionSpec, QueueSource, ScheduleSource
from components.images.component import Images
from components.messaging.component import Messaging
from components.network.component import S3Access
from components.settings import StackSettings
from components.storage.component import Storage
from components.storage.job_table import JobTable
from components.workflow import ANSWER_TASKS, Workflow
from contracts.keys import (
    EXTRACT_FILES,
    FRAME_FILES,
    JOB_FILES,
    LOSSLESS_FILES,
    MODEL_FACTS,
    MODEL_WEIGHTS,
    PROGRESS_FILES,
    RESULT_FILES,
    SHARD_FILES,
    UPLOADS,
    failure_files,
    stage_result_files,
)
from contracts.names import Stage
from contracts.stack.environ import (
    CompletionEnvironment,
    ExecutionEndedEnvironment,
    JobStateEnvironment,
    ReconcilerEnvironment,
    StageEnvironment,
    TriggerEnvironment,
)
from contracts.stack.images import ImageName

MEDIA, PROCESS, FLEET = "media", "process", "fleet"
"""Pools: CPU instances on demand, workers (GPU or CPU) on Spot first, and where it is wanted a
fleet of workers that stand ready."""

STAGE_FUNCTIONS: dict[Stage, str] = {
    Stage.EXTRACT: "extract-frames",
    Stage.PROCESS: "process-frames",
    Stage.RECOMPOSE: "recompose-video",
}

RECONCILER_SECONDS = 240
"""Some thousands of running jobs a round, and less than the default time between two rounds."""

HOUR = 3600
ATTEMPT_SECONDS = {Stage.EXTRACT: 12 * HOUR, Stage.PROCESS: 6 * HOUR, Stage.RECOMPOSE: 12 * HOUR}
"""When Batch ends an attempt, far beyond what one should take: this stops a worker that hangs.

The state machine limits each stage as a whole, waiting and retries included: extract by
workflow.EXTRACT_TIMEOUT_SECONDS, which is no longer than one attempt may take; process and
recompose by what extract computed for this film (contracts.planning).
"""


def _machine(settings: StackSettings, *, gpu: bool, root_gib: int) -> Machine:
    return Machine(
        image_type=GPU_IMAGE if gpu else CPU_IMAGE,
        image_id=settings.gpu_image_id if gpu else settings.cpu_image_id,
        root_gib=root_gib,
    )


def pools(settings: StackSettings) -> dict[str, Pool]:
    gpu = settings.worker_gpus > 0
    return {
        MEDIA: Pool(
            instance_types=settings.cpu_instance_types,
            markets={"EC2": settings.media_max_vcpus},
            machine=_machine(settings, gpu=False, root_gib=settings.media_scratch_gib),
        ),
        PROCESS: Pool(
            instance_types=settings.gpu_instance_types if gpu else settings.cpu_instance_types,
            markets={"SPOT": settings.spot_max_vcpus, "EC2": settings.on_demand_max_vcpus},
            machine=_machine(settings, gpu=gpu, root_gib=settings.worker_scratch_gib),
        ),
    }


def fleets(settings: StackSettings) -> dict[str, FleetSize]:
    if not settings.spot_fleet:
        return {}
    gpu = settings.worker_gpus > 0
    size = FleetSize(
        instance_types=settings.fleet_instance_types or settings.gpu_instance_types,
        instances=settings.fleet_instances,
        on_demand_instances=settings.fleet_on_demand_instances,
        machine=_machine(settings, gpu=gpu, root_gib=settings.worker_scratch_gib),
    )
    return {FLEET: size}


def waits(settings: StackSettings) -> Waits:
    return Waits(
        capacity_seconds=settings.capacity_wait_seconds,
        misfit_seconds=settings.misfit_wait_seconds,
    )


def jobs(settings: StackSettings, storage: Storage, images: Images) -> dict[Stage, JobSpec]:
    media = Resources(vcpus=settings.media_vcpus, memory_mib=settings.media_memory_mib)
    worker = Resources(
        vcpus=settings.worker_vcpus,
        memory_mib=settings.worker_memory_mib,
        gpus=settings.worker_gpus,
    )
    media_facts = _facts(media, settings.media_price)
    return {
        Stage.EXTRACT: JobSpec(
            pool=MEDIA,
            image=images.references[ImageName.MEDIA],
            command=("python", "-m", "containers.media", "extract"),
            resources=media,
            attempts=settings.media_attempts,
            attempt_seconds=ATTEMPT_SECONDS[Stage.EXTRACT],
            link=extract_link(storage),
            values={**_extract_values(settings), **media_facts},
        ),
        Stage.PROCESS: JobSpec(
            pool=FLEET if settings.spot_fleet else PROCESS,
            image=images.references[ImageName.UPSCALER],
            command=("python", "-m", "containers.upscaler", "process"),
            resources=worker,
            attempts=settings.worker_attempts,
            attempt_seconds=ATTEMPT_SECONDS[Stage.PROCESS],
            link=process_link(storage),
            values={
                "model_dir": settings.model_dir,
                "device": settings.device,
                "children": settings.worker_children,
                "progress_seconds": settings.progress_seconds,
                **_decoding_values(settings),
                **_facts(worker, settings.worker_price),
            },
        ),
        Stage.RECOMPOSE: JobSpec(
            pool=MEDIA,
            image=images.references[ImageName.MEDIA],
            command=("python", "-m", "containers.media", "recompose"),
            resources=media,
            attempts=settings.media_attempts,
            attempt_seconds=ATTEMPT_SECONDS[Stage.RECOMPOSE],
            link=recompose_link(storage),
            values={**_decoding_values(settings), **media_facts},
        ),
    }


def _facts(resources: Resources, price: float | None) -> dict[str, pulumi.Input[str | int | float]]:
    """What a worker's metrics need to know of it."""
    return {
        "stack": pulumi.get_stack(),
        "gpus": resources.gpus,
        "dollars_per_hour": round(price or 0.0, 6),
    }


def _decoding_values(settings: StackSettings) -> dict[str, pulumi.Input[str | int | float]]:
    """What reads a film may take, wherever it runs."""
    names = ("decode_memory_mib", "decode_cpu_seconds", "decode_stall_seconds", "decode_filter")
    return {name: getattr(settings, name) for name in names}


def _extract_values(settings: StackSettings) -> dict[str, pulumi.Input[str | int | float]]:
    same = (
        "worker_gflops", "inference_threads", "inference_dtype", "inference_engine",
        "inference_batch", "inference_memory_mib", "encoder_threads", "video_encoders",
        "max_source_bytes", "max_frame_pixels", "max_output_pixels", "max_frames",
        "max_duration_seconds", "max_streams", "max_attachments", "max_attachment_bytes",
        "max_chapters", "max_extradata_bytes", "max_job_dollars", "intermediate_days",
    )  # fmt: skip
    values = {name: getattr(settings, name) for name in same}
    worker = {
        "worker_parallelism": settings.parallelism,
        "worker_dollars_per_hour": round(settings.worker_price or 0.0, 6),
    }
    return {**values, **_decoding_values(settings), **worker}


def extract_link(storage: Storage) -> Link:
    """May list the bucket and look at pictures, as every job that asks what is done already."""
    intermediate = storage.intermediate
    return join_links(
        intermediate.link_name("intermediate_bucket"),
        storage.source.grant_read("ReadSource", UPLOADS + "*", versions=True),
        storage.source.grant_read("ReadModelFacts", MODEL_FACTS),
        storage.source.grant_list("TellMissingFromRefused"),
        intermediate.grant_read(
            "ReadJob", JOB_FILES, LOSSLESS_FILES, FRAME_FILES, stage_result_files(Stage.EXTRACT)
        ),
        intermediate.grant_list("SeeWhatIsMissing"),
        intermediate.grant_upload("WriteExtract", EXTRACT_FILES),
        intermediate.grant_write(
            "WriteOutcome", stage_result_files(Stage.EXTRACT), failure_files(Stage.EXTRACT)
        ),
    )


def process_link(storage: Storage) -> Link:
    """May read and write shards: those that stand already are not made again."""
    intermediate = storage.intermediate
    return join_links(
        intermediate.link_name("intermediate_bucket"),
        storage.source.grant_read("ReadSource", UPLOADS + "*", versions=True),
        storage.source.grant_read("ReadModel", MODEL_WEIGHTS),
        storage.source.grant_list("TellMissingFromRefused"),
        intermediate.grant_read("ReadExtractAndShards", EXTRACT_FILES, SHARD_FILES),
        intermediate.grant_list("SeeWhatIsMissing"),
        intermediate.grant_write(
            "WriteShards", SHARD_FILES, PROGRESS_FILES, failure_files(Stage.PROCESS)
        ),
    )


def recompose_link(storage: Storage) -> Link:
    """May list the bucket, to name a missing shard instead of a refused one."""
    intermediate = storage.intermediate
    return join_links(
        intermediate.link_name("intermediate_bucket"),
        storage.final.link_name("final_bucket"),
        intermediate.grant_read("ReadExtractAndShards", EXTRACT_FILES, SHARD_FILES),
        intermediate.grant_list("SeeWhatIsMissing"),
        intermediate.grant_write(
            "WriteOutcome", stage_result_files(Stage.RECOMPOSE), failure_files(Stage.RECOMPOSE)
        ),
        storage.final.grant_upload("WriteResult", RESULT_FILES),
    )


def s3_access(storage: Storage, jobs: Mapping[Stage, JobSpec]) -> S3Access:
    """What all jobs together do in S3, which is all that their network lets through."""
    actions = {action for job in jobs.values() for g in job.link.grants for action in g.actions}
    return S3Access(
        bucket_arns=(storage.source.arn, storage.intermediate.arn, storage.final.arn),
        actions=sorted(action for action in actions if action.startswith("s3:")),
    )


def functions(
    *,
    storage: Storage,
    job_table: JobTable,
    messaging: Messaging,
    compute: Compute,
    workflow: Workflow,
    reconcile_minutes: int,
) -> dict[str, FunctionSpec]:
    return {
        "trigger": _trigger(storage, job_table, workflow),
        **_stages(job_table, messaging, compute, workflow),
        "job-state": _job_state(storage, job_table, compute),
        "execution-ended": _execution_ended(messaging, compute, workflow),
        "completion-notification": _completion(job_table, messaging),
        "reconciler": FunctionSpec(
            handler="lambdas.reconciler.handler.handler",
            description="Make good what no event told",
            environment=ReconcilerEnvironment,
            link=join_links(
                compute.grant_find(),
                compute.grant_describe(),
                job_table.grant_query(),
                workflow.grant_describe_by_name(),
                workflow.grant_list(),
                _outcomes(storage),
                _notify(messaging),
            ),
            source=ScheduleSource(minutes=reconcile_minutes),
            timeout_seconds=RECONCILER_SECONDS,
            alone=True,
        ),
    }


def _trigger(storage: Storage, job_table: JobTable, workflow: Workflow) -> FunctionSpec:
    return FunctionSpec(
        handler="lambdas.trigger.handler.handler",
        description="Start a job for an uploaded film",
        environment=TriggerEnvironment,
        link=join_links(
            workflow.grant_start(),
            job_table.grant_use("PutItem"),
            storage.source.grant_read("ReadUpload", UPLOADS + "*", versions=True),
            storage.source.grant_list("TellMissingFromRefused"),
            storage.intermediate.link_name("intermediate_bucket"),
            storage.intermediate.grant_write("WriteJob", JOB_FILES),
        ),
        source=EventSource(pattern=storage.source.bucket.apply(lambda b: to_json(uploaded(b)))),
    )


def _stages(
    job_table: JobTable, messaging: Messaging, compute: Compute, workflow: Workflow
) -> Mapping[str, FunctionSpec]:
    return {
        name: FunctionSpec(
            handler="lambdas.stage.handler.handler",
            description=f"Submit the {stage.value} job that the workflow asks for",
            environment=StageEnvironment,
            link=join_links(
                compute.grant_submit(stage),
                job_table.grant_use("UpdateItem"),
                workflow.grant_describe_by_name(),
            ),
            values={"stage": stage.value},
            source=QueueSource(queue=messaging.stages[stage].queue),
        )
        for stage, name in STAGE_FUNCTIONS.items()
    }


def _job_state(storage: Storage, job_table: JobTable, compute: Compute) -> FunctionSpec:
    queues = pulumi.Output.all(*compute.queue_arns.values())
    return FunctionSpec(
        handler="lambdas.job_state.handler.handler",
        description="Tell the workflow how a Batch job ended",
        environment=JobStateEnvironment,
        link=join_links(
            compute.grant_describe(),
            compute.grant_end(),
            job_table.grant_use("GetItem"),
            _outcomes(storage),
        ),
        source=EventSource(pattern=queues.apply(lambda arns: to_json(job_ended(arns)))),
    )


def _outcomes(storage: Storage) -> Link:
    """See how a stage ended, and tell the workflow."""
    results = (stage_result_files(Stage.EXTRACT), stage_result_files(Stage.RECOMPOSE))
    failures = tuple(failure_files(stage) for stage in Stage)
    return join_links(
        storage.intermediate.link_name("intermediate_bucket"),
        storage.intermediate.grant_read("ReadOutcome", *results, *failures),
        storage.intermediate.grant_list("ListFailures", *failures),
        Link(grants=(ANSWER_TASKS,)),
    )


def _execution_ended(messaging: Messaging, compute: Compute, workflow: Workflow) -> FunctionSpec:
    machine = workflow.state_machine_arn
    return FunctionSpec(
        handler="lambdas.execution_ended.handler.handler",
        description="End the work of an execution that failed or was stopped, and tell",
        environment=ExecutionEndedEnvironment,
        link=join_links(compute.grant_find(), workflow.grant_describe(), _notify(messaging)),
        source=EventSource(pattern=machine.apply(lambda arn: to_json(execution_ended(arn)))),
    )


def _notify(messaging: Messaging) -> Link:
    topic = messaging.notification.topic_arn
    return join_links(
        messaging.grant_publish(topic), Link(values={"notification_topic_arn": topic})
    )


def _completion(job_table: JobTable, messaging: Messaging) -> FunctionSpec:
    email = messaging.email_topic_arn
    return FunctionSpec(
        handler="lambdas.completion.handler.handler",
        description="Record how a job ended and write the e-mail",
        environment=CompletionEnvironment,
        link=join_links(
            job_table.grant_use("UpdateItem"),
            messaging.grant_publish(email),
            Link(values={"email_topic_arn": email}),
        ),
        source=QueueSource(queue=messaging.notification.queue),
    )
