"""S3 as the workers see it: a thin adapter whose errors carry exit codes, and ranged reads."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from containers.common.runtime.errors import WorkerError
from containers.common.runtime.ranged import RangedFile
from contracts.base import Contract, explain, one_line
from contracts.job import SourceObject
from contracts.limits import S3_PUT_BYTES
from contracts.names import ExitCode

C = TypeVar("C", bound=Contract)

BLOCK_BYTES = 512 * 1024
READ_AHEAD_BLOCKS = 2
"""For a worker that decodes a shard: memory must not grow with the film."""
SCAN_AHEAD_BLOCKS = 16
"""For a pass over the whole film, which waits for little else than S3."""
KEPT_BLOCKS = 4
"""Cached beyond those read ahead: a demuxer goes back and forth between index and packets."""
COMMIT_TRIES = 5
"""Uploads of a shard that collide with another worker's (409) before Batch tries again."""

_MISSING = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404", "NotFound"}
_PERMANENT_STATUS = {400, 403, 405}
_TRANSIENT_CODES = {"ExpiredToken", "RequestTimeout", "RequestTimeTooSkewed", "InvalidToken"}


def worker_error(error: BotoCoreError | ClientError, what: str) -> WorkerError:
    """Missing -> SOURCE_MISSING, denied -> CRASH (a wrong policy), anything else -> TRANSIENT."""
    if not isinstance(error, ClientError):
        return WorkerError(ExitCode.TRANSIENT, f"{what}: {error}")
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _MISSING:
        return WorkerError(ExitCode.SOURCE_MISSING, f"{what} does not exist")
    if status in _PERMANENT_STATUS and code not in _TRANSIENT_CODES:
        return WorkerError(ExitCode.CRASH, f"{what}: {error}")
    return WorkerError(ExitCode.TRANSIENT, f"{what}: {error}")


