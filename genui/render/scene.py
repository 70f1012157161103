"""What is drawn of the Lab's plane, as arrays: from bytes to places and grids."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

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
