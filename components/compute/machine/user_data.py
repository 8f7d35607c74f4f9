"""What an instance does when it starts: a pure function from settings to cloud-init's text."""

import base64
from collections.abc import Mapping
from pathlib import Path

BOOT = Path(__file__).with_name("boot.sh")
USER_DATA_BYTES = 16 * 1024
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""

AGENT = {
    # on a Spot notice (120 s) the instance drains, and a worker gets 110 of them to commit
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING": "true",
    "ECS_CONTAINER_STOP_TIMEOUT": "110s",
    # jobs use the host's network and still get the credentials of their own role
    "ECS_ENABLE_TASK_IAM_ROLE": "true",
    "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST": "true",
    "ECS_DISABLE_PRIVILEGED": "true",
    # a job's scratch volume goes when its container does: three hours by default, and a full disk
    "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m",
    # images are named by digest, so what is there is right
    "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
}
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html"""
GPU_AGENT = {"ECS_ENABLE_GPU_SUPPORT": "true"}

_BOUNDARY = "==SUPERRES=="


def agent_script(settings: Mapping[str, str]) -> str:
    """Adds to the agent's settings; Batch adds the cluster to the same file."""
    lines = "\n".join(f"{name}={value}" for name, value in settings.items())
    return (
        "#!/bin/bash\ntee --append /etc/ecs/ecs.config >/dev/null <<'SETTINGS'\n"
        f"{lines}\nSETTINGS\n"
    )


def user_data(*, gpu: bool, cluster: str | None = None) -> str:
    """Base64 of MIME, as Batch wants it; `cluster` for instances that Batch does not start.

    https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
    """
    settings = {**AGENT, **(GPU_AGENT if gpu else {})}
    if cluster is not None:
        settings["ECS_CLUSTER"] = cluster
    parts = {"cloud-boothook": BOOT.read_text(), "x-shellscript": agent_script(settings)}
    body = "".join(
        f'--{_BOUNDARY}\nContent-Type: text/{kind}; charset="us-ascii"\n\n{text}\n'
        for kind, text in parts.items()
    )
    header = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'
    return base64.b64encode(f"{header}{body}--{_BOUNDARY}--\n".encode()).decode()