@contextlib.contextmanager
def _named(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise worker_error(error, f"s3://{bucket}/{one_line(key)}") from error


@dataclass(frozen=True)
class ObjectInfo:
    """Size in bytes and user metadata of an object."""

    size: int
    metadata: dict[str, str]


class S3Store:
    """S3 by bucket and key. Every method raises WorkerError, never a botocore error."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get_json(self, model: type[C], bucket: str, key: str) -> C:
        """Read and validate a contract. SOURCE_MISSING, BAD_REQUEST or TRANSIENT."""
        try:
            return model.model_validate_json(self.get_bytes(bucket, key))
        except ValidationError as error:
            message = f"s3://{bucket}/{key}: {explain(error)}"
            raise WorkerError(ExitCode.BAD_REQUEST, message) from error

    def get_bytes(self, bucket: str, key: str) -> bytes:
        """A small object as a whole."""
        with _named(bucket, key):
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def put_json(self, bucket: str, key: str, contract: Contract) -> None:
        """Write a contract, replacing what is there."""
        body = contract.to_json().encode()
        with _named(bucket, key):
            self.client.put_object(
                Bucket=bucket, Key=key, Body=body, ContentType="application/json"
            )

    def info(self, bucket: str, key: str) -> ObjectInfo | None:
        """Size and user metadata, or None where there is no such object."""
        try:
            with _named(bucket, key):
                head = self.client.head_object(Bucket=bucket, Key=key)
        except WorkerError as error:
            if error.exit_code is ExitCode.SOURCE_MISSING:
                return None
            raise
        return ObjectInfo(size=head["ContentLength"], metadata=dict(head["Metadata"]))

    def put_bytes(self, bucket: str, key: str, body: bytes, *, content_type: str) -> None:
        """Write a small object, replacing what is there."""
        with _named(bucket, key):
            self.client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def put_file_once(self, bucket: str, key: str, path: Path, metadata: dict[str, str]) -> bool:
        """Commit a file if there is no object at the key yet; False where there is one."""
        size = path.stat().st_size
        if size > S3_PUT_BYTES:
            raise WorkerError(
                ExitCode.LIMIT_EXCEEDED,
                f"{key} has {size} bytes, one upload takes {S3_PUT_BYTES}; "
                "ask for shorter shards (shard_seconds) or more compression",
            )
        for tries_left in reversed(range(COMMIT_TRIES)):
            try:
                with _named(bucket, key), path.open("rb") as body:
                    self.client.put_object(
                        Bucket=bucket, Key=key, Body=body, Metadata=metadata, IfNoneMatch="*"
                    )
            except WorkerError as error:
                code = _error_code(error)
                if code == "PreconditionFailed":
                    return False
                if code != "ConditionalRequestConflict" or not tries_left:
                    raise
            else:
                break
        return True

    def upload(
        self,
        path: Path,
        bucket: str,
        key: str,
        *,
        content_type: str,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Upload a file of any size (in parts where it is large), replacing what is there."""
        extra = {"ContentType": content_type, "Metadata": metadata or {}}
        with _named(bucket, key), path.open("rb") as body:
            self.client.upload_fileobj(body, bucket, key, ExtraArgs=extra)

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Download an object of any size to a file."""
        with _named(bucket, key), path.open("wb") as body:
            self.client.download_fileobj(bucket, key, body)

    def reader(self, source: SourceObject, ahead: int = READ_AHEAD_BLOCKS) -> "RangedReader":
        """Random access to the pinned version of a source, without downloading it."""
        return RangedReader(self.client, source, ahead)


def _error_code(error: WorkerError) -> str:
    cause = error.__cause__
    return cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""


class RangedReader(RangedFile):
    """A read-only file over ranged GETs of one object version.

    Blocks of 512 KiB in an LRU cache; sequential reading doubles the request up to `ahead` blocks.
    At most KEPT_BLOCKS + ahead of them stay in memory, and `ahead` more while they arrive. A failed
    request is final: every later read raises the same WorkerError, so that a demuxer that took
    the error for the end of the file cannot pass for a truncated source.
    """

    def __init__(self, client: Any, source: SourceObject, ahead: int = READ_AHEAD_BLOCKS) -> None:
        super().__init__(source.size)
        self._client = client
        self._source = source
        self._most_ahead = ahead
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead = 1
        self._next_block = -1
        self.failure: WorkerError | None = None
        self.bytes_fetched = 0

    @property
    def name(self) -> str:
        return self._source.key

    def _fetch(self, start: int, size: int) -> bytes:
        """Ends at a block's end at the latest."""
        number, offset = divmod(start, BLOCK_BYTES)
        return self._block(number)[offset : offset + size]

    def _block(self, number: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        if number not in self._blocks:
            self._load(number)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _load(self, number: int) -> None:
        self._ahead = min(self._ahead * 2, self._most_ahead) if number == self._next_block else 1
        last = (self._source.size - 1) // BLOCK_BYTES
        count = min(self._ahead, last - number + 1)
        self._next_block = number + count
        body = memoryview(self._get(number * BLOCK_BYTES, count * BLOCK_BYTES))
        self.bytes_fetched += len(body)
        for i in range(count):
            self._blocks[number + i] = bytes(body[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES])
        while len(self._blocks) > KEPT_BLOCKS + self._most_ahead:
            self._blocks.popitem(last=False)

    def _get(self, start: int, length: int) -> bytes:
        end = min(start + length, self._source.size)
        source = self._source
        try:
            with _named(source.bucket, source.key):
                # An object of our own has no version to pin: it is written once.
                version = {"VersionId": source.version_id} if source.version_id else {}
                response = self._client.get_object(
                    Bucket=source.bucket,
                    Key=source.key,
                    Range=f"bytes={start}-{end - 1}",
                    **version,
                )
                body = response["Body"].read()
            if len(body) != end - start:
                message = f"s3://{source.bucket}/{source.key}: got {len(body)} of {end - start}"
                raise WorkerError(ExitCode.TRANSIENT, message + " bytes")
        except WorkerError as error:
            self.failure = error
            raise
        return body
