"""The output of a job: its container and its size."""

from av.container import InputContainer
from av.stream import Stream

from containers.media.labels.streams import can_hold, codec_name
from contracts.film.facts import Video
from contracts.film.manifest import Output
from contracts.job import HOLDS, Container, Settings
from contracts.planning import target_size


def choose_container(settings: Settings, source: InputContainer, film: Stream) -> Container:
    """As asked; else the source's kind, MOV for ProRes, or Matroska for FFV1 and rare streams."""
    if settings.container is not None:
        return settings.container
    others = [s for s in source.streams if s.type in ("audio", "subtitle") and s is not film]
    carried = [s for s in others if can_hold(Container.MKV, s)]
    for container in (_kind(source), Container.MOV):
        if settings.codec in HOLDS[container] and all(_plays(container, s) for s in carried):
            return container
    return Container.MKV


def _kind(source: InputContainer) -> Container:
    if "matroska" in source.format.name:
        return Container.MKV
    return Container.MOV if source.metadata.get("major_brand") == "qt  " else Container.MP4


def _plays(container: Container, stream: Stream) -> bool:
    """True if the container holds it as players expect: few look for raw sound in MP4."""
    raw = container is Container.MP4 and codec_name(stream).startswith("pcm_")
    return not raw and can_hold(container, stream)


def plan_output(settings: Settings, video: Video, container: Container) -> Output:
    """Size of the result in pixels, its container, and the label of its name."""
    width, height = target_size(settings, video.width, video.height)
    return Output(width=width, height=height, label=settings.label, container=container)
