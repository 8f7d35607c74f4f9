"""A ranged GET of one version gives the range; ministack gives the whole object.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from collections.abc import Callable
from typing import Any

from ministack.services import s3

from local.emulator.patching import wrap

NEEDS = {
    "ministack.services.s3": ("_get_object", "_parse_range", "_range_error_xml", "_xml_body"),
}

Answer = tuple[int, dict[str, str], bytes]


def apply() -> None:
    wrap(s3, "_get_object", _with_ranges)


def _with_ranges(original: Callable[..., Answer]) -> Callable[..., Answer]:
    def get_object(
        bucket_name: str, key: str, headers: dict[str, str], query_params: dict[str, Any] | None
    ) -> Answer:
        query, wanted = query_params or {}, headers.get("range", "")
        if not (wanted and query.get("versionId")):
            return original(bucket_name, key, headers, query)
        # a checksum of the whole would not fit its part
        rest = {k: v for k, v in headers.items() if k not in {"range", "x-amz-checksum-mode"}}
        status, answered, body = original(bucket_name, key, rest, query)
        if status != 200:
            return status, answered, body
        return _part(wanted, answered, body) or _refusal(bucket_name, key, len(body))

    return get_object


def _part(wanted: str, headers: dict[str, str], body: bytes) -> Answer | None:
    found = s3._parse_range(wanted, len(body))
    if found is None:
        return None
    start, end = found
    part = body[start : end + 1]
    about = {
        "Content-Length": str(len(part)),
        "Content-Range": f"bytes {start}-{end}/{len(body)}",
    }
    return 206, {**headers, **about}, part


def _refusal(bucket_name: str, key: str, size: int) -> Answer:
    headers = {"Content-Type": "application/xml", "Content-Range": f"bytes */{size}"}
    return 416, headers, s3._xml_body(s3._range_error_xml(bucket_name, key))
