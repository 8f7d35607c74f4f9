"""The architecture as pictures: the resources of the program, and the rooms of the code."""

from tests.infra.support.recorder import deployment
from tools.diagram.model import picture
from tools.diagram.svg import draw

STACK = "prod"


def architecture() -> str:
    """The SVG of the production stack."""
    return draw(picture(deployment(STACK)), "Superres: what pulumi up makes")
