"""Charts of many runs at once: a scatter of two columns, and parallel coordinates of several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genui.base import numbers
from genui.base.text import shorten_middle
from genui.render.canvas import BLANK, DOTS_ACROSS, DOTS_DOWN, merge_runs, pack_dots

Value = float | str | None
Kind = Literal["dim", "shown", "best", "here", "axis", "label"]
Part = tuple[str, Kind]

MOST_LINES = 40  # for runs that do not stand out: more fill the chart

POINT = "◆"  # the run at the cursor
_LOG_FROM = 50  # the ratio of values from which an axis is logarithmic
_MARGIN = 9  # cells of the labels at the left
_GAP = 1e-12


@dataclass(frozen=True)
class Scale:
    """Maps the values of a column to 0–1; texts are evenly spaced, in order."""

    low: str  # labels
    high: str
    places: np.ndarray  # float64 [runs]; NaN for a run without a value
    log: bool = False

    @property
    def known(self) -> np.ndarray:
        """Which runs have a value: bool [runs]."""
        return np.isfinite(self.places)


def scale(values: Sequence[Value]) -> Scale:
    """The scale of a column; logarithmic if its values are positive and far apart."""
    if any(isinstance(value, str) for value in values):
        texts = ["" if value is None else str(value) for value in values]
        order = sorted({text for text in texts if text})
        at = {text: n / max(len(order) - 1, 1) for n, text in enumerate(order)}
        places = np.array([at.get(text, np.nan) for text in texts], np.float64)
        return Scale(order[0], order[-1], places)
    array = np.array([np.nan if value is None else value for value in values], np.float64)
    finite = array[np.isfinite(array)]
    if not len(finite):
        return Scale("", "", np.full(len(array), np.nan))
    low, high = float(finite.min()), float(finite.max())
    log = low > 0 and high / low >= _LOG_FROM
    labels = _label(low), _label(high)
    with np.errstate(all="ignore"):
        if log:
            array, low, high = np.log10(array), math.log10(low), math.log10(high)
        half = low / 2 + high / 2
        width = high / 2 - low / 2  # halves: the difference of two huge values would overflow
        places = (
            (array / 2 - half / 2) / width + 0.5 if width > _GAP * abs(half) else array * 0 + 0.5
        )
    return Scale(*labels, np.where(np.isfinite(array), np.clip(places, 0, 1), np.nan), log)


def _label(value: float) -> str:
    short = f"{value:.3g}"
    return short if float(short) == value else numbers.value(value)


class _Dots:
    """A grid of braille dots in layers; a cell shows the dots of its last layer alone."""

    def __init__(self, cols: int, rows: int) -> None:
        self.cols, self.rows = cols, rows
        self.across, self.down = cols * DOTS_ACROSS, rows * DOTS_DOWN
        self._codes = np.zeros((rows, cols), np.uint8)
        self._kinds: list[Kind] = []  # of the layers
        self._layers = np.full((rows, cols), -1, int)
        self._signs: dict[tuple[int, int], tuple[str, Kind]] = {}

    def add(self, points: Sequence[tuple[np.ndarray, np.ndarray]], kind: Kind) -> None:
        """Set the dots at x and y, 0–1 each, y upwards; float64 [N]."""
        dots = np.zeros((self.down, self.across), bool)
        for x, y in points:
            column = np.round(x * (self.across - 1)).astype(int)
            row = np.round((1 - y) * (self.down - 1)).astype(int)
            dots[row, column] = True
        codes = pack_dots(dots)
        self._codes = np.where(codes, codes, self._codes)
        self._layers[codes != 0] = len(self._kinds)
        self._kinds.append(kind)

    def put(self, x: float, y: float, sign: str, kind: Kind) -> None:
        """Put a sign in the cell at x and y, 0–1 each."""
        row = round((1 - y) * (self.down - 1)) // DOTS_DOWN
        self._signs[row, round(x * (self.across - 1)) // DOTS_ACROSS] = sign, kind

    def rule(self, x: float) -> None:
        """Draw a vertical line at x, 0–1, behind the dots."""
        column = round(x * (self.across - 1)) // DOTS_ACROSS
        for row in np.flatnonzero(self._codes[:, column] == 0).tolist():
            self._signs[row, column] = "│", "axis"

    def lines(self) -> list[list[Part]]:
        lines: list[list[Part]] = []
        for row in range(self.rows):
            cells: list[Part] = []
            for column in range(self.cols):
                layer, code = self._layers[row, column], int(self._codes[row, column])
                dots = (chr(BLANK + code), self._kinds[layer]) if code else (" ", "label")
                cells.append(self._signs.get((row, column), dots))
            lines.append(merge_runs(cells))
        return lines


def draw_scatter(
    x: Scale,
    y: Scale,
    names: tuple[str, str],
    width: int,
    height: int,
    *,
    shown: Sequence[int] = (),
    here: int | None = None,
) -> list[list[Part]]:
    """Draw a dot for each run at its values of two columns, in `width` × `height` cells.

    `shown` and `here` are indices of runs that stand out: those that are overlaid, and the one at
    the cursor. `names` are the names of the columns.
    """
    cols, rows = width - _MARGIN - 1, height - 2
    if cols < 8 or rows < 2:
        return [[("no room for a chart", "label")]]
    known = x.known & y.known
    if not known.any():
        return [[(f"no run has both {names[0]} and {names[1]}", "label")]]
    dots = _Dots(cols, rows)
    dots.add([(x.places[known], y.places[known])], "dim")
    for index in shown:
        if known[index]:
            dots.put(float(x.places[index]), float(y.places[index]), "●", "shown")
    if here is not None and known[here]:
        dots.put(float(x.places[here]), float(y.places[here]), POINT, "here")
    ends = {0: y.high, rows - 1: y.low}
    head: list[Part] = [(f"{names[1]}{' (log)' if y.log else ''}", "label")]
    lines = [
        [(f"{ends.get(row, '')[: _MARGIN - 1]:>{_MARGIN - 1}} ", "label"), ("│", "axis"), *parts]
        for row, parts in enumerate(dots.lines())
    ]
    name = f"{names[0]}{' (log)' if x.log else ''}"
    middle = max(cols - len(x.low) - len(x.high), 0)
    foot = f"{'':{_MARGIN}}└{x.low}{shorten_middle(name, max(middle - 2, 0)):^{middle}}{x.high}"
    return [head, *lines, [(foot, "label")]]


def draw_parallel(
    scales: Sequence[Scale],
    names: Sequence[str],
    width: int,
    height: int,
    *,
    best: Sequence[int] = (),
    here: int | None = None,
) -> list[list[Part]]:
    """Draw an axis for each column and a line through them for each run, in `width` × `height`.

    If there are many runs, MOST_LINES of them, evenly spaced, and those that stand out are drawn:
    `best` and `here`, by their indices. A run without a value on an axis has a gap there.
    """
    rows = height - 3
    if len(scales) < 2 or rows < 2 or width < 12 * len(scales):
        return [[("parallel coordinates need two columns or more, and room for them", "label")]]
    dots = _Dots(width, rows)
    last = len(scales) - 1
    count = len(scales[0].places)
    some = np.unique(np.linspace(0, count - 1, min(count, MOST_LINES)).astype(int))
    groups: list[tuple[np.ndarray, Kind]] = [(some, "dim")]
    groups.append((np.array(list(best), int), "best"))
    groups.append((np.array([] if here is None else [here], int), "here"))
    # Three points for each dot column, so that steep lines have few gaps.
    along = np.linspace(0, 1, max(3 * dots.across // last, 2))
    for runs, kind in groups:
        points: list[tuple[np.ndarray, np.ndarray]] = []
        for at in range(last):
            start, end = scales[at].places[runs], scales[at + 1].places[runs]
            known = np.isfinite(start) & np.isfinite(end)
            y = start[known, None] * (1 - along) + end[known, None] * along
            points.append((np.broadcast_to((at + along) / last, y.shape).ravel(), y.ravel()))
        dots.add(points, kind)
    for at in range(len(scales)):
        dots.rule(at / last)
    heads = [
        f"{name}{' (log)' if one.log else ''}" for name, one in zip(names, scales, strict=True)
    ]
    return [
        _spread(heads, width),
        _spread([one.high for one in scales], width),
        *dots.lines(),
        _spread([one.low for one in scales], width),
    ]


def _spread(texts: Sequence[str], width: int) -> list[Part]:
    """Texts under axes that are evenly spaced over the width."""
    line = [" "] * width
    room = max(width // len(texts) - 1, 1)
    for at, text in enumerate(texts):
        text = shorten_middle(text, room)
        centre = round(at / (len(texts) - 1) * (width - 1))
        start = min(max(centre - len(text) // 2, 0), width - len(text))
        line[start : start + len(text)] = text
    return [("".join(line)[:width], "label")]
