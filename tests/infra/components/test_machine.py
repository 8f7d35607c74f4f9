"""What an instance does when it starts: the scripts are run, with the commands they call faked."""

import base64
import email
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.compute.machine.user_data import (
    AGENT,
    BOOT,
    USER_DATA_BYTES,
    agent_script,
    user_data,
)
from contracts.names import ExitCode

INSTANCE_DISK = "Amazon EC2 NVMe Instance Storage"
ROOT = "/dev/nvme0n1 Amazon Elastic Block Store"
RECORD = '#!/bin/sh\necho "${0##*/} $*" >> "$CALLS"\n'
COMMANDS = (
    "iptables", "systemctl", "mountpoint", "udevadm", "lsblk", "mdadm", "mkfs.xfs", "mkdir",
    "mount", "chmod",
)  # fmt: skip


@dataclass
class Instance:
    """A folder of commands that only write down how they were called."""

    folder: Path

    def command(self, name: str, then: str = "") -> None:
        path = self.folder / name
        path.write_text(RECORD + then)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def boot(self) -> tuple[list[str], str]:
        """What was called, and what the script said."""
        calls = self.folder / "calls"
        calls.touch()
        done = subprocess.run(
            ["/bin/bash", str(BOOT)],
            env={"PATH": f"{self.folder}:/usr/bin:/bin", "CALLS": str(calls)},
            capture_output=True,
            text=True,
            check=True,
        )
        return calls.read_text().splitlines(), done.stderr


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """With no disks but its root volume, at its first boot."""
    made = Instance(tmp_path)
    for name in COMMANDS:
        made.command(name)
    made.command("iptables", 'case "$*" in *--check*) exit 1 ;; esac\n')
    made.command("mountpoint", "exit 1\n")
    made.command("lsblk", f"echo '{ROOT}'\n")
    return made


def with_disks(instance: Instance, count: int) -> None:
    names = "\n".join(f"/dev/nvme{number}n1 {INSTANCE_DISK}" for number in range(1, count + 1))
    instance.command("lsblk", f"echo '{ROOT}\n{names}'\n")


def parts(text: str) -> dict[str, str]:
    message = email.message_from_bytes(base64.b64decode(text))
    leaves = [part for part in message.walk() if not part.is_multipart()]
    return {part.get_content_type(): str(part.get_payload()) for part in leaves}


def test_user_data_is_a_hook_for_every_boot_and_a_script_for_the_first() -> None:
    found = parts(user_data(gpu=True))
    assert list(found) == ["text/cloud-boothook", "text/x-shellscript"]
    for script in found.values():
        assert script.startswith("#!/bin/bash\n")
        subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True)
        script.encode("ascii")
    assert len(base64.b64decode(user_data(gpu=True))) < USER_DATA_BYTES


@pytest.mark.parametrize(
    ("gpu", "cluster", "further"),
    [
        (False, None, {}),
        (True, None, {"ECS_ENABLE_GPU_SUPPORT": "true"}),
        (False, "arn:of/cluster", {"ECS_CLUSTER": "arn:of/cluster"}),
    ],
)
def test_the_agent_gets_its_settings_behind_those_of_batch(
    tmp_path: Path, gpu: bool, cluster: str | None, further: dict[str, str]
) -> None:
    config = tmp_path / "ecs.config"
    config.write_text("ECS_BACKEND=batch\n")
    script = parts(user_data(gpu=gpu, cluster=cluster))["text/x-shellscript"]
    moved = script.replace("/etc/ecs/ecs.config", str(config))
    assert moved != script
    subprocess.run(["/bin/bash"], input=moved, text=True, check=True)
    lines = dict(line.split("=", 1) for line in config.read_text().splitlines())
    assert lines == {"ECS_BACKEND": "batch", **AGENT, **further}


