"""The plane of the Lab, decoded from bytes and drawn in cells or as an image.

Positions are fractions of the plane, [N, 2]: x from its left edge, y from its lower edge.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from genui.render.canvas import BLANK, DOTS_ACROSS, DOTS_DOWN, pack_dots

Floats = NDArray[np.float64]
Grid = NDArray[np.float64]

NOWHERE: Floats = np.zeros((0, 2))


@dataclass(frozen=True)
class Scene:
    """The contents of the plane. Grids are [G, G] from 0 to 1, the first row at the top."""

    data: Floats = field(default_factory=lambda: NOWHERE)
    classes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    samples: Floats = field(default_factory=lambda: NOWHERE)
    surface: Grid | None = None
    chances: NDArray[np.float64] | None = None  # [classes, G, G], which sum to about 1
    arrows: Floats = field(default_factory=lambda: np.zeros((0, 2, 2)))  # [A, (start, end), 2]
    means: Floats = field(default_factory=lambda: np.zeros((0, 2, 2)))  # beside the arrows

    def without(self, *layers: str) -> "Scene":
        """Return the scene without some of its layers, named like the fields."""
        empty = Scene()
        return replace(self, **{name: getattr(empty, name) for name in layers})


def decode_places(data: bytes) -> Floats:
    """Decode positions [N, 2] from pairs of uint16. Raises ValueError for another size."""
    return np.frombuffer(data, "<u2").reshape(-1, 2) / 65535


def decode_arrows(data: bytes) -> Floats:
    """Decode arrows [A, 2, 2] from pairs of positions. Raises ValueError for another size."""
    return np.frombuffer(data, "<u2").reshape(-1, 2, 2) / 65535


def decode_grid(data: bytes, side: int) -> Grid | None:
    """Decode [side, side] from 0 to 1; None if empty. Raises ValueError for another size."""
    return np.frombuffer(data, np.uint8).reshape(side, side) / 255 if data else None


def decode_grids(data: bytes, side: int) -> NDArray[np.float64] | None:
    """Decode [K, side, side]; None if empty. Raises ValueError for another size."""
    return np.frombuffer(data, np.uint8).reshape(-1, side, side) / 255 if data else None


def interpolate(values: NDArray[np.float64], columns: int, rows: int) -> NDArray[np.float64]:
    """Interpolate grids [..., G, G] bilinearly at the centres of `rows` × `columns` cells."""
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


def find_likeliest(
    chances: NDArray[np.float64], columns: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the likeliest class in each of `rows` × `columns` cells, and the confidence, from 0
    if all classes are equally likely to 1 if it is certain."""
    values = interpolate(chances, columns, rows)
    confidence = (values.max(axis=0) - 1 / len(values)) / (1 - 1 / len(values))
    return values.argmax(axis=0), confidence


def find_boundary(chances: NDArray[np.float64], columns: int, rows: int) -> NDArray[np.bool_]:
    """Return where the likeliest class changes: bool [rows, columns]."""
    winner = interpolate(chances, columns, rows).argmax(axis=0)
    edge = np.zeros((rows, columns), bool)
    edge[:, :-1] |= winner[:, 1:] != winner[:, :-1]
    edge[:-1] |= winner[1:] != winner[:-1]
    return edge


# --- The plane in cells -----------------------------------------------------------------------
# Everything can be read without colour: data have a mark for each class, samples are dots, 2 × 4
# per cell, arrows point in one of eight directions, means are double arrows, a boundary is a line
# of dots, a surface is a shade.

MARKS = "+×○□"  # of data, one for each class
ARROWS = "→↗↑↖←↙↓↘"
MEANS = "⇒⇗⇑⇖⇐⇙⇓⇘"
CURSOR = "╋"
SHADES = 8  # 0 is the background
RAMP = "  ░░▒▒▓▓"  # shades as characters
CLASS_SHADES = " ░▒▓"  # classes as characters

LOOKS = (
    "shade",  # a character of RAMP
    "samples",
    "arrows",
    "means",
    "boundary",
    "cursor",
    *(f"data-{number}" for number in range(1, len(MARKS) + 1)),
)
_MIN_ARROW = 0.012  # a shorter arrow, as a fraction of the plane, is drawn as a point


