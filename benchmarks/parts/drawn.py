"""A drawn film, as cel animation is shot: painted grounds, figures on twos, a pan on ones."""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (640, 360)
SCENES = ("talk", "walk", "pan")
FRAMES = 48
"""Of each scene, at 24 a second."""
_DRAWN = 2
"""Drawn at twice the size and reduced, so that lines have soft edges."""
INK, SKIN, SHIRT, HAIR = (32, 26, 30), (244, 206, 172), (196, 64, 58), (88, 54, 36)


def scene(name: str, grain: float = 0.0) -> Iterator[np.ndarray]:
    """RGB, uint8, shape (360, 640, 3). `grain`: standard deviation in levels, new in each frame."""
    ground = _ground(SIZE[0] * 2)
    random = np.random.default_rng(2)
    for number in range(FRAMES):
        drawing = number // 2
        shift = 3 * number if name == "pan" else 0
        picture = ground.crop((shift, 0, shift + SIZE[0], SIZE[1]))
        cel = _figure(name, drawing)
        picture.paste(cel, (0, 0), cel)
        levels = np.asarray(picture)
        if grain:
            noisy = levels + random.normal(0, grain, levels.shape)
            levels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        yield levels


def _ground(width: int) -> Image.Image:
    """A painted landscape, longer than the picture."""
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[0 : SIZE[1], 0:width]
    sky = np.stack([140 + rows * 0.25, 180 + rows * 0.15, 230 - rows * 0.1], axis=-1)
    hill = SIZE[1] * 0.6 + 30 * np.sin(columns / 90) + 14 * np.sin(columns / 31)
    sky[rows > hill] = (96, 148, 84)
    strokes = random.normal(0, 26, (SIZE[1] // 2, width // 6, 3))
    paint = Image.fromarray(np.clip(128 + strokes, 0, 255).astype(np.uint8))
    texture = np.asarray(paint.resize((width, SIZE[1]), Image.Resampling.BICUBIC), np.float64)
    painted = np.clip(sky + (texture - 128) * 0.6, 0, 255).astype(np.uint8)
    return Image.fromarray(painted).filter(ImageFilter.GaussianBlur(0.6))


def _figure(name: str, drawing: int) -> Image.Image:
    """One drawing of the cel that lies over the ground."""
    large = Image.new("RGBA", (SIZE[0] * _DRAWN, SIZE[1] * _DRAWN))
    pen = ImageDraw.Draw(large)
    x = 300.0 + (6 * drawing if name == "walk" else 0)
    swing = 0.0 if name == "talk" else math.sin(drawing * 0.9)
    wave = 0.5 + 0.5 * math.sin(drawing * 0.7) if name == "talk" else 0.0
    for side in (-1, 1):
        _limb(pen, (x, 250), (x + side * (12 + 16 * swing), 335), SHIRT)
    _limb(pen, (x - 18, 190), (x - 44, 235 + 8 * swing), SKIN)
    _limb(pen, (x + 18, 190), (x + 52, 235 - 70 * wave - 8 * swing), SKIN)
    _oval(pen, (x, 215), (30, 50), SHIRT)
    _oval(pen, (x, 138), (34, 38), SKIN)
    _oval(pen, (x, 112), (36, 18), HAIR)
    for side in (-1, 1):
        _oval(pen, (x + side * 12, 136), (4, 1 if drawing % 17 == 0 else 6), INK)
    opening = (2, 7, 4, 9, 3)[drawing % 5] if name == "talk" else 2
    _oval(pen, (x, 158), (9, opening), (150, 40, 44))
    return large.resize(SIZE, Image.Resampling.LANCZOS)


def _limb(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    fill: tuple[int, int, int],
) -> None:
    points = [(x * _DRAWN, y * _DRAWN) for x, y in (start, end)]
    pen.line(points, INK, 18 * _DRAWN)
    pen.line(points, fill, 13 * _DRAWN)


def _oval(
    pen: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    radii: tuple[float, float],
    fill: tuple[int, int, int],
) -> None:
    (x, y), (across, down) = centre, radii
    box = [(v * _DRAWN) for v in (x - across, y - down, x + across, y + down)]
    pen.ellipse(box, fill, INK, 2 * _DRAWN)
