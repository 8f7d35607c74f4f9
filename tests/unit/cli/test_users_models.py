"""Models of the user's own: named by `--model`, and made ready by `superres inspect`."""

import json
from pathlib import Path

import pytest

from cli.errors import UserError
from cli.models import users_models
from cli.models.users_models import inspect_model, model_file, require_model
from contracts.keys import model_facts_key, model_weights_key
from contracts.models import StoredModel
from contracts.names import ExitCode
from tests.support.users_models import saved
from tests.unit.cli.support import invoke

pytestmark = pytest.mark.slow


def test_names_are_distinguished_from_files(tmp_path: Path) -> None:
    path = saved(tmp_path, "compact")
    assert model_file(str(path)) == path
    for name in ("x4plus", "models/" + "0" * 64, "models/" + "0" * 64 + ".json", "x5plus"):
        assert model_file(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere.pth", "no such file"), ("a/b", "no such file"), (".", "is not a file")],
)
def test_what_looks_like_a_file_and_is_none_is_refused(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        model_file(name)
    assert caught.value.exit_code == 2


def test_a_file_is_inspected_once_and_kept_by_its_hash(
    tmp_path: Path, models_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, "compact")
    model = inspect_model(path, models_cache)
    monkeypatch.setattr(users_models.subprocess, "run", lambda *_, **__: pytest.fail("again"))
    assert inspect_model(path, models_cache) == model == require_model(model.digest, models_cache)
    assert model.name == f"models/{model.digest}"
    assert set(model.files) == {model_facts_key(model.digest), model_weights_key(model.digest)}
    assert all(file.parent == models_cache and file.is_file() for file in model.files.values())
    assert StoredModel.model_validate_json(model.facts_path.read_bytes()).facts == model.facts


def test_the_refusal_of_a_file_keeps_its_sentence_and_its_code(
    tmp_path: Path, models_cache: Path
) -> None:
    path = tmp_path / "holiday.pth"
    path.write_bytes(b"not weights at all")
    with pytest.raises(UserError, match=r"holiday.pth is not a model: neither") as caught:
        inspect_model(path, models_cache)
    assert caught.value.exit_code == ExitCode.BAD_SOURCE


def test_an_inspection_that_breaks_down_names_the_file(
    tmp_path: Path, models_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = tmp_path / "containers" / "upscaler"
    upscaler.mkdir(parents=True)
    for package in (upscaler.parent, upscaler):
        (package / "__init__.py").touch()
    (upscaler / "__main__.py").write_text("raise ImportError('containers is broken')\n")
    monkeypatch.setattr(users_models, "ROOT", tmp_path)
    path = tmp_path / "4x.pth"
    path.write_bytes(b"x")
    with pytest.raises(
        UserError, match=r"4x\.pth cannot be inspected: .*containers is broken"
    ) as caught:
        inspect_model(path, models_cache)
    assert caught.value.exit_code == 1


def test_a_hash_that_this_machine_never_saw_is_refused(models_cache: Path) -> None:
    with pytest.raises(UserError, match="name its file once instead"):
        require_model("0" * 64, models_cache)


def test_inspect_writes_both_files_and_says_what_the_model_is(tmp_path: Path) -> None:
    path, folder = saved(tmp_path, "compact"), tmp_path / "models"
    result = invoke("inspect", path, "--to", folder, "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    digest = said["facts"]["weights_sha256"]
    assert said["status"] == "SUCCEEDED"
    assert said["model"] == f"models/{digest}"
    assert said["files"] == {
        f"models/{digest}{ending}": str(folder / f"{digest}{ending}")
        for ending in (".json", ".safetensors")
    }
    assert sorted(map(str, folder.iterdir())) == sorted(said["files"].values())


def test_inspect_prints_a_table_for_people_and_keeps_the_model_for_runs(
    tmp_path: Path, models_cache: Path
) -> None:
    result = invoke("inspect", saved(tmp_path, "compact"))
    assert result.exit_code == 0, result.stderr
    (facts,) = models_cache.glob("*.json")
    assert f"models/{facts.stem}" in result.stdout.replace("\n", "")
    for label in ("model", "work", "memory", "reach", "licence", "weights", "facts", "name"):
        assert any(line.startswith(label) for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("name", "content", "sentence", "code"),
    [
        ("nowhere.pth", None, "nowhere.pth cannot be read: No such file or directory", 2),
        ("holiday.pth", b"no weights", "holiday.pth is not a model", ExitCode.BAD_SOURCE),
    ],
)
def test_inspect_refuses_a_file_in_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, sentence: str, code: int
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = invoke("inspect", path, "--to", tmp_path / "models", "--json")
    assert result.exit_code == code
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert json.loads(result.stdout)["status"] == "FAILED"
