"""AWS Batch: where jobs run, in which order capacity is requested, and what each job is."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.identity import (
    Link,
    Location,
    Role,
    RoleArgs,
)
from components.common.logs import LogSettings, log_group
from components.common.policy import ANY, Grant, to_json
from components.compute.batch import (
    JobContainer,
    Resources,
    TimeLimitAction,
    Waits,
    exit_rules,
)
from components.compute.fleet import (
    Fleet,
    FleetArgs,
    FleetSize,
)
from components.compute.machine.grants import instance_grants
from components.compute.machine.service_role import ServiceRole, service_linked_role
from components.compute.machine.template import (
    Machine,
    TemplateArgs,
    latest_version,
    launch_template,
    machine_image,
)
from components.compute.machine.user_data import user_data
from contracts.names import Stage
from contracts.stack.environ import WORKERS, stage_queue

Market = Literal["SPOT", "EC2"]

ALLOCATION: dict[Market, str] = {
    "SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED",
    "EC2": "BEST_FIT_PROGRESSIVE",
}
"""Both allow updates in place, with Batch's service-linked role (hence no service role)."""
UPDATE_MINUTES = 30
"""How long running jobs may go on when their instances are replaced by newer ones."""


BATCH_REFERENCE = (
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbatch.html"
)
LIST_JOBS = Grant(
    sid="FindJob",
    actions=("batch:ListJobs",),
    resources=(ANY,),
    reason=f"ListJobs has no resource level: {BATCH_REFERENCE}",
)
DESCRIBE_JOBS = Grant(
    sid="DescribeJobs",
    actions=("batch:DescribeJobs",),
    resources=(ANY,),
    reason=f"DescribeJobs has no resource level: {BATCH_REFERENCE}",
)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A job queue and the instances that Batch starts for it."""

    instance_types: Sequence[str]
    markets: Mapping[Market, int]
    """The most vCPUs to run at once, in the order in which the markets are tried."""
    machine: Machine


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What a stage runs."""

    pool: str
    image: pulumi.Input[str]
    command: Sequence[str]
    resources: Resources
    attempts: int
    """Attempts in all, if the job's host is lost or the job asks for a retry."""
    attempt_seconds: int
    """Time limit of one attempt."""
    link: Link
    values: Mapping[str, pulumi.Input[str | int | float]] = field(default_factory=dict)
    """Settings beyond those that the link brings."""


@dataclass(frozen=True, kw_only=True)
class ComputeArgs:
    location: Location
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    pools: Mapping[str, Pool]
    fleets: Mapping[str, FleetSize]
    """Pools of instances that Batch does not start itself."""
    own_service_role: bool
    """Instead of Batch's service-linked role, which updates in place need."""
    jobs: Mapping[Stage, JobSpec]
    repositories: Sequence[str]
    """Repositories of the jobs' images."""
    waits: Waits
    logs: LogSettings
    volume_key_arn: pulumi.Input[str] | None
    """Of the instances' volumes. None: EBS's own key."""
    tags: Mapping[str, str]
    """Of instances and volumes, which the provider's default tags do not reach."""


