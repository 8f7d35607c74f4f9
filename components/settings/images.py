"""Settings of the container images."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.settings.reading import SettingsPart
from contracts.stack.images import (
    EcrRegistry,
    ImageName,
    ImageReference,
)


class ImageSettings(SettingsPart):
    images: Literal["digest", "build", "local"] = "digest"
    """Where the images come from. `digest`: the settings name them, by digest. `build`: `pulumi up`
    builds and pushes them, for development. `local`: nothing is pulled, because the embedded AWS
    runs the repository's code."""
    media_image: str | None = None
    """Image of the extract and recompose jobs, by digest."""
    upscaler_image: str | None = None
    """Image of the processing jobs, by digest."""
    image_registry: str | None = None
    """Where `build` pushes to: the host of the shared registry (registry/)."""
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """The commit that is deployed; the pipeline and a promotion set it."""

    @model_validator(mode="after")
    def _images_fit(self) -> Self:
        for image in ImageName:
            self._check_image(image)
        if self.images == "build" or self.image_registry is not None:
            try:
                EcrRegistry.parse(self.image_registry or "")
            except ValueError as error:
                raise ValueError(f"image_registry: {error}") from error
        return self

    def _check_image(self, image: ImageName) -> None:
        value = getattr(self, image.setting)
        if self.images == "build" and value is not None:
            raise ValueError(
                f"{image.setting}: got {value!r}, but images is 'build', which makes the image; "
                "leave it out, or set images to 'digest'"
            )
        if self.images == "local" and not value:
            raise ValueError(f"{image.setting}: is missing")
        if self.images == "digest":
            try:
                ImageReference.parse(value or "")
            except ValueError as error:
                raise ValueError(f"{image.setting}: {error}") from error

    @property
    def named_images(self) -> dict[ImageName, str]:
        """What the settings name; nothing where the images are built."""
        named = {image: getattr(self, image.setting) for image in ImageName}
        return {image: value for image, value in named.items() if value is not None}
