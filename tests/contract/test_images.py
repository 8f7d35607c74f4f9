"""What the images hold is where the program says it is."""

import re
from pathlib import Path

from components.settings import StackSettings

ROOT = Path(__file__).parents[2]


def test_the_weights_are_where_the_program_tells_the_workers() -> None:
    dockerfile = (ROOT / "containers" / "upscaler" / "Dockerfile").read_text()
    (copied,) = re.findall(r"^COPY --from=weights \S+ (\S+)$", dockerfile, re.MULTILINE)
    assert StackSettings.model_fields["model_dir"].default == copied
