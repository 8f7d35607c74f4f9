"""What crosses between extract and its confined child: the task, and the findings."""

from contracts.base import Contract
from contracts.film.facts import Sidecar, Video
from contracts.job import Container, Settings, SourceObject
from contracts.models import ModelFacts
from contracts.stack.environ import ExtractEnvironment


class ExamineTask(Contract):
    """Examine a film."""

    source: SourceObject
    settings: Settings
    environment: ExtractEnvironment
    model: ModelFacts
    payload: int
    """Descriptor of the file for the sidecar's payload."""
    numbers: int
    """Descriptor of the file for the arrays."""


class FoundFilm(Contract):
    """What is in a film. The parent checks all of it."""

    format: str
    video: Video
    container: Container
    sidecar: Sidecar
    """Its files are not uploaded yet."""
    skipped: int
    """Frames of a recording before its first or behind its last whole one."""
    decoded: bool
    """The timestamps are from decoding the whole film."""
    arrays: dict[str, int]
    """Lengths of the arrays: `timestamps`, `keyframes`, of FoundDamage, of the captions and of
    the sidecar's index."""
