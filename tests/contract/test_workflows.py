"""GitHub's workflows: pinned, with least permissions, and calling nothing that does not exist."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cli.main import cli
from components.settings import StackSettings
from tests.infra.support.recorder import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
PINS = {
    "actions/checkout": ("9c091bb21b7c1c1d1991bb908d89e4e9dddfe3e0", "v7.0.0"),
    "actions/setup-python": ("a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0"),
    "aws-actions/configure-aws-credentials": ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
    "pulumi/actions": ("8e5e406f4007fca908480587cb9893c07090f58d", "v7.0.0"),
}
"""All the code of others that runs with a role of ours; another hash is another decision."""
PULUMI = {"config set", "login", "preview", "up"}
WRITES = {
    "checks.yml": {"id-token"},
    "deploy-dev.yml": {"id-token"},
    "deploy-prod.yml": {"id-token"},
    "deploy-stack.yml": {"id-token"},
    "deploy-staging.yml": {"id-token"},
    "promote.yml": {"contents", "id-token", "pull-requests"},
    "release.yml": {"contents", "id-token"},
}


def load(name: str) -> dict[Any, Any]:
    return yaml.safe_load((FOLDER / name).read_text())


def jobs(name: str) -> dict[str, dict[str, Any]]:
    return load(name)["jobs"]


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for job in jobs(file.name).values():
            for step in job.get("steps", []):
                yield file.name, step


def scripts() -> Iterator[str]:
    for _, step in steps():
        if "run" in step:
            yield step["run"]


@pytest.fixture(params=[file.name for file in FILES])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_action_is_pinned_to_a_known_commit() -> None:
    lines = [line for file in FILES for line in file.read_text().splitlines() if "uses:" in line]
    used = set()
    for line in lines:
        if match := re.fullmatch(r"\s+uses: \./\.github/workflows/(\S+)", line):
            assert (FOLDER / match[1]).is_file(), line
            continue
        match = re.fullmatch(r"\s+- uses: ([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
        assert match, line
        assert PINS[match[1]] == (match[2], match[3]), line
        used.add(match[1])
    assert used == set(PINS)


def test_a_workflow_may_read_and_each_job_what_it_needs(name: str) -> None:
    assert load(name)["permissions"] == {"contents": "read"}
    found = {
        scope
        for job in jobs(name).values()
        for scope, level in job.get("permissions", {}).items()
        if level == "write"
    }
    assert found == WRITES[name]


def test_two_runs_do_not_meet(name: str) -> None:
    groups = [load(name).get("concurrency"), *(j.get("concurrency") for j in jobs(name).values())]
    assert any(groups)
    for group in filter(None, groups):
        assert "group" in group
        if "stack" in group["group"] or "deploy" in group["group"]:
            assert group["cancel-in-progress"] is False


def test_every_job_ends(name: str) -> None:
    for job in jobs(name).values():
        assert "timeout-minutes" in job or "uses" in job


def test_no_code_of_a_fork_gets_a_role() -> None:
    for file in FILES:
        assert "pull_request_target" not in file.read_text()
        assert "secrets" not in file.read_text()
        for job in jobs(file.name).values():
            takes_role = any("configure-aws" in s.get("uses", "") for s in job.get("steps", []))
            if takes_role and "environment" not in job:
                assert "head.repo.full_name == github.repository" in job["if"]
                assert file.name == "checks.yml"


def test_a_stack_is_deployed_from_its_own_environment_only() -> None:
    (deploy,) = jobs("deploy-stack.yml").values()
    assert deploy["environment"] == "${{ inputs.stack }}"
    for stack in ("dev", "staging", "prod"):
        assert jobs(f"deploy-{stack}.yml")["deploy"]["with"] == {"stack": stack}
        triggers = load(f"deploy-{stack}.yml")[True]  # YAML takes `on` for a truth value
        assert triggers["push"]["branches"] == ["main"]
        if stack != "dev":
            assert triggers["push"]["paths"] == [f"Pulumi.{stack}.yaml"]


def test_a_release_is_made_of_a_tag_that_has_passed_everything() -> None:
    assert load("release.yml")[True] == {"push": {"tags": ["v*"]}}
    made = jobs("release.yml")
    assert made["checks"]["needs"] == "version"
    assert made["checks"]["uses"] == "./.github/workflows/checks.yml"
    assert made["release"]["needs"] == "checks"
    assert [
        name for name, job in made.items() if "write" in job.get("permissions", {}).values()
    ] == [
        "checks",
        "release",
    ]
    for name in ("version", "release"):
        (script,) = [s["run"] for s in made[name]["steps"] if "run" in s]
        assert 'python -m tools.release "$GITHUB_REF_NAME"' in script


def test_nothing_from_outside_is_pasted_into_a_script() -> None:
    for script in scripts():
        assert "${{" not in script


def test_a_checkout_keeps_a_token_only_where_something_is_pushed() -> None:
    for file, step in steps():
        if "actions/checkout" in step.get("uses", "") and file != "promote.yml":
            assert step["with"]["persist-credentials"] is False


def test_every_command_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    called = {word for script in scripts() for word in re.findall(r"\bmake ([\w-]+)", script)}
    assert called == {"promote", "setup", "test"}
    assert called <= targets
    assert "promote" in cli.commands
    pulumi = {
        found for script in scripts() for found in re.findall(r"\bpulumi (config set|\w+)", script)
    }
    assert pulumi == PULUMI
    assert (REPOSITORY / "policy" / "PulumiPolicy.yaml").is_file()
    assert "commit" in StackSettings.model_fields


def test_the_pulumi_command_is_as_old_as_its_library() -> None:
    versions = {s["with"]["pulumi-version"] for _, s in steps() if "pulumi/" in s.get("uses", "")}
    lock = (REPOSITORY / "requirements.lock").read_text()
    assert [f"pulumi=={version}" in lock.splitlines() for version in versions] == [True]


def test_the_recorded_commit_is_found_where_a_promotion_writes_it() -> None:
    (script,) = [s for s in scripts() if "superres:commit: //p" in s]
    pattern = re.search(r"s/\^(.*?)//p", script)
    assert pattern
    assert pattern[1] == "  superres:commit: "
