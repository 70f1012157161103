"""The Lab's plane in cells: points, samples, surfaces and arrows, told apart without colour.

Data have a mark a class, samples are dots, two by four to a cell, arrows point one of eight
ways, and a boundary is a line of dots. What is under them is a shade.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.render.braille import BLANK, DOTS_ACROSS, DOTS_DOWN, bits_of
from genui.render.scene import Floats, Scene, boundary, likeliest, looked_up

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
        _ground(scene, columns, rows),
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


def _ground(scene: Scene, columns: int, rows: int) -> NDArray[np.int16]:
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
