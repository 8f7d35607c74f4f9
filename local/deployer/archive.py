"""A function's code as a zip file with the same bytes every time."""

import functools
import io
import zipfile
from pathlib import Path

import pulumi

_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16


def zip_bytes(archive: pulumi.Archive) -> bytes:
    """Raises ValueError for an archive or asset of another kind than files and texts."""
    if isinstance(archive, pulumi.FileArchive) and not Path(archive.path).is_dir():
        return Path(archive.path).read_bytes()
    return _zip(tuple(sorted(_entries("", archive))))


@functools.cache
def _zip(entries: tuple[tuple[str, bytes], ...]) -> bytes:
    """Cached, for all functions share one archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in entries:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _READABLE
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    return buffer.getvalue()


def _entries(name: str, asset: pulumi.Asset | pulumi.Archive) -> list[tuple[str, bytes]]:
    if isinstance(asset, pulumi.AssetArchive):
        return [
            entry
            for key, item in asset.assets.items()
            for entry in _entries(f"{name}/{key}".lstrip("/"), item)
        ]
    if isinstance(asset, pulumi.FileArchive):
        return _folder(name, Path(asset.path))
    if isinstance(asset, pulumi.FileAsset):
        return [(name, Path(str(asset.path)).read_bytes())]
    if isinstance(asset, pulumi.StringAsset):
        return [(name, asset.text.encode())]
    raise ValueError(f"{name or 'code'}: an asset of type {type(asset).__name__} is not local.")


def _folder(name: str, folder: Path) -> list[tuple[str, bytes]]:
    return [
        (f"{name}/{path.relative_to(folder).as_posix()}".lstrip("/"), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
