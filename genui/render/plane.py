"""What is drawn of the Lab's plane, as arrays: from bytes to places and grids."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from genui.render.chart import BLANK, DOTS_ACROSS, DOTS_DOWN, bits_of

Floats = NDArray[np.float64]
Grid = NDArray[np.float64]

NOWHERE: Floats = np.zeros((0, 2))


@dataclass(frozen=True)
class Scene:
    """Places are shares of the plane, [N, 2]: x from its left edge, y from its lower one. Grids
    are [G, G] from 0 to 1, their first row at the top."""

    data: Floats = field(default_factory=lambda: NOWHERE)
    classes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    samples: Floats = field(default_factory=lambda: NOWHERE)
    surface: Grid | None = None
    chances: NDArray[np.float64] | None = None  # [classes, G, G], summing to about 1
    arrows: Floats = field(default_factory=lambda: np.zeros((0, 2, 2)))  # [A, from and to, 2]

    def without(self, *layers: str) -> "Scene":
        """The same with some of what it shows left out, by the names of the fields."""
        empty = Scene()
        return replace(self, **{name: getattr(empty, name) for name in layers})


def places(data: bytes) -> Floats:
    """Shares [N, 2] from uint16 places. Raises ValueError where they are no pairs."""
    return np.frombuffer(data, "<u2").reshape(-1, 2) / 65535


def pairs(data: bytes) -> Floats:
    """Arrows [A, 2, 2] from their places. Raises ValueError where they are no pairs of places."""
    return np.frombuffer(data, "<u2").reshape(-1, 2, 2) / 65535


def grid(data: bytes, side: int) -> Grid | None:
    """[side, side] from 0 to 1; None of nothing. Raises ValueError on another size."""
    return np.frombuffer(data, np.uint8).reshape(side, side) / 255 if data else None


def grids(data: bytes, side: int) -> NDArray[np.float64] | None:
    """[K, side, side]; None of nothing. Raises ValueError on another size."""
    return np.frombuffer(data, np.uint8).reshape(-1, side, side) / 255 if data else None


def looked_up(values: NDArray[np.float64], columns: int, rows: int) -> NDArray[np.float64]:
    """Grids [.., G, G] at the middles of `rows` × `columns` cells, between their own linearly."""
    side = values.shape[-1]
    y, x = (
        np.clip((np.arange(count) + 0.5) / count * side - 0.5, 0, side - 1)
        for count in (rows, columns)
    )
    low_y, low_x = y.astype(int), x.astype(int)
    high_y, high_x = np.minimum(low_y + 1, side - 1), np.minimum(low_x + 1, side - 1)
    down, across = (y - low_y)[:, None], x - low_x
    above = values[..., low_y, :] * (1 - down) + values[..., high_y, :] * down
    return above[..., low_x] * (1 - across) + above[..., high_x] * across


def likeliest(
    chances: NDArray[np.float64], columns: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The likeliest class in each of `rows` × `columns` cells, and how sure it is: 0 where all
    are equally likely, 1 where no other is."""
    found = looked_up(chances, columns, rows)
    sure = (found.max(axis=0) - 1 / len(found)) / (1 - 1 / len(found))
    return found.argmax(axis=0), sure


def boundary(chances: NDArray[np.float64], columns: int, rows: int) -> NDArray[np.bool_]:
    """Where another class becomes the likeliest, in `rows` × `columns`."""
    winner = looked_up(chances, columns, rows).argmax(axis=0)
    edge = np.zeros((rows, columns), bool)
    edge[:, :-1] |= winner[:, 1:] != winner[:, :-1]
    edge[:-1] |= winner[1:] != winner[:-1]
    return edge


# --- The Lab's plane in cells: points, samples, surfaces and arrows, told apart without colour
# Data have a mark a class, samples are dots, two by four to a cell, arrows point one of eight
# ways, and a boundary is a line of dots. What is under them is a shade.

MARKS = "+×○□"  # of data, a class each
ARROWS = "→↗↑↖←↙↓↘"
CURSOR = "╋"
SHADES = 8  # 0 is the plane's own ground
RAMP = "  ░░▒▒▓▓"  # the shades where colours cannot show them,
CLASS_SHADES = " ░▒▓"  # and the classes

LOOKS = (
    "shade",  # a character of RAMP
    "samples",
    "arrows",
    "boundary",
    "cursor",
    *(f"data-{number}" for number in range(1, len(MARKS) + 1)),
)
_STILL = 0.012  # an arrow shorter than this share of the plane is a point


@dataclass(frozen=True)
class Cells:
    """A drawn plane, [rows, columns] each: the character's code, its look as an index of LOOKS,
    and its ground, class · SHADES + shade."""

    codes: NDArray[np.uint32]
    looks: NDArray[np.int8]
    ground: NDArray[np.int16]


