"""A user's own points: as a CSV file, as a prompt, and their position in the Lab's plane.

A Lab training on a user's points has them as its prompt, in CSV, so every saved file has them in
a readable form.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from genui.base.errors import MisuseError
from genui.base.files import read_regular
from genui.kinds.lab.messages import EDGE

MAX_POINTS = 5000
MAX_CLASSES = 4
MAX_BYTES = 4 * 1024 * 1024
LEAST_POINTS = 2
_SMALLEST = 0.1  # the least extent of points that are not rescaled
_FURTHEST = 1e9  # a larger coordinate is an error: all other points would coincide
_HEAD = ("x,y", "x,y,class")


class Point(NamedTuple):
    """A position and its class: 0, 1, …"""

    x: float
    y: float
    label: int = 0


class Fit(NamedTuple):
    """The position of points in the plane: (point - centre) / scale."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0

    def place(self, point: Point) -> Point:
        """A point of the data, in the plane."""
        return Point((point.x - self.x) / self.scale, (point.y - self.y) / self.scale, point.label)

    def to_data(self, x: float, y: float) -> tuple[float, float]:
        """A position in the plane, in the coordinates of the data."""
        return x * self.scale + self.x, y * self.scale + self.y


def fit_to_plane(points: Sequence[Point]) -> Fit:
    """The fit that brings points into the plane without distortion; none if they lie well in it."""
    across, up = ([point[i] for point in points] for i in (0, 1))
    side = max(max(across) - min(across), max(up) - min(up))
    if side >= _SMALLEST and max(map(abs, (*across, *up))) <= EDGE:
        return Fit()
    middle = ((max(across) + min(across)) / 2, (max(up) + min(up)) / 2)
    return Fit(*middle, side / 2 or 1.0)


# --- Points as a prompt -------------------------------------------------------------------------


def is_points(prompt: str) -> bool:
    """Whether the prompt has points and not the name of a data set."""
    return prompt.split("\n", 1)[0].strip() in _HEAD


def to_text(points: Iterable[Point]) -> str:
    """The points as a prompt: a CSV with six digits of each number."""
    rows = (f"{point.x:.6g},{point.y:.6g},{point.label}" for point in points)
    return "\n".join([_HEAD[1], *rows])


def from_text(text: str) -> list[Point]:
    """The points of a prompt. Raises MisuseError, one line, if it has none."""
    return _points(text, "the points")


# --- Points as a file ---------------------------------------------------------------------------


def read_csv(path: Path) -> list[Point]:
    """The points of a CSV: columns x and y, and an optional third with the class (up to four, with
    any names), separated by commas, semicolons or tabs. A header and lines that begin with # are
    skipped.

    Raises MisuseError, one line that names the file, if it cannot be read, has other columns,
    values that are not finite numbers, or fewer than two points or too many.
    """
    name = str(path)
    data = read_regular(path, MAX_BYTES, f"give a CSV of {_COUNT} points", MisuseError)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MisuseError(f"{name}: is not text; give lines of x,y or x,y,class") from None
    return _points(text, name)


_COUNT = f"{LEAST_POINTS} to {MAX_POINTS:,}"


def _points(text: str, name: str) -> list[Point]:
    """The points in a CSV. Raises MisuseError, which begins with `name`."""
    rows = _rows(text, name)
    if rows and not any(map(_is_number, rows[0][1][:2])):
        del rows[0]  # the header
    if len(rows) > MAX_POINTS:
        raise MisuseError(f"{name}: has {len(rows):,} points; give {_COUNT}")
    places = [(line, *_place(cells, line, name), cells[2:]) for line, cells in rows]
    labels = _labels([rest[0].strip() if rest else "" for *_, rest in places], name)
    points = [Point(x, y, label) for (_, x, y, _), label in zip(places, labels, strict=True)]
    if len(points) < LEAST_POINTS:
        count = "one point" if points else "no points"
        raise MisuseError(f"{name}: has {count}; give {LEAST_POINTS} or more, a line of x,y each")
    if len({point[:2] for point in points}) < 2:
        raise MisuseError(f"{name}: all its points are at one place; give two places or more")
    return points


def _rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """The rows that are neither empty nor comments, each with its line number."""
    lines = ["" if line.startswith("#") else line for line in text.splitlines()]
    first = next((line for line in lines if line.strip()), "")
    mark = next((sign for sign in "\t;," if sign in first), ",")
    try:
        reader = csv.reader(lines, delimiter=mark, strict=True)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        reason = str(error).rstrip(".")
        raise MisuseError(f"{name}: is not a CSV file ({reason}); give lines of x,y") from None


def _place(cells: Sequence[str], line: int, name: str) -> tuple[float, float]:
    fault = MisuseError(
        f"{name}, line {line}: {', '.join(cells)[:40]!r} is no point; give x,y or x,y,class, with "
        f"x and y up to {_FURTHEST:g}"
    )
    try:
        x, y = map(float, cells[:2])
    except ValueError:
        raise fault from None
    if len(cells) > 3 or not (abs(x) <= _FURTHEST and abs(y) <= _FURTHEST):  # nor NaN
        raise fault
    return x, y


def _labels(words: Sequence[str], name: str) -> list[int]:
    """The classes as numbers, in the order of their numbers or names."""
    kinds = sorted(set(words), key=lambda word: (not word.isdecimal(), word.zfill(20), word))
    if len(kinds) > MAX_CLASSES:
        raise MisuseError(f"{name}: has {len(kinds)} classes; give {MAX_CLASSES} at most")
    if kinds and all(word in map(str, range(MAX_CLASSES)) for word in kinds):
        return [int(word) for word in words]
    return [kinds.index(word) for word in words]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
