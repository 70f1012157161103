"""Points of the user's own: as a CSV file, as a prompt, and where they lie in the Lab's plane.

A Lab training on one's own points has them as its prompt, in the form of a CSV: so they are in
whatever is saved of it, and a person can read them there.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from genui.errors import MisuseError
from genui.protocol import EDGE
from genui.runs.disk import read_regular

MOST_POINTS = 5000
MOST_CLASSES = 4
MOST_BYTES = 4 * 1024 * 1024
LEAST_POINTS = 2
_SMALLEST = 0.1  # the longer side of points that are left where they are
_FURTHEST = 1e9  # a coordinate beyond it is a slip, and its neighbours would be one dot
_HEAD = ("x,y", "x,y,class")


class Point(NamedTuple):
    """A place, and which class it is of: 0, 1, …"""

    x: float
    y: float
    label: int = 0


class Fit(NamedTuple):
    """Where points lie in the plane: (point - centre) / scale."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0

    def place(self, point: Point) -> Point:
        """The point in the plane."""
        return Point((point.x - self.x) / self.scale, (point.y - self.y) / self.scale, point.label)

    def back(self, x: float, y: float) -> tuple[float, float]:
        """A place in the plane, as the file has it."""
        return x * self.scale + self.x, y * self.scale + self.y


def fit(points: Sequence[Point]) -> Fit:
    """How points are brought into the plane, undistorted; those that lie well in it stay."""
    across, up = ([point[i] for point in points] for i in (0, 1))
    side = max(max(across) - min(across), max(up) - min(up))
    if side >= _SMALLEST and max(map(abs, (*across, *up))) <= EDGE:
        return Fit()
    middle = ((max(across) + min(across)) / 2, (max(up) + min(up)) / 2)
    return Fit(*middle, side / 2 or 1.0)


# --- as a prompt ----------------------------------------------------------------------


def is_points(prompt: str) -> bool:
    """Whether the prompt is points rather than the name of some."""
    return prompt.split("\n", 1)[0].strip() in _HEAD


def to_text(points: Iterable[Point]) -> str:
    """The points as a prompt, which is a CSV with six digits of each number."""
    rows = (f"{point.x:.6g},{point.y:.6g},{point.label}" for point in points)
    return "\n".join([_HEAD[1], *rows])


def from_text(text: str) -> list[Point]:
    """The points of a prompt. Raises MisuseError, one line, where they are none."""
    return _points(text, "the points")


# --- as a file ------------------------------------------------------------------------


def read_csv(path: Path) -> list[Point]:
    """The points of a CSV: two columns of numbers, x and y, and where there is a third, a class
    (up to four, by any names). A first line of names is skipped, and lines that begin with #;
    commas, semicolons or tabs stand between.

    Raises MisuseError, one line that names the file, where it cannot be read, has
    other columns, a text or a NaN for a number, fewer than two points or too many.
    """
    name = str(path)
    data = read_regular(path, MOST_BYTES, _FEWER, MisuseError)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MisuseError(f"{name}: is no text; give lines of x,y or x,y,class") from None
    return _points(text, name)


_FEWER = f"the Lab takes {LEAST_POINTS} to {MOST_POINTS:,} points; give fewer"


def _points(text: str, name: str) -> list[Point]:
    """The points in a CSV. Raises MisuseError, which begins with `name`."""
    rows = _rows(text, name)
    if rows and not any(map(_is_number, rows[0][1][:2])):
        del rows[0]  # the names of the columns
    if len(rows) > MOST_POINTS:
        raise MisuseError(f"{name}: has {len(rows):,} points; {_FEWER}")
    found = [(line, *_place(cells, line, name), cells[2:]) for line, cells in rows]
    labels = _labels([rest[0].strip() if rest else "" for *_, rest in found], name)
    points = [Point(x, y, label) for (_, x, y, _), label in zip(found, labels, strict=True)]
    if len(points) < LEAST_POINTS:
        count = "one point" if points else "no points"
        raise MisuseError(f"{name}: has {count}; give {LEAST_POINTS} or more, a line of x,y each")
    if len({point[:2] for point in points}) < 2:
        raise MisuseError(f"{name}: all its points are at one place; give two places or more")
    return points


def _rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """The rows that hold anything, each with its line number."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = next((sign for sign in "\t;," if sign in first), ",")
    try:
        reader = csv.reader(text.splitlines(), delimiter=mark, strict=True)
        rows = ((reader.line_num, row) for row in reader if any(cell.strip() for cell in row))
        return [(line, row) for line, row in rows if not row[0].startswith("#")]
    except csv.Error as error:
        reason = str(error).rstrip(".")
        raise MisuseError(f"{name}: is no CSV ({reason}); give lines of x,y") from None


def _place(cells: Sequence[str], line: int, name: str) -> tuple[float, float]:
    if not 2 <= len(cells) <= 3:
        count = "one column" if len(cells) == 1 else f"{len(cells)} columns"
        raise MisuseError(f"{name}, line {line}: has {count}; give two, x and y, or a class beside")
    for cell in cells[:2]:
        if not _is_number(cell):
            said = cell.strip()[:20]
            raise MisuseError(f"{name}, line {line}: {said!r} is no number; give x and y")
    x, y = float(cells[0]), float(cells[1])
    if not (math.isfinite(x) and math.isfinite(y)):
        raise MisuseError(f"{name}, line {line}: has {cells[0].strip()}, {cells[1].strip()}, "
                          "which is no place; leave the line out")  # fmt: skip
    if max(abs(x), abs(y)) > _FURTHEST:
        raise MisuseError(f"{name}, line {line}: lies beyond {_FURTHEST:g}; scale the points")
    return x, y


def _labels(words: Sequence[str], name: str) -> list[int]:
    """Numbers for the classes: in the order of their numbers, or of their names."""
    kinds = sorted(set(words), key=lambda word: (not word.isdecimal(), word.zfill(20), word))
    if len(kinds) > MOST_CLASSES:
        raise MisuseError(f"{name}: has {len(kinds)} classes; give {MOST_CLASSES} at most")
    if kinds and all(word in map(str, range(MOST_CLASSES)) for word in kinds):
        return [int(word) for word in words]
    return [kinds.index(word) for word in words]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
