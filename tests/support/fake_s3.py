"""A fake S3 client: the calls that the workers make, its objects in memory or in a folder."""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from botocore.exceptions import ClientError

BLOCK_BYTES = 1 << 20


class FakeS3:
    """Objects in memory, with versions and conditional puts."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.failing: dict[str, Exception] = {}
        """Operation name -> what it raises."""

    def put_object(self, **request: Any) -> dict[str, Any]:
        bucket, key = request["Bucket"], request["Key"]
        self._begin("PutObject", key)
        if request.get("IfNoneMatch") == "*" and self._exists(bucket, key):
            raise client_error("PreconditionFailed", 412, "PutObject")
        body = request["Body"]
        file = io.BytesIO(body) if isinstance(body, bytes) else body
        return self._keep(bucket, key, file, dict(request.get("Metadata", {})))

    def get_object(self, **request: Any) -> dict[str, Any]:
        self._begin("GetObject", request["Key"])
        self._check_exists(request, "NoSuchKey")
        first, end = 0, None
        if "Range" in request:
            first, last = (int(n) for n in request["Range"].removeprefix("bytes=").split("-"))
            end = last + 1
        _, metadata = self._size_and_metadata(request)
        return {"Body": io.BytesIO(self._read(request, first, end)), "Metadata": metadata}

    def head_object(self, **request: Any) -> dict[str, Any]:
        self._begin("HeadObject", request["Key"])
        self._check_exists(request, "404")
        size, metadata = self._size_and_metadata(request)
        return {"ContentLength": size, "Metadata": metadata}

    def upload_fileobj(self, body: Any, bucket: str, key: str, ExtraArgs: Any) -> None:  # noqa: N803
        self.put_object(Bucket=bucket, Key=key, Body=body, Metadata=ExtraArgs["Metadata"])

    def download_fileobj(self, bucket: str, key: str, body: IO[bytes]) -> None:
        self._begin("GetObject", key)
        request = {"Bucket": bucket, "Key": key}
        self._check_exists(request, "NoSuchKey")
        size, _ = self._size_and_metadata(request)
        for first in range(0, size, BLOCK_BYTES):
            body.write(self._read(request, first, min(first + BLOCK_BYTES, size)))

    def keys(self, bucket: str) -> list[str]:
        return sorted(key for b, key in self.objects if b == bucket)

    def text(self, bucket: str, key: str) -> str:
        return self.objects[bucket, key]["data"].decode()

    def _begin(self, operation: str, key: str) -> None:
        self.requests.append((operation, key))
        if operation in self.failing:
            raise self.failing[operation]

    def _check_exists(self, request: Mapping[str, Any], code: str) -> None:
        if not self._exists(request["Bucket"], request["Key"]):
            raise client_error(code, 404, "GetObject")

    # Where objects lie

    def _exists(self, bucket: str, key: str) -> bool:
        return (bucket, key) in self.objects

    def _keep(
        self, bucket: str, key: str, file: IO[bytes], metadata: dict[str, str]
    ) -> dict[str, Any]:
        data, version = file.read(), f"v{len(self.versions)}"
        stored = {"data": data, "metadata": metadata, "version": version}
        self.objects[bucket, key] = self.versions[version] = stored
        return {"VersionId": version, "ETag": hashlib.md5(data).hexdigest()}

    def _size_and_metadata(self, request: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
        found = self._find(request)
        return len(found["data"]), found["metadata"]

    def _read(self, request: Mapping[str, Any], first: int, end: int | None) -> bytes:
        return self._find(request)["data"][first:end]

    def _find(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "VersionId" in request:
            return self.versions[request["VersionId"]]
        return self.objects[request["Bucket"], request["Key"]]


class FolderS3(FakeS3):
    """Objects in files: they take no memory, and several processes share them. One version each."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def path(self, bucket: str, key: str) -> Path:
        return self.folder / bucket / quote(key, safe="")

    def keys(self, bucket: str) -> list[str]:
        raise NotImplementedError

    def text(self, bucket: str, key: str) -> str:
        return self.path(bucket, key).read_text()

    def _exists(self, bucket: str, key: str) -> bool:
        return self.path(bucket, key).exists()

    def _keep(
        self, bucket: str, key: str, file: IO[bytes], metadata: dict[str, str]
    ) -> dict[str, Any]:
        path = self.path(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".metadata").write_text(json.dumps(metadata))
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as out:
            shutil.copyfileobj(file, out, BLOCK_BYTES)
        unfinished.replace(path)
        return {"VersionId": "v0", "ETag": "etag"}

    def _size_and_metadata(self, request: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
        path = self.path(request["Bucket"], request["Key"])
        said = path.with_suffix(".metadata")
        return path.stat().st_size, json.loads(said.read_text()) if said.exists() else {}

    def _read(self, request: Mapping[str, Any], first: int, end: int | None) -> bytes:
        with self.path(request["Bucket"], request["Key"]).open("rb") as file:
            file.seek(first)
            return file.read(-1 if end is None else end - first)


def client_error(code: str, status: int, operation: str) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
