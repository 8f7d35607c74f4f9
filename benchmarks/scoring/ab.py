"""A blinded page for viewers, since PSNR and VMAF misjudge networks that invent detail.

`write_blinded` writes one HTML file that needs no network, and its key to another file. Voters send
the JSON that the page exports; `python -m benchmarks.scoring.ab VOTES... KEY` counts it.
"""

import argparse
import base64
import io
import itertools
import json
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.clips import read_rgb
from benchmarks.superres import table

TEMPLATE = Path(__file__).with_name("ab.html")
PAIRS = 20
Z95 = 1.959964
"""Of the normal distribution: two-sided 95 %."""


@dataclass(frozen=True)
class Candidate:
    """One frame, as each method restored it."""

    title: str
    frame: int
    films: Mapping[str, Path]


@dataclass(frozen=True)
class Pair:
    """Two methods' pictures of one frame, in the order in which they are shown."""

    title: str
    a: str
    b: str


@dataclass(frozen=True)
class BlindedPage:
    """Paths of the page and of its key."""

    page: Path
    key: Path


@dataclass(frozen=True)
class MethodScore:
    """How often viewers preferred a method; a tie counts half. Wilson's interval of 95 %."""

    method: str
    shown: int
    share: float
    low: float
    high: float


def write_blinded(candidates: Sequence[Candidate], folder: Path, seed: int) -> BlindedPage:
    """Write `ab.html` and `ab-key.json` into the folder."""
    pairs = draw_pairs(candidates, seed)
    pictures = {(c.title, name): picture for c in candidates for name, picture in _read_pictures(c)}
    shown = [
        {"a": _embed(pictures[p.title, p.a]), "b": _embed(pictures[p.title, p.b])} for p in pairs
    ]
    pages = BlindedPage(folder / "ab.html", folder / "ab-key.json")
    data = json.dumps({"seed": seed, "pairs": shown})
    pages.page.write_text(TEMPLATE.read_text().replace("{{data}}", data))
    key = {"seed": seed, "pairs": [asdict(pair) for pair in pairs]}
    pages.key.write_text(json.dumps(key, indent=1) + "\n")
    return pages


def draw_pairs(candidates: Sequence[Candidate], seed: int, most: int = PAIRS) -> list[Pair]:
    """Draw at most `most` of all pairs, in random order and with random sides."""
    chance = random.Random(seed)
    pairs = [
        Pair(candidate.title, *chance.sample(both, 2))
        for candidate in candidates
        for both in itertools.combinations(candidate.films, 2)
    ]
    chance.shuffle(pairs)
    return pairs[:most]


def _read_pictures(candidate: Candidate) -> list[tuple[str, NDArray[np.uint8]]]:
    return [
        (name, next(itertools.islice(read_rgb(film), candidate.frame, None)))
        for name, film in candidate.films.items()
    ]


def _embed(picture: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def count_votes(votes: Sequence[Mapping[str, Any]], key: Mapping[str, Any]) -> list[MethodScore]:
    """Score all methods, best first. Raises SystemExit for votes that do not fit the key."""
    points: dict[str, list[float]] = {}
    for ballot in votes:
        try:
            _add(points, ballot, key)
        except (KeyError, IndexError, TypeError) as error:
            raise SystemExit(
                f"the votes or the key do not come from the page: {error!r}"
            ) from error
    scores = [_score(method, values) for method, values in points.items()]
    return sorted(scores, key=lambda score: -score.share)


def _add(points: dict[str, list[float]], ballot: Mapping[str, Any], key: Mapping[str, Any]) -> None:
    if ballot["seed"] != key["seed"] or len(ballot["votes"]) != len(key["pairs"]):
        raise SystemExit("these votes belong to another page than the key; give that page's key")
    for vote in ballot["votes"]:
        pair = key["pairs"][vote["pair"]]
        won = {"a": 1.0, "b": 0.0, "same": 0.5}[vote["choice"]]
        points.setdefault(pair["a"], []).append(won)
        points.setdefault(pair["b"], []).append(1 - won)


def _score(method: str, points: Sequence[float]) -> MethodScore:
    """Score by Wilson's interval (Wilson, JASA 22(158), 1927)."""
    n, share = len(points), sum(points) / len(points)
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    reach = Z95 / (1 + Z95**2 / n) * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return MethodScore(method, n, share, max(middle - reach, 0.0), min(middle + reach, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("votes", type=Path, nargs="+", help="JSON files that the page exported")
    parser.add_argument("key", type=Path, help="ab-key.json, written beside the page")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    key, *ballots = (_read(path) for path in (arguments.key, *arguments.votes))
    scores = count_votes(ballots, key)
    if arguments.json:
        print(json.dumps([asdict(score) for score in scores]))
        return
    rows = [
        (s.method, str(s.shown), f"{s.share:.0%}", f"{s.low:.0%} to {s.high:.0%}") for s in scores
    ]
    print(table(("method", "comparisons", "preferred", "95 % interval"), rows))


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read as JSON: {error}")


if __name__ == "__main__":
    main()
