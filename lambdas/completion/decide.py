"""The e-mail about the end of a job. Pure."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from contracts.base import ObjectRef, one_line
from contracts.messages import Notification
from contracts.names import REJECTED_ERROR, ExitCode, JobStatus

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: below 100 characters, one line
SUBJECT_CHARS = 99

_CHANGE_FILM = "Choose another film or other settings, and upload it again."
_ADVICE = {
    REJECTED_ERROR: "Correct the upload's superres-* metadata and upload the film again.",
    ExitCode.BAD_SOURCE.error: _CHANGE_FILM,
    ExitCode.LIMIT_EXCEEDED.error: _CHANGE_FILM,
    ExitCode.UNSUPPORTED.error: _CHANGE_FILM,
    ExitCode.SOURCE_MISSING.error: (
        "Upload the film again and leave it in place until its job has ended."
    ),
}
_TRY_AGAIN = (
    "Nothing is known to be wrong with the film: upload it again. Should it fail again, give the "
    "job's id to whoever runs the pipeline."
)
_SUBJECT = {
    JobStatus.SUCCEEDED: "is ready",
    JobStatus.CANCELLED: "was cancelled",
    JobStatus.TIMED_OUT: "took too long",
}
_CANCELLED = "Nothing, if this was meant. Otherwise upload the film again."
_NO_REASON = {"States.Timeout": "A stage took longer than its time limit."}


@dataclass(frozen=True, kw_only=True)
class Email:
    subject: str
    """Printable ASCII, below 100 characters."""
    text: str


def write_email(notification: Notification) -> Email:
    succeeded = notification.status is JobStatus.SUCCEEDED
    return Email(
        subject=_subject(notification.source.key, _SUBJECT.get(notification.status, "failed")),
        text=_success(notification) if succeeded else _failure(notification),
    )


def _subject(key: str, end: str) -> str:
    name = "".join(c if " " <= c <= "~" else "_" for c in PurePosixPath(key).name)
    room = SUBJECT_CHARS - len(f"Superres:  {end}")
    return f"Superres: {name if len(name) <= room else name[: room - 3] + '...'} {end}"


def _success(notification: Notification) -> str:
    known = "".join(f"- {one_line(remark)}\n" for remark in notification.remarks)
    return (
        "Your film is ready.\n\n"
        f"Source: {one_line(notification.source.key)}\n"
        f"Result: {_uri(notification.result)}\n"
        f"Report: {_uri(notification.report)}\n"
        f"Job:    {notification.job_id}\n"
    ) + (f"\nWorth knowing:\n{known}" if known else "")


def _failure(notification: Notification) -> str:
    error = notification.error or "unknown"
    message = notification.message or _NO_REASON.get(error, "No reason was given.")
    cancelled = notification.status is JobStatus.CANCELLED
    advice = _CANCELLED if cancelled else _ADVICE.get(error, _TRY_AGAIN)
    return (
        f"Your film {'was not' if cancelled else 'could not be'} upscaled.\n\n"
        f"Why:        {one_line(message)}\n"
        f"What to do: {advice}\n\n"
        f"Source:     {one_line(notification.source.key)}\n"
        f"Error:      {one_line(error)}\n"
        f"Job:        {notification.job_id}\n"
    )


def _uri(place: ObjectRef | None) -> str:
    return "not given" if place is None else one_line(f"s3://{place.bucket}/{place.key}")