def room(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of the largest plane in so many cells: a cell is twice as high as wide."""
    rows = max(1, min(height, width // 2))
    return 2 * rows, rows


def draw(
    scene: Scene,
    columns: int,
    rows: int,
    *,
    shaded: bool = True,
    cursor: tuple[float, float] | None = None,
) -> Cells:
    """A scene in cells. Where grounds have no colours `shaded` is false, and shades are
    characters; `cursor` is a place, as shares of the plane."""
    cells = Cells(
        np.full((rows, columns), ord(" "), np.uint32),
        np.zeros((rows, columns), np.int8),
        _background(scene, columns, rows),
    )
    if not shaded:
        cells.codes[:] = _signs(cells.ground, by_class=scene.chances is not None)
        cells.ground[:] = 0
    _put_data(cells, scene)
    across, down = DOTS_ACROSS * columns, DOTS_DOWN * rows
    _put_dots(cells, _dots(scene.samples, across, down), "samples")
    if scene.chances is not None:
        _put_dots(cells, boundary(scene.chances, across, down), "boundary")
    _put_arrows(cells, scene.arrows)
    if cursor is not None:
        (row,), (column,) = _cell_of(np.array([cursor]), columns, rows)
        cells.codes[row, column] = ord(CURSOR)
        cells.looks[row, column] = LOOKS.index("cursor")
    return cells


def _background(scene: Scene, columns: int, rows: int) -> NDArray[np.int16]:
    if scene.chances is not None:
        label, sure = likeliest(scene.chances, columns, rows)
        return (label * SHADES + _shade(sure)).astype(np.int16)
    if scene.surface is not None:
        return _shade(looked_up(scene.surface, columns, rows)).astype(np.int16)
    return np.zeros((rows, columns), np.int16)


def _signs(ground: NDArray[np.int16], by_class: bool) -> NDArray[np.uint32]:
    """Grounds as characters: of a surface its shade, of classes which one is likely."""
    shade, label = ground % SHADES, ground // SHADES
    at = np.where(shade > 1, label, 0) if by_class else shade
    signs = CLASS_SHADES if by_class else RAMP
    return np.array([ord(sign) for sign in signs], np.uint32)[at % len(signs)]


def _shade(share: Floats) -> NDArray[np.int64]:
    return np.clip(share * SHADES, 0, SHADES - 1).astype(np.int64)


def _cell_of(
    places: Floats, columns: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row and the column of each place [N, 2]; those beyond the edge count to it."""
    column = np.clip((places[:, 0] * columns).astype(np.int64), 0, columns - 1)
    row = np.clip(((1 - places[:, 1]) * rows).astype(np.int64), 0, rows - 1)
    return row, column


def _put_data(cells: Cells, scene: Scene) -> None:
    """A mark in each cell that data lie in: of the class that has most of them there."""
    rows, columns = cells.codes.shape
    row, column = _cell_of(scene.data, columns, rows)
    counts = np.zeros((len(MARKS), rows, columns), np.int64)
    np.add.at(counts, (scene.classes % len(MARKS), row, column), 1)
    there = counts.any(axis=0)
    label = counts.argmax(axis=0)
    cells.codes[there] = np.array([ord(mark) for mark in MARKS], np.uint32)[label[there]]
    cells.looks[there] = LOOKS.index("data-1") + label[there]


def _dots(places: Floats, across: int, down: int) -> NDArray[np.bool_]:
    dots = np.zeros((down, across), bool)
    inside = ((places > 0) & (places < 1)).all(axis=1)  # what lies beyond is not at the edge
    dots[_cell_of(places[inside], across, down)] = True
    return dots


def _put_dots(cells: Cells, dots: NDArray[np.bool_], look: str) -> None:
    """Braille, in the cells where there is a dot."""
    bits = bits_of(dots).astype(np.uint32)
    there = bits > 0
    cells.codes[there] = BLANK + bits[there]
    cells.looks[there] = LOOKS.index(look)


def _put_arrows(cells: Cells, arrows: Floats) -> None:
    if not len(arrows):
        return
    rows, columns = cells.codes.shape
    way = arrows[:, 1] - arrows[:, 0]
    row, column = _cell_of(arrows.mean(axis=1), columns, rows)
    octant = np.round(np.arctan2(way[:, 1], way[:, 0]) / (np.pi / 4)).astype(np.int64) % 8
    signs = np.array([ord(sign) for sign in ARROWS], np.uint32)[octant]
    signs[np.hypot(way[:, 0], way[:, 1]) < _STILL] = ord("·")
    cells.codes[row, column] = signs
    cells.looks[row, column] = LOOKS.index("arrows")


# --- The Lab's plane as a picture, for files --------------------------------------------------

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

    image = Image.fromarray(_image_background(scene, side))
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


def _image_background(scene: Scene, side: int) -> Pixels:
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
