"""The Lab's plane as a picture, for files."""

import numpy as np
from numpy.typing import NDArray

from genui.render.scene import Floats, Scene, boundary, likeliest, looked_up

Pixels = NDArray[np.uint8]

SIDE = 360  # pixels
GROUND = np.array((13, 17, 23), float)
SURFACE = np.array((47, 84, 140), float)  # where it is highest
CLASSES = np.array(((47, 84, 140), (140, 84, 30), (40, 120, 70), (120, 60, 130)), float)
DATA = ((139, 148, 158), (210, 153, 34), (86, 211, 100), (210, 168, 255))
SAMPLES = (121, 192, 255)
LINE = (240, 246, 252)
ARROW = (255, 166, 87)


def picture(scene: Scene, caption: str = "", side: int = SIDE) -> Pixels:
    """A scene as uint8 [side, side, 3]: data as crosses in a colour a class, samples as dots."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(_ground(scene, side))
    pen = ImageDraw.Draw(image)
    for (x, y), label in zip(_pixels(scene.data, side), scene.classes.tolist(), strict=True):
        colour = DATA[label % len(DATA)]
        pen.line((x - 2, y, x + 2, y), fill=colour)
        pen.line((x, y - 2, x, y + 2), fill=colour)
    for x, y in _pixels(scene.samples, side):
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=SAMPLES)
    for (x, y), (to_x, to_y) in zip(*(_pixels(scene.arrows[:, i], side) for i in (0, 1)),
                                    strict=True):  # fmt: skip
        pen.line((x, y, to_x, to_y), fill=ARROW)
        pen.ellipse((to_x - 1.5, to_y - 1.5, to_x + 1.5, to_y + 1.5), fill=ARROW)
    if caption:
        pen.text((6, side - 16), caption, fill=LINE)
    return np.asarray(image)


def _ground(scene: Scene, side: int) -> Pixels:
    if scene.chances is not None:
        label, sure = likeliest(scene.chances, side, side)
        shaded = GROUND + sure[..., None] * (CLASSES[label % len(CLASSES)] - GROUND)
        shaded[boundary(scene.chances, side, side)] = LINE
    elif scene.surface is not None:
        share = looked_up(scene.surface, side, side)
        shaded = GROUND + share[..., None] * (SURFACE - GROUND)
    else:
        shaded = np.broadcast_to(GROUND, (side, side, 3))
    return shaded.round().astype(np.uint8)


def _pixels(places: Floats, side: int) -> list[tuple[float, float]]:
    """Where shares [N, 2] of the plane are on a picture."""
    return [(x * side, (1 - y) * side) for x, y in places.tolist()]
