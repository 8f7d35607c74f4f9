"""Environment variables: what the components set is what the workloads read."""

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from components.functions import TIMEOUT_SECONDS
from components.messaging.component import VISIBILITY_FACTOR
from contracts.messages import StageRequest
from contracts.names import Stage
from contracts.stack.environ import (
    JOB_REGION_VARIABLE,
    WORKERS,
    CompletionEnvironment,
    Environment,
    ExecutionEndedEnvironment,
    ExtractEnvironment,
    JobStateEnvironment,
    ReconcilerEnvironment,
    StageEnvironment,
    TriggerEnvironment,
)
from lambdas.common.job_registry import LEASE
from lambdas.stage.decide import submission
from tests.infra.support.recorder import (
    STACKS,
    Deployment,
    deployment,
)

FUNCTIONS: dict[str, type[Environment]] = {
    "trigger": TriggerEnvironment,
    "extract-frames": StageEnvironment,
    "process-frames": StageEnvironment,
    "recompose-video": StageEnvironment,
    "job-state": JobStateEnvironment,
    "completion-notification": CompletionEnvironment,
    "execution-ended": ExecutionEndedEnvironment,
    "reconciler": ReconcilerEnvironment,
}
STAGE_FUNCTIONS = {
    Stage.EXTRACT: "extract-frames",
    Stage.PROCESS: "process-frames",
    Stage.RECOMPOSE: "recompose-video",
}


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> Deployment:
    return deployment(request.param)


def function_variables(stack: Deployment, name: str) -> dict[str, str]:
    return dict(stack.one("Function", name).inputs["environment"]["variables"])


def job_variables(stack: Deployment, stage: Stage) -> dict[str, str]:
    definition = stack.one("JobDefinition", stage.value)
    properties = json.loads(definition.inputs["containerProperties"])
    listed = [(e["name"], e["value"]) for e in properties["environment"]]
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def submit_job(stack: Deployment, stage: Stage) -> dict[str, Any]:
    """SubmitJob's arguments as the deployed stage function makes them."""
    function = StageEnvironment.read(function_variables(stack, STAGE_FUNCTIONS[stage]))
    request = StageRequest(job_id="film-1", stage=stage, task_token="token", array_size=3)
    return submission(request, function)


def names(model: type[Environment]) -> set[str]:
    return {model.variable(field) for field in model.model_fields}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_exactly_the_variables_that_it_reads(stack: Deployment, name: str) -> None:
    model, variables = FUNCTIONS[name], function_variables(stack, name)
    assert set(variables) == names(model)
    model.read(variables)


@pytest.mark.parametrize("stage", Stage)
def test_a_job_gets_exactly_the_variables_that_it_reads(stack: Deployment, stage: Stage) -> None:
    """Half of them from its definition, half from the function that submits it."""
    fixed = job_variables(stack, stage)
    overrides = submit_job(stack, stage)["containerOverrides"]["environment"]
    submitted = {e["name"]: e["value"] for e in overrides}
    assert not fixed.keys() & submitted.keys()
    assert {*fixed, *submitted} == names(WORKERS[stage]) | {JOB_REGION_VARIABLE}
    assert all(isinstance(value, str) for value in fixed.values())
    WORKERS[stage].read({**fixed, **submitted})


@pytest.mark.parametrize("stage", Stage)
def test_a_function_submits_its_stages_job_to_its_stages_queue(
    stack: Deployment, stage: Stage
) -> None:
    arguments = submit_job(stack, stage)
    queue = "process" if stage is Stage.PROCESS else "media"
    assert arguments["jobDefinition"] == stack.one("JobDefinition", stage.value).arn
    assert arguments["jobQueue"] == stack.outputs[f"{queue}_queue_arn"]


def test_the_settings_arrive_in_the_planner(stack: Deployment) -> None:
    variables = job_variables(stack, Stage.EXTRACT)
    read = ExtractEnvironment.read({**variables, "SUPERRES_JOB_ID": "film-1"})
    wanted = {"dev": 4, "staging": 8, "prod": 256, "local": 1}
    assert read.worker_parallelism == wanted[stack.stack]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_handler_exists(stack: Deployment, name: str) -> None:
    module, _, attribute = stack.one("Function", name).inputs["handler"].rpartition(".")
    assert attribute in _functions_of(module)


@pytest.mark.parametrize("stage", Stage)
def test_a_jobs_program_exists(stack: Deployment, stage: Stage) -> None:
    definition = stack.one("JobDefinition", stage.value)
    command = json.loads(definition.inputs["containerProperties"])["command"]
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(f"{command[2]}.__main__") is not None


def test_a_lease_lasts_as_long_as_a_function_may_run_and_ends_before_redelivery() -> None:
    timeout = TIMEOUT_SECONDS
    assert timeout <= LEASE.total_seconds() < VISIBILITY_FACTOR * timeout


def _functions_of(module: str) -> set[str]:
    """Names of a module's functions, without running it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
