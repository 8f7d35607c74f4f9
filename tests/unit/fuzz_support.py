"""Examines films by the thousand in one confined child, as extract examines one."""

import io
import json
import os
from typing import Any

from containers.common import media
from containers.common.confined.child import Link, SourceFile
from containers.common.confined.files import read_arrays
from containers.common.confined.messages import Done
from containers.common.confined.parent import ConfinedChild, Confinement
from containers.common.errors import WorkerError
from containers.media.captions import ARRAYS, Captions
from containers.media.damage import FoundDamage, as_told
from containers.media.examine import Examine, Found, examination
from containers.media.examined import check_found
from contracts.environ import ExtractEnvironment
from contracts.job import Settings, SourceObject
from contracts.models import CATALOGUE, ModelName
from contracts.names import ExitCode
from tests.media_bench import EXTRACT_ENVIRONMENT

LIMITS = Confinement(memory_mib=1024, cpu_seconds=3600, stall_seconds=20, file_bytes=100_000_000)
NAMED = {ExitCode.BAD_SOURCE, ExitCode.LIMIT_EXCEEDED, ExitCode.UNSUPPORTED, ExitCode.BAD_REQUEST}


def serve(link: Link) -> None:
    """The child's program: what extract's does, but again and again, and a refusal is an answer."""
    media.on_packet = link.alive
    while (text := link.task()) is not None:
        task = Examine.model_validate_json(text)
        file = SourceFile(link, task.source.size)
        try:
            said = {"found": examination(task, file).model_dump(mode="json")}
        except WorkerError as error:
            said = {"code": int(error.exit_code), "message": error.message}
        link.tell(Done(answer=json.dumps(said)))


class Examiner:
    """Starts the child anew only where a film ended it."""

    def __init__(self) -> None:
        self._child: ConfinedChild | None = None
        self._fds = os.memfd_create("payload"), os.memfd_create("numbers")

    def outcome(self, name: str, data: bytes) -> str:
        """What became of the film. Raises AssertionError for what must not happen."""
        for fd in self._fds:
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        if self._child is None:
            self._child = ConfinedChild("tests.unit.fuzz_support:serve", LIMITS, name, self._fds)
        self._child.give(_task(name, data, self._fds))
        try:
            said = json.loads(self._child.ask(io.BytesIO(data), len(data)))
        except WorkerError as error:  # the child is dead
            self.close()
            return _named(error.exit_code, error.message)
        if "code" in said:
            return _named(said["code"], said["message"])
        found = Found.model_validate(said["found"])
        with os.fdopen(os.dup(self._fds[1]), "rb") as numbers:
            arrays = read_arrays(numbers, found.arrays)
        timestamps, _ = arrays.pop("timestamps"), arrays.pop("keyframes")
        as_told(FoundDamage.taken(arrays), timestamps, found.video.time_base, name)
        captions = Captions.from_arrays({name: arrays.pop(name) for name in ARRAYS})
        check_found(found, timestamps, arrays, captions)
        return "plan"

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None


def _task(name: str, data: bytes, fds: tuple[int, int]) -> Examine:
    fields: dict[str, Any] = {**EXTRACT_ENVIRONMENT, "job_id": "film-1"}
    damage = "conceal" if sum(data) % 2 else "refuse"
    return Examine(
        source=SourceObject(
            bucket="b", key=f"uploads/{name}", version_id="v", etag="e", size=len(data)
        ),
        settings=Settings(model=ModelName.LANCZOS, damage=damage),
        environment=ExtractEnvironment(**fields),
        model=CATALOGUE[ModelName.LANCZOS],
        payload=fds[0],
        numbers=fds[1],
    )


def _named(code: int, message: str) -> str:
    assert code in NAMED, message
    assert message, "a refusal without a sentence"
    assert message.isprintable(), message
    assert "Traceback" not in message
    return ExitCode(code).name