def test_a_reclaimed_instance_drains_and_leaves_workers_time_to_commit() -> None:
    assert AGENT["ECS_ENABLE_SPOT_INSTANCE_DRAINING"] == "true"
    notice, kept = 120, int(AGENT["ECS_CONTAINER_STOP_TIMEOUT"].removesuffix("s"))
    assert notice - 15 <= kept < notice
    # a worker that is told to stop ends in the way that is retried
    assert ExitCode.INTERRUPTED == 143


def test_a_setting_with_a_quote_or_a_dollar_reaches_the_agent_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "ecs.config"
    script = agent_script({"A": "it's $HOME `x`"}).replace("/etc/ecs/ecs.config", str(config))
    subprocess.run(["/bin/bash"], input=script, text=True, check=True)
    assert config.read_text() == "A=it's $HOME `x`\n"


def test_only_root_reaches_the_instances_metadata(instance: Instance) -> None:
    calls, said = instance.boot()
    rule = "OUTPUT --destination 169.254.169.254/32 --match owner ! --uid-owner 0 --jump DROP"
    assert f"iptables --wait --insert {rule}" in calls
    assert not [call for call in calls if "169.254.170.2" in call]
    assert not [call for call in calls if call.startswith("systemctl")]
    assert said == ""


def test_a_second_boot_does_not_add_the_rule_again(instance: Instance) -> None:
    instance.command("iptables")
    calls, _ = instance.boot()
    assert [call.split()[2] for call in calls if call.startswith("iptables")] == ["--check"]


def test_an_instance_whose_metadata_stays_open_takes_no_jobs(instance: Instance) -> None:
    instance.command("iptables", "exit 2\n")
    calls, said = instance.boot()
    assert [call for call in calls if call.startswith("systemctl")] == [
        "systemctl mask --runtime ecs.service",
        "systemctl --no-block poweroff",
    ]
    assert "takes none" in said


def test_without_disks_of_its_own_scratch_stays_on_the_encrypted_volume(
    instance: Instance,
) -> None:
    calls, said = instance.boot()
    assert not [call for call in calls if call.startswith(("mount ", "mkfs"))]
    assert said == ""


def test_one_disk_of_its_own_becomes_the_scratch(instance: Instance) -> None:
    with_disks(instance, 1)
    calls, _ = instance.boot()
    assert "mkfs.xfs -f -q /dev/nvme1n1" in calls
    mounted = "mount --options noatime,nodev,nosuid /dev/nvme1n1 /var/lib/docker/volumes"
    assert mounted in calls
    assert calls.index(mounted) > calls.index("mkfs.xfs -f -q /dev/nvme1n1")
    assert not [call for call in calls if call.startswith("mdadm")]


def test_several_disks_are_striped(instance: Instance) -> None:
    with_disks(instance, 2)
    calls, _ = instance.boot()
    assert (
        "mdadm --create /dev/md/scratch --run --level=0 --raid-devices=2 /dev/nvme1n1 /dev/nvme2n1"
    ) in calls
    assert ("mount --options noatime,nodev,nosuid /dev/md/scratch /var/lib/docker/volumes") in calls


def test_several_disks_without_the_means_to_stripe_them_are_one(instance: Instance) -> None:
    with_disks(instance, 2)
    (instance.folder / "mdadm").unlink()
    calls, _ = instance.boot()
    assert "mkfs.xfs -f -q /dev/nvme1n1" in calls


@pytest.mark.parametrize("command", ["mkfs.xfs", "mount", "mdadm"])
def test_disks_that_fail_cost_speed_and_not_the_instance(instance: Instance, command: str) -> None:
    with_disks(instance, 2)
    instance.command(command, "exit 1\n")
    calls, said = instance.boot()
    assert "scratch stays on the root volume" in said
    assert not [call for call in calls if call.startswith("systemctl")]


def test_what_is_mounted_already_is_left_alone(instance: Instance) -> None:
    with_disks(instance, 1)
    instance.command("mountpoint")
    calls, _ = instance.boot()
    assert not [call for call in calls if call.startswith(("mkfs", "mount "))]
