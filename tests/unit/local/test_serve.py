"""Starting, restarting and ending the embedded AWS, and what it refuses to start with."""

import shutil
import signal
from pathlib import Path

import pytest

from local import snapshot_file
from local.emulator.patching import PatchError, verify
from local.fingerprint import fingerprint
from local.run_folder import open_run
from tests.support.local_aws import (
    PROGRAM,
    Server,
    alive,
    await_ready,
    eventually,
    kill,
    launch,
    refused,
    serve,
    write_project,
)

SMALL = """
import pulumi, pulumi_aws as aws
queue = aws.sqs.Queue("films")
bucket = aws.s3.Bucket("films")
pulumi.export("url", queue.url)
pulumi.export("bucket", bucket.id)
pulumi.export("greeting", pulumi.Config().require("greeting"))
"""


def processes_of(server: Server) -> list[int]:
    """The server's descendants and its guard."""
    run = server.logs.parent.name
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_text()
        except (OSError, UnicodeDecodeError):
            continue
        if run in environment:
            found.append(int(folder.name))
    return found


def start_endless_job(server: Server) -> int:
    """Pid of a running job."""
    server.client("batch").submit_job(
        jobName="endless",
        jobQueue=server.outputs["queue"],
        jobDefinition=server.outputs["definition"],
        containerOverrides={
            "command": ["python", "-uc", "import os, time; print(os.getpid()); time.sleep(600)"]
        },
    )
    log = server.logs / "endless.attempt1.log"
    return int(eventually(lambda: log.exists() and log.read_text().strip()))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A first start of the small program, stopped again, in a folder to copy."""
    folder = tmp_path_factory.mktemp("deployed")
    server = serve(write_project(folder / "project", SMALL), folder / "state")
    assert not server.ready["warm"]
    assert server.stop() == 0
    return server


@pytest.fixture
def once_deployed(deployed: Server, tmp_path: Path) -> tuple[Path, Path]:
    """(project, state folder) after one start."""
    folder = deployed.logs.parents[3]
    return (
        shutil.copytree(folder / "project", tmp_path / "project"),
        shutil.copytree(folder / "state", tmp_path / "state"),
    )


def test_a_second_start_is_warm_and_speaks_of_its_own_address(
    deployed: Server, once_deployed: tuple[Path, Path]
) -> None:
    warm = serve(*once_deployed)
    assert warm.ready["warm"]
    assert warm.outputs["bucket"] == deployed.outputs["bucket"]
    assert warm.outputs["url"].startswith(warm.ready["endpoint"])
    warm.client("sqs").send_message(QueueUrl=warm.outputs["url"], MessageBody="film")
    warm.client("s3").put_object(Bucket=warm.outputs["bucket"], Key="film", Body=b"x")
    assert warm.stop() == 0


def test_a_corrupt_snapshot_is_deployed_anew(once_deployed: tuple[Path, Path]) -> None:
    project, state = once_deployed
    (file,) = (state / "snapshots").iterdir()
    file.write_bytes(file.read_bytes().replace(b"films", b"songs"))
    server = serve(project, state)
    assert not server.ready["warm"]
    server.stop()


def test_an_override_deploys_anew(once_deployed: tuple[Path, Path]) -> None:
    server = serve(*once_deployed, "--set", "greeting=good night")
    assert not server.ready["warm"]
    assert server.outputs["greeting"] == "good night"
    server.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(project, state folder) of the whole program: the first start deploys, others are warm."""
    folder = tmp_path_factory.mktemp("whole")
    return write_project(folder / "project"), folder / "state"