@dataclass(frozen=True)
class PlaneCells:
    """A plane in cells, each array [rows, columns]: code points, indices into LOOKS, and
    backgrounds as class · SHADES + shade."""

    codes: NDArray[np.uint32]
    looks: NDArray[np.int8]
    ground: NDArray[np.int16]


def fit_plane(width: int, height: int) -> tuple[int, int]:
    """Return the columns and rows of the largest square in `width` × `height` cells of 1 : 2."""
    rows = max(1, min(height, width // 2))
    return 2 * rows, rows


def draw(
    scene: Scene,
    columns: int,
    rows: int,
    *,
    shaded: bool = True,
    cursor: tuple[float, float] | None = None,
) -> PlaneCells:
    """Draw a scene in cells. With `shaded` false, for terminals without colour, shades are
    characters. `cursor` is a position."""
    cells = PlaneCells(
        np.full((rows, columns), ord(" "), np.uint32),
        np.zeros((rows, columns), np.int8),
        _compute_ground(scene, columns, rows),
    )
    if not shaded:
        cells.codes[:] = _choose_signs(cells.ground, by_class=scene.chances is not None)
        cells.ground[:] = 0
    _put_data(cells, scene)
    across, down = DOTS_ACROSS * columns, DOTS_DOWN * rows
    _put_dots(cells, _mark_dots(scene.samples, across, down), "samples")
    if scene.chances is not None:
        _put_dots(cells, find_boundary(scene.chances, across, down), "boundary")
    _put_arrows(cells, scene.arrows, ARROWS, "arrows")
    _put_arrows(cells, scene.means + np.array([1 / columns, 0]), MEANS, "means")
    if cursor is not None:
        (row,), (column,) = _find_cells(np.array([cursor]), columns, rows)
        cells.codes[row, column] = ord(CURSOR)
        cells.looks[row, column] = LOOKS.index("cursor")
    return cells


def _compute_ground(scene: Scene, columns: int, rows: int) -> NDArray[np.int16]:
    if scene.chances is not None:
        label, confidence = find_likeliest(scene.chances, columns, rows)
        return (label * SHADES + _choose_shade(confidence)).astype(np.int16)
    if scene.surface is not None:
        return _choose_shade(interpolate(scene.surface, columns, rows)).astype(np.int16)
    return np.zeros((rows, columns), np.int16)


def _choose_signs(ground: NDArray[np.int16], by_class: bool) -> NDArray[np.uint32]:
    """Return backgrounds as characters: the shade of a surface, or the likeliest class."""
    shade, label = ground % SHADES, ground // SHADES
    at = np.where(shade > 1, label, 0) if by_class else shade
    signs = CLASS_SHADES if by_class else RAMP
    return np.array([ord(sign) for sign in signs], np.uint32)[at % len(signs)]


def _choose_shade(share: Floats) -> NDArray[np.int64]:
    return np.clip(share * SHADES, 0, SHADES - 1).astype(np.int64)


def _find_cells(
    places: Floats, columns: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and column of each position [N, 2], clipped to the plane."""
    column = np.clip((places[:, 0] * columns).astype(np.int64), 0, columns - 1)
    row = np.clip(((1 - places[:, 1]) * rows).astype(np.int64), 0, rows - 1)
    return row, column


def _put_data(cells: PlaneCells, scene: Scene) -> None:
    """Mark each cell that has data with its most frequent class."""
    rows, columns = cells.codes.shape
    row, column = _find_cells(scene.data, columns, rows)
    counts = np.zeros((len(MARKS), rows, columns), np.int64)
    np.add.at(counts, (scene.classes % len(MARKS), row, column), 1)
    filled = counts.any(axis=0)
    label = counts.argmax(axis=0)
    cells.codes[filled] = np.array([ord(mark) for mark in MARKS], np.uint32)[label[filled]]
    cells.looks[filled] = LOOKS.index("data-1") + label[filled]


def _mark_dots(places: Floats, across: int, down: int) -> NDArray[np.bool_]:
    dots = np.zeros((down, across), bool)
    inside = ((places > 0) & (places < 1)).all(axis=1)  # points outside are left out
    dots[_find_cells(places[inside], across, down)] = True
    return dots


def _put_dots(cells: PlaneCells, dots: NDArray[np.bool_], look: str) -> None:
    """Put braille characters in the cells that have dots."""
    bits = pack_dots(dots).astype(np.uint32)
    filled = bits > 0
    cells.codes[filled] = BLANK + bits[filled]
    cells.looks[filled] = LOOKS.index(look)


def _put_arrows(cells: PlaneCells, arrows: Floats, signs_of: str, look: str) -> None:
    if not len(arrows):
        return
    rows, columns = cells.codes.shape
    vector = arrows[:, 1] - arrows[:, 0]
    row, column = _find_cells(arrows.mean(axis=1), columns, rows)
    octant = np.round(np.arctan2(vector[:, 1], vector[:, 0]) / (np.pi / 4)).astype(np.int64) % 8
    signs = np.array([ord(sign) for sign in signs_of], np.uint32)[octant]
    signs[np.hypot(vector[:, 0], vector[:, 1]) < _MIN_ARROW] = ord("·")
    cells.codes[row, column] = signs
    cells.looks[row, column] = LOOKS.index(look)


# --- The plane as an image --------------------------------------------------------------------

Pixels = NDArray[np.uint8]

SIDE = 360  # pixels
GROUND = np.array((13, 17, 23), float)
SURFACE = np.array((47, 84, 140), float)  # at its highest point
CLASSES = np.array(((47, 84, 140), (140, 84, 30), (40, 120, 70), (120, 60, 130)), float)
DATA = ((139, 148, 158), (210, 153, 34), (86, 211, 100), (210, 168, 255))
SAMPLES = (121, 192, 255)
LINE = (240, 246, 252)
ARROW, MEAN = (255, 166, 87), (86, 211, 100)


def draw_image(scene: Scene, caption: str = "", side: int = SIDE) -> Pixels:
    """Draw a scene as uint8 [side, side, 3]: data as crosses coloured by class, samples as dots."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(_draw_ground(scene, side))
    pen = ImageDraw.Draw(image)
    for (x, y), label in zip(_place_pixels(scene.data, side), scene.classes.tolist(), strict=True):
        colour = DATA[label % len(DATA)]
        pen.line((x - 2, y, x + 2, y), fill=colour)
        pen.line((x, y - 2, x, y + 2), fill=colour)
    for x, y in _place_pixels(scene.samples, side):
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=SAMPLES)
    for arrows, colour, width in ((scene.means, MEAN, 3), (scene.arrows, ARROW, 1)):
        for (x, y), (to_x, to_y) in zip(*(_place_pixels(arrows[:, i], side) for i in (0, 1)),
                                        strict=True):  # fmt: skip
            pen.line((x, y, to_x, to_y), fill=colour, width=width)
            pen.ellipse((to_x - 1.5, to_y - 1.5, to_x + 1.5, to_y + 1.5), fill=colour)
    if caption:
        pen.text((6, side - 16), caption, fill=LINE)
    return np.asarray(image)


def _draw_ground(scene: Scene, side: int) -> Pixels:
    if scene.chances is not None:
        label, confidence = find_likeliest(scene.chances, side, side)
        shaded = GROUND + confidence[..., None] * (CLASSES[label % len(CLASSES)] - GROUND)
        shaded[find_boundary(scene.chances, side, side)] = LINE
    elif scene.surface is not None:
        share = interpolate(scene.surface, side, side)
        shaded = GROUND + share[..., None] * (SURFACE - GROUND)
    else:
        shaded = np.broadcast_to(GROUND, (side, side, 3))
    return shaded.round().astype(np.uint8)


def _place_pixels(places: Floats, side: int) -> list[tuple[float, float]]:
    """Return the pixels of positions [N, 2] in an image."""
    return [(x * side, (1 - y) * side) for x, y in places.tolist()]
