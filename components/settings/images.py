"""Settings of the container images."""

import re
from typing import Annotated

from pydantic import AfterValidator

from contracts.base import Contract


def _image(value: str) -> str:
    if not re.fullmatch(r"[^\s:@]\S*[:@]\S+", value):
        raise ValueError("expected an image with a tag or digest, such as example/media:1.0")
    return value


Image = Annotated[str, AfterValidator(_image)]


class ImageSettings(Contract):
    media_image: Image
    upscaler_image: Image
