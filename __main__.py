"""The whole stack: settings, components, exports."""

import pulumi
import pulumi_aws as aws

from components import functions, workloads
from components.common.encryption import Encryption, EncryptionArgs
from components.common.identity import Location, bound_roles
from components.common.logs import LogSettings
from components.compute.component import Compute, ComputeArgs
from components.compute.interruptions import Interruptions, InterruptionsArgs
from components.functions import Functions, FunctionsArgs
from components.images.component import Images, ImagesArgs
from components.messaging.component import Messaging, MessagingArgs
from components.network.component import Network, NetworkArgs
from components.observability.component import Observability, ObservabilityArgs
from components.settings import read_settings
from components.storage.component import (
    Retention,
    Storage,
    StorageArgs,
)
from components.storage.job_table import JobTable, JobTableArgs
from components.workflow import Workflow, WorkflowArgs
from contracts.names import PROJECT, Stage

settings = read_settings()
if settings.permissions_boundary_arn:
    bound_roles(settings.permissions_boundary_arn)
stack = pulumi.get_stack()
name = f"{PROJECT}-{stack}"
tags = settings.tags(stack)
region = pulumi.Config("aws").require("region")
provider = aws.Provider(name, region=region, default_tags={"tags": tags})
opts = pulumi.ResourceOptions(providers=[provider])
location = Location.of(provider)

encryption_args = EncryptionArgs(
    location=location,
    prefix=name,
    mode=settings.encryption,
    key_arn=settings.kms_key_arn,
    protect=settings.protect,
)
encryption = Encryption(name, encryption_args, opts)
logs = LogSettings(
    retention_days=settings.log_retention_days,
    key_arn=encryption.data.arn if encryption.data else None,
)

storage_args = StorageArgs(
    location=location,
    namespace=name,
    key=encryption.data,
    days=Retention(
        noncurrent=settings.noncurrent_days,
        source=settings.source_days,
        intermediate=settings.intermediate_days,
        final=settings.final_days,
        access_logs=settings.access_log_days,
    ),
    final_class=settings.final_storage_class,
    final_class_days=settings.final_storage_days,
    intermediate_versioned=settings.intermediate_versioned,
    final_versioned=settings.final_versioned,
    protect=settings.protect,
)
storage = Storage(name, storage_args, opts)
job_table_args = JobTableArgs(protect=settings.protect, key=encryption.data)
job_table = JobTable(name, job_table_args, opts)

messaging_args = MessagingArgs(
    location=location,
    encryption=encryption,
    prefix=name,
    function_timeout_seconds=functions.TIMEOUT_SECONDS,
    subscribers=settings.subscribers,
)
messaging = Messaging(name, messaging_args, opts)

images_args = ImagesArgs(
    location=location, named=settings.named_images, registry=settings.image_registry, stack=stack
)
images = Images(name, images_args, opts)

jobs = workloads.jobs(settings, storage, images)
network_args = NetworkArgs(
    location=location,
    mode=settings.network,
    vpc_cidr=settings.vpc_cidr,
    zones=settings.zones,
    endpoint_zones=settings.endpoint_zones,
    s3=workloads.s3_access(storage, jobs),
    flow_logs=settings.flow_logs,
    logs=logs,
)
network = Network(name, network_args, opts)

compute_args = ComputeArgs(
    location=location,
    subnet_ids=network.subnet_ids,
    security_group_id=network.security_group_id,
    pools=workloads.pools(settings),
    fleets=workloads.fleets(settings),
    own_service_role=settings.batch_service_role == "own",
    jobs=jobs,
    repositories=images.repositories,
    waits=workloads.waits(settings),
    logs=logs,
    volume_key_arn=encryption.data.arn if encryption.data else None,
    tags=tags,
)
compute = Compute(name, compute_args, opts)
interruptions = Interruptions(name, InterruptionsArgs(logs=logs, dlq_key=encryption.queues), opts)

workflow_args = WorkflowArgs(
    location=location, messaging=messaging, logs=logs, tracing=settings.tracing
)
workflow = Workflow(name, workflow_args, opts)

functions_args = FunctionsArgs(
    specs=workloads.functions(
        storage=storage,
        job_table=job_table,
        messaging=messaging,
        compute=compute,
        workflow=workflow,
        reconcile_minutes=settings.reconcile_minutes,
    ),
    layer_arn=settings.powertools_layer_arn
    or functions.powertools_layer_arn(
        location, settings.lambda_architecture, settings.powertools_layer_version
    ),
    architecture=settings.lambda_architecture,
    logs=logs,
    dlq_key=encryption.queues,
    reserved_concurrency=settings.reserved_concurrency,
    queue_concurrency=settings.queue_concurrency,
    tracing=settings.tracing,
)
all_functions = Functions(name, functions_args, opts)

observability_args = ObservabilityArgs(
    location=location,
    stack=stack,
    messaging=messaging,
    functions=all_functions,
    interruptions=interruptions,
    state_machine_arn=workflow.state_machine_arn,
    job_log=compute.log_name,
    reconcile_minutes=settings.reconcile_minutes,
    thresholds=settings.thresholds,
    alarms=settings.alarms,
    dashboard=settings.dashboard,
    monthly_budget_dollars=settings.monthly_budget_dollars,
    budget_addresses=settings.operators,
)
Observability(name, observability_args, opts)

pulumi.export("source_bucket", storage.source.bucket)
pulumi.export("intermediate_bucket", storage.intermediate.bucket)
pulumi.export("final_bucket", storage.final.bucket)
pulumi.export("access_log_bucket", storage.access_logs.bucket)
pulumi.export("state_machine_arn", workflow.state_machine_arn)
pulumi.export("registry_table", job_table.table)
pulumi.export("notification_topic_arn", messaging.notification.topic_arn)
pulumi.export("email_topic_arn", messaging.email_topic_arn)
pulumi.export("process_queue_arn", compute.queue_of(Stage.PROCESS))
pulumi.export("media_queue_arn", compute.queue_of(Stage.EXTRACT))
for image, reference in images.references.items():
    pulumi.export(image.setting, reference)
pulumi.export("commit", settings.commit or "unrecorded")