@pytest.mark.parametrize("end", ["eof", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_behind_however_the_server_ends(whole: tuple[Path, Path], end: str) -> None:
    server = serve(*whole)
    job = start_endless_job(server)
    others = processes_of(server)
    assert job in others
    if end == "eof":
        assert server.stop() == 0
    else:
        number = signal.Signals[end]
        assert kill(server.process, number) == (0 if end == "SIGTERM" else -number)
    eventually(lambda: not any(alive(pid) for pid in others))
    eventually(lambda: not (server.logs.parent / "tmp").exists())
    assert (server.logs / "endless.attempt1.log").exists()


def test_two_may_start_at_once_on_one_state_directory(tmp_path: Path) -> None:
    project, state = write_project(tmp_path / "project", SMALL), tmp_path / "state"
    servers = [await_ready(p) for p in [launch(project, state) for _ in range(2)]]
    for server in servers:
        server.client("sqs").send_message(QueueUrl=server.outputs["url"], MessageBody="film")
    assert [server.stop() for server in servers] == [0, 0]


@pytest.mark.parametrize(
    ("program", "arguments", "sentence"),
    [
        (
            "import pulumi_aws as aws\naws.glacier.Vault('old')\n",
            (),
            "aws:glacier/vault:Vault 'old': the local stack has no handler",
        ),
        (
            "import pulumi_aws as aws\naws.sqs.Queue('q', max_message_size=1, fifo_queue=True)\n",
            (),
            "aws:sqs/queue:Queue 'q'",
        ),
        (
            "import pulumi_aws as aws\naws.s3.Bucket('b', acceleration_status='Enabled')\n",
            (),
            "the local stack does not know accelerationStatus",
        ),
        (
            "import pulumi_aws as aws\naws.get_ip_ranges(services=['s3'])\n",
            (),
            "cannot answer aws:index/getIpRanges:getIpRanges",
        ),
        ("import pulumi\npulumi.Config().require('colour')\n", (), "colour"),
        ("", ("--set", "colour"), "--set colour: expected KEY=VALUE"),
    ],
)
def test_what_cannot_be_deployed_is_refused_in_one_sentence(
    tmp_path: Path, program: str, arguments: tuple[str, ...], sentence: str
) -> None:
    said = refused(write_project(tmp_path / "project", program), tmp_path / "state", *arguments)
    assert sentence in said
    assert "Traceback" not in said
    assert said.count("\n") == 1


def test_a_project_without_the_local_stack_is_refused(tmp_path: Path) -> None:
    assert "Pulumi.yaml does not exist" in refused(tmp_path, tmp_path / "state")


def test_another_ministack_is_refused_by_the_names_it_lacks() -> None:
    with pytest.raises(PatchError, match=r"ministack\.app\.no_such_name.*install ministack=="):
        verify([{"ministack.app": ("app", "no_such_name")}])


def test_only_whole_snapshots_are_read_and_only_the_newest_kept(tmp_path: Path) -> None:
    for number in range(5):
        snapshot_file.save(tmp_path, f"key{number}", "127.0.0.1:1111", b"at 127.0.0.1:1111")
    assert len(list(tmp_path.iterdir())) == 3
    assert snapshot_file.read(tmp_path, "key4", "127.0.0.1:2222") == b"at 127.0.0.1:2222"
    assert snapshot_file.read(tmp_path, "key0", "127.0.0.1:2222") is None
    (tmp_path / "key4.snapshot").write_bytes(b"{}")
    assert snapshot_file.read(tmp_path, "key4", "127.0.0.1:2222") is None


def test_the_fingerprint_follows_sources_and_overrides(tmp_path: Path) -> None:
    project = write_project(tmp_path, PROGRAM)
    first = fingerprint(project, "local", {})
    assert fingerprint(project, "local", {}) == first
    assert fingerprint(project, "local", {"a": "1"}) != first
    (project / "lambdas").mkdir()
    (project / "lambdas" / "new.py").write_text("")
    assert fingerprint(project, "local", {}) != first


def test_dead_runs_are_swept_and_living_ones_left_alone(tmp_path: Path) -> None:
    living = open_run(tmp_path)
    dead = tmp_path / "runs" / "20200101-000000-1"
    (dead / "tmp").mkdir(parents=True)
    (dead / "lock").touch()
    living.path.rename(tmp_path / "runs" / "20210101-000000-2")
    open_run(tmp_path)
    assert not (dead / "tmp").exists()
    assert (tmp_path / "runs" / "20210101-000000-2" / "tmp").exists()
