"""The minimum and maximum of a long series in each column of a plot.

All points count, so a spike of one step is drawn however long the series. 100,000 points
take a fraction of a millisecond, so nothing is kept between redraws.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Columns:
    """One entry a column; `low` and `high` are NaN where a column has no finite value."""

    low: np.ndarray  # float64 [columns]
    high: np.ndarray  # float64 [columns]
    broken: np.ndarray  # bool [columns]: it holds a NaN or an infinity


def envelope(
    steps: np.ndarray, values: np.ndarray, start: float, end: float, columns: int
) -> Columns:
    """The envelope of steps from `start` to `end`, both included, in equal columns.

    `steps` ascend; `values` may hold NaN and infinities, which only mark their column.
    """
    edges = np.linspace(start, end, columns + 1)
    bounds = np.searchsorted(steps, edges, side="left")
    bounds[-1] = np.searchsorted(steps, end, side="right")
    first, last = bounds[:-1], bounds[1:]
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    broken = np.zeros(columns, dtype=bool)
    some = np.flatnonzero(last > first)
    if len(some):
        # Columns with points follow each other without gaps, as `reduceat` wants them. It
        # reads the values where they are: a copy of them costs more than the reading.
        seen, starts = values[: bounds[-1]], first[some]
        low[some] = np.fmin.reduceat(seen, starts)
        high[some] = np.fmax.reduceat(seen, starts)
        with np.errstate(invalid="ignore", over="ignore"):
            broken[some] = ~np.isfinite(np.add.reduceat(seen, starts))
        for column in np.flatnonzero(broken):
            inside = seen[first[column] : last[column]]
            finite = inside[np.isfinite(inside)]
            broken[column] = len(finite) < len(inside)
            low[column] = finite.min() if len(finite) else np.nan
            high[column] = finite.max() if len(finite) else np.nan
    return Columns(low, high, broken)
