"""Tags that every resource carries; if one is missing, nothing is deployed."""

import re
from typing import Annotated

from pydantic import AfterValidator

_ALLOWED = re.compile(r"[\w .:/=+@-]{1,256}")
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions"""


def tag_value(value: str) -> str:
    """The value. Raises ValueError if AWS would not accept it, or if it is blank."""
    if not _ALLOWED.fullmatch(value) or not value.strip():
        raise ValueError("must be 1 to 256 letters, digits, spaces and _ . : / = + - @")
    return value


TagValue = Annotated[str, AfterValidator(tag_value)]


def required_tags(*, project: str, stack: str, owner: str, cost_center: str) -> dict[str, str]:
    """The tags of every resource. Raises ValueError where one is empty."""
    given = {"project": project, "stack": stack, "owner": owner, "cost-center": cost_center}
    for tag, value in given.items():
        try:
            tag_value(value)
        except ValueError as error:
            raise ValueError(f"tag {tag}: got {value!r}, {error}") from error
    return given
