"""Examines films, and composes results, by the thousand in one confined child each."""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from containers.common.confined.child import LinkedFile, ParentLink
from containers.common.confined.messages import Done, Fetch
from containers.common.confined.parent import ConfinedChild, Confinement
from containers.common.runtime.errors import WorkerError
from containers.media.extract.child import (
    ExamineTask,
    FoundFilm,
    examine_film,
)
from containers.media.extract.examiner import check_findings
from containers.media.recompose.child import compose_film
from containers.media.recompose.handover import ComposeTask
from contracts.film.ledger import Ledger
from contracts.film.manifest import Manifest
from contracts.job import Settings, SourceObject
from contracts.keys import shard_key
from contracts.models import CATALOGUE, ModelName
from contracts.names import ExitCode
from contracts.stack.environ import ExtractEnvironment
from tests.support.bench import (
    EXTRACT_ENVIRONMENT,
    INTERMEDIATE_BUCKET,
    Bench,
)

LIMITS = Confinement(memory_mib=1024, cpu_seconds=3600, stall_seconds=20, file_bytes=100_000_000)
NAMED = {
    ExitCode.BAD_SOURCE, ExitCode.LIMIT_EXCEEDED, ExitCode.UNSUPPORTED, ExitCode.BAD_REQUEST,
    ExitCode.LEDGER_MISMATCH,
}  # fmt: skip


def serve(link: ParentLink) -> None:
    """The child's program: what extract's does, but again and again, and a refusal is an answer."""
    while (text := link.task()) is not None:
        task = ExamineTask.model_validate_json(text)
        file = LinkedFile(link, task.source.size)
        try:
            said = {"found": examine_film(task, file, link.report_alive).model_dump(mode="json")}
        except WorkerError as error:
            said = {"code": int(error.exit_code), "message": error.message}
        link.send(Done(answer=json.dumps(said)))


def serve_compositions(link: ParentLink) -> None:
    """The same of recompose's."""
    while (text := link.task()) is not None:
        task, timestamps, index = ComposeTask.model_validate_json(text), link.blob(), link.blob()
        try:
            ledger = compose_film(task, (timestamps, index, None), link)
            said = {"ledger": ledger.model_dump(mode="json")}
        except WorkerError as error:
            said = {"code": int(error.exit_code), "message": error.message}
        link.send(Done(answer=json.dumps(said)))


@dataclass(frozen=True)
class Parts:
    """What a result is made of: a job of one shard."""

    manifest: Manifest
    timestamps: bytes
    index: bytes
    sidecar: bytes
    shard: bytes

    @classmethod
    def of(cls, film: Path, **settings: Any) -> "Parts":
        bench = Bench(film, shard_seconds=10, **settings)
        assert bench.extract() == ExitCode.OK
        bench.process()
        manifest = bench.manifest
        sidecar = manifest.sidecar
        assert sidecar.payload is not None
        assert sidecar.index is not None
        shard = shard_key(bench.job_id, 0, manifest.encoder.shard_container.value)
        stored = (manifest.timestamps.key, sidecar.index.key, sidecar.payload.key, shard)
        objects = (bench.s3.objects[INTERMEDIATE_BUCKET, key]["data"] for key in stored)
        return cls(manifest, *objects)


class Composer:
    """Starts the child anew only where a result ended it."""

    def __init__(self) -> None:
        self._child: ConfinedChild | None = None
        self._fds = [os.memfd_create(name) for name in ("result", "sidecar", "shard")]

    def outcome(self, parts: Parts) -> str:
        """What became of it. Raises AssertionError for what must not happen."""
        for fd, data in zip(self._fds, (b"", parts.sidecar, parts.shard), strict=True):
            os.ftruncate(fd, 0)
            os.pwrite(fd, data, 0)
        if self._child is None:
            program = "tests.unit.media.hostile.support:serve_compositions"
            self._child = ConfinedChild(program, LIMITS, "film", fds=self._fds, tool="muxer")
        result, sidecar, shard = self._fds
        frames = parts.manifest.video.frames
        task = ComposeTask(
            manifest=parts.manifest,
            made=dict.fromkeys(("decoded", "upscaled", "encoded"), frames),
            result=result,
            sidecar=sidecar,
            captions=False,
            shard=shard,
        )
        self._child.give(task, parts.timestamps, parts.index)
        try:
            said = json.loads(self._answer(self._child))
        except WorkerError as error:  # the child is dead
            self.close()
            return _named(error.exit_code, error.message)
        if "code" in said:
            return _named(said["code"], said["message"])
        assert Ledger.model_validate(said["ledger"]).balanced
        return "ledger"

    def _answer(self, child: ConfinedChild) -> str:
        said = ""
        for message in child.messages(io.BytesIO(), 0):  # to its end, which ends the task only
            if isinstance(message, Done):
                said = message.answer
            else:
                assert message == Fetch(number=0)
                child.reply()
        return said

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None


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
            self._child = ConfinedChild(
                "tests.unit.media.hostile.support:serve", LIMITS, name, fds=self._fds
            )
        self._child.give(_task(name, data, self._fds))
        try:
            said = json.loads(self._child.ask(io.BytesIO(data), len(data)))
        except WorkerError as error:  # the child is dead
            self.close()
            return _named(error.exit_code, error.message)
        if "code" in said:
            return _named(said["code"], said["message"])
        found = FoundFilm.model_validate(said["found"])
        with os.fdopen(os.dup(self._fds[1]), "rb") as numbers:
            check_findings(found, numbers, name, payload=Path("nowhere"))
        return "plan"

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None


def _task(name: str, data: bytes, fds: tuple[int, int]) -> ExamineTask:
    fields: dict[str, Any] = {**EXTRACT_ENVIRONMENT, "job_id": "film-1"}
    damage = "conceal" if sum(data) % 2 else "refuse"
    return ExamineTask(
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
