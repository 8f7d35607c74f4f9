"""The architecture as pictures: the resources of the program, and the rooms of the code."""

from tests.infra.support.recorder import deployment
from tools.diagram.model import diagram_of
from tools.diagram.svg import draw

STACK = "prod"


def architecture() -> str:
    """The SVG of the production stack."""
    return draw(diagram_of(deployment(STACK)), "Superres: what pulumi up makes")
