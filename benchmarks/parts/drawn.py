"""Draws a film as cel animation is shot: painted backgrounds, figures on twos, a pan on ones."""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (640, 360)
SCENES = ("talk", "walk", "pan")
FRAMES = 48
"""Of each scene, at 24 frames a second."""
_OVERSAMPLING = 2
"""Figures are drawn at twice the size and reduced, so that lines have soft edges."""
INK, SKIN, SHIRT, HAIR = (32, 26, 30), (244, 206, 172), (196, 64, 58), (88, 54, 36)


def draw_scene(name: str, grain: float = 0.0) -> Iterator[np.ndarray]:
    """Draw the frames of a scene of SCENES: RGB, uint8, shape (360, 640, 3).

    `grain` is the standard deviation of noise, different in each frame, in levels.
    """
    ground = _paint_background(SIZE[0] * 2)
    random = np.random.default_rng(2)
    for number in range(FRAMES):
        drawing = number // 2
        shift = 3 * number if name == "pan" else 0
        picture = ground.crop((shift, 0, shift + SIZE[0], SIZE[1]))
        cel = _draw_figure(name, drawing)
        picture.paste(cel, (0, 0), cel)
        levels = np.asarray(picture)
        if grain:
            noisy = levels + random.normal(0, grain, levels.shape)
            levels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        yield levels


def _paint_background(width: int) -> Image.Image:
    """Paint a landscape, wider than the picture."""
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


def _draw_figure(name: str, drawing: int) -> Image.Image:
    """Draw the cel that lies over the background."""
    large = Image.new("RGBA", (SIZE[0] * _OVERSAMPLING, SIZE[1] * _OVERSAMPLING))
    pen = ImageDraw.Draw(large)
    x = 300.0 + (6 * drawing if name == "walk" else 0)
    swing = 0.0 if name == "talk" else math.sin(drawing * 0.9)
    wave = 0.5 + 0.5 * math.sin(drawing * 0.7) if name == "talk" else 0.0
    for side in (-1, 1):
        _draw_limb(pen, (x, 250), (x + side * (12 + 16 * swing), 335), SHIRT)
    _draw_limb(pen, (x - 18, 190), (x - 44, 235 + 8 * swing), SKIN)
    _draw_limb(pen, (x + 18, 190), (x + 52, 235 - 70 * wave - 8 * swing), SKIN)
    _draw_oval(pen, (x, 215), (30, 50), SHIRT)
    _draw_oval(pen, (x, 138), (34, 38), SKIN)
    _draw_oval(pen, (x, 112), (36, 18), HAIR)
    for side in (-1, 1):
        _draw_oval(pen, (x + side * 12, 136), (4, 1 if drawing % 17 == 0 else 6), INK)
    opening = (2, 7, 4, 9, 3)[drawing % 5] if name == "talk" else 2
    _draw_oval(pen, (x, 158), (9, opening), (150, 40, 44))
    return large.resize(SIZE, Image.Resampling.LANCZOS)


def _draw_limb(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    fill: tuple[int, int, int],
) -> None:
    points = [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in (start, end)]
    pen.line(points, INK, 18 * _OVERSAMPLING)
    pen.line(points, fill, 13 * _OVERSAMPLING)


def _draw_oval(
    pen: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    radii: tuple[float, float],
    fill: tuple[int, int, int],
) -> None:
    (x, y), (across, down) = centre, radii
    box = [(v * _OVERSAMPLING) for v in (x - across, y - down, x + across, y + down)]
    pen.ellipse(box, fill, INK, 2 * _OVERSAMPLING)