class Compute(pulumi.ComponentResource):
    """Compute environments and queues by pool, job definitions by stage."""

    queue_arns: dict[str, pulumi.Output[str]]
    """By pool."""
    log_name: pulumi.Output[str]
    """Log group of all jobs."""
    definition_arns: dict[Stage, pulumi.Output[str]]

    def __init__(
        self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:compute:Compute", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._log = log_group(f"{name}-jobs", f"/{name}/jobs", args.logs, self._child)
        self.log_name = self._log.name
        self._role, self._profile = self._instance_profile()
        self._service_role = (
            ServiceRole(f"{name}-batch", args.location, self._child).arn
            if args.own_service_role
            else None
        )
        environments = {name: self._environments(name, pool) for name, pool in args.pools.items()}
        self.queue_arns = {
            name: self._queue(name, [one.arn for one in ordered], args.waits.actions())
            for name, ordered in environments.items()
        }
        managed = list(itertools.chain.from_iterable(environments.values()))
        for pool_name, size in args.fleets.items():
            fleet = self._fleet(pool_name, size, managed)
            # Batch knows nothing of a fleet's capacity, so this queue waits for as long as it takes
            self.queue_arns[pool_name] = self._queue(pool_name, [fleet.environment_arn], [])
        self.definition_arns = {
            stage: self._definition(stage, job) for stage, job in args.jobs.items()
        }
        self.register_outputs({"queue_arns": self.queue_arns})

    def _instance_profile(self) -> tuple[Role, aws.iam.InstanceProfile]:
        role = Role(
            f"{self._name}-instance",
            RoleArgs(
                service="ec2.amazonaws.com",
                grants=instance_grants(self._args.location, self._args.repositories, self._log.arn),
            ),
            self._child,
        )
        name = f"{self._name}-instance"
        return role, aws.iam.InstanceProfile(name, role=role.name, opts=self._child)

    def _environments(self, name: str, pool: Pool) -> list[aws.batch.ComputeEnvironment]:
        """A pool's environments, one for each market, in the order in which they are tried."""
        template_args = TemplateArgs(
            machine=pool.machine,
            user_data=user_data(gpu=pool.machine.gpu),
            tags=self._args.tags,
            volume_key_arn=self._args.volume_key_arn,
        )
        template = launch_template(f"{self._name}-{name}", template_args, self._child)
        image = machine_image(self._args.location, pool.machine)
        return [self._environment(name, pool, market, template, image) for market in pool.markets]

    def _fleet(self, name: str, size: FleetSize, managed: Sequence[pulumi.Resource]) -> Fleet:
        """A fleet. Batch's service-linked role comes into being with the first environment that
        Batch manages, so the fleet waits for those."""
        args = self._args
        fleet_args = FleetArgs(
            location=args.location,
            size=size,
            subnet_ids=args.subnet_ids,
            security_group_id=args.security_group_id,
            instance_profile_arn=self._profile.arn,
            instance_role_arn=self._role.arn,
            service_role_arn=self._service_role or service_linked_role(args.location),
            volume_key_arn=args.volume_key_arn,
            tags=args.tags,
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=list(managed))
        return Fleet(f"{self._name}-{name}", fleet_args, after)

    def _queue(
        self,
        name: str,
        environment_arns: Sequence[pulumi.Output[str]],
        actions: Sequence[TimeLimitAction],
    ) -> pulumi.Output[str]:
        queue = aws.batch.JobQueue(
            f"{self._name}-{name}",
            state="ENABLED",
            priority=1,
            job_state_time_limit_actions=list(actions),
            compute_environment_orders=[
                {"order": order, "compute_environment": arn}
                for order, arn in enumerate(environment_arns, 1)
            ],
            opts=self._child,
        )
        return queue.arn

    def _environment(
        self,
        pool_name: str,
        pool: Pool,
        market: Market,
        template: aws.ec2.LaunchTemplate,
        image: pulumi.Output[str],
    ) -> aws.batch.ComputeEnvironment:
        suffix = {"SPOT": "spot", "EC2": "on-demand"}[market]
        return aws.batch.ComputeEnvironment(
            f"{self._name}-{pool_name}-{suffix}",
            type="MANAGED",
            state="ENABLED",
            service_role=self._service_role,
            compute_resources={
                "type": market,
                "allocation_strategy": ALLOCATION[market],
                "min_vcpus": 0,
                "max_vcpus": pool.markets[market],
                "instance_types": list(pool.instance_types),
                "instance_role": self._profile.arn,
                "subnets": list(self._args.subnet_ids),
                "security_group_ids": [self._args.security_group_id],
                "ec2_configurations": [
                    {"image_type": pool.machine.image_type, "image_id_override": image}
                ],
                "launch_template": {
                    "launch_template_id": template.id,
                    "version": latest_version(template),
                },
            },
            update_policy={
                "job_execution_timeout_minutes": UPDATE_MINUTES,
                "terminate_jobs_on_update": False,
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # Batch updates in place by its service-linked role only
                replace_on_changes=["computeResources"] if self._args.own_service_role else None,
            ),
        )

    def _definition(self, stage: Stage, job: JobSpec) -> pulumi.Output[str]:
        variables = WORKERS[stage].static_variables({**job.link.values, **job.values})
        role = Role(
            f"{self._name}-{stage.value}-job",
            RoleArgs(
                service="ecs-tasks.amazonaws.com",
                grants=job.link.grants,
                account=self._args.location.account,
            ),
            self._child,
        )
        properties = pulumi.Output.all(
            image=job.image,
            environment=pulumi.Output.all(**variables),
            job_role_arn=role.arn,
            log_group=self._log.name,
            region=self._args.location.region,
        ).apply(
            lambda known: to_json(
                JobContainer(
                    command=job.command,
                    resources=job.resources,
                    log_stream=stage.value,
                    **known,
                ).properties()
            )
        )
        definition = aws.batch.JobDefinition(
            f"{self._name}-{stage.value}",
            type="container",
            platform_capabilities=["EC2"],
            propagate_tags=True,
            # a function that still names the old revision must not fail during an update
            deregister_on_new_revision=False,
            container_properties=properties,
            retry_strategy={"attempts": job.attempts, "evaluate_on_exits": exit_rules()},
            timeout={"attempt_duration_seconds": job.attempt_seconds},
            opts=self._child,
        )
        return definition.arn

    def queue_of(self, stage: Stage) -> pulumi.Output[str]:
        """ARN of the queue that a stage's jobs go to."""
        return self.queue_arns[self._args.jobs[stage].pool]

    def grant_submit(self, stage: Stage) -> Link:
        """Where a stage's jobs go and what they are, and permission to find and submit them."""
        queue, definition = self.queue_of(stage), self.definition_arns[stage]
        return Link(
            values={"job_queue": queue, "job_definition": definition},
            grants=(
                Grant(sid="SubmitJob", actions=("batch:SubmitJob",), resources=(queue, definition)),
                LIST_JOBS,
                self._end_jobs(),
            ),
        )

    def grant_describe(self) -> Link:
        """Permission to look at jobs by their id."""
        return Link(grants=(DESCRIBE_JOBS,))

    def grant_end(self) -> Link:
        """Permission to end jobs."""
        return Link(grants=(self._end_jobs(),))

    def grant_find(self) -> Link:
        """Each stage's queue, and permission to find jobs there by their name, and to end them."""
        queues = {stage_queue(stage): self.queue_of(stage) for stage in self._args.jobs}
        return Link(values=queues, grants=(LIST_JOBS, self._end_jobs()))

    def _end_jobs(self) -> Grant:
        jobs = self._args.location.arn("batch", "job/*")
        return Grant(sid="EndJobs", actions=("batch:TerminateJob",), resources=(jobs,))
