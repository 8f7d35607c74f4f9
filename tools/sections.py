"""The parts of a document that a program writes, between comments that name them."""

import re
from collections.abc import Callable

Update = Callable[[str], str]


def between(name: str, content: Callable[[], str]) -> Update:
    """Fill the space between `<!-- name -->` and `<!-- /name -->`."""

    def update(text: str) -> str:
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"expected {begin} and {end} once")
        return pattern.sub(lambda _: f"{begin}\n{content()}\n{end}", text)

    return update
