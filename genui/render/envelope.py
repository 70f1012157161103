"""The minimum and maximum of a long series in each column of a plot.

All points count, so a spike of one step is drawn however long the series. 100,000 points
take a fraction of a millisecond, so nothing is kept between redraws.
"""

from dataclasses import dataclass

import numpy as np

from genui.render.fault import Fault


@dataclass(frozen=True)
class Columns:
    """One entry a column; `low` and `high` are NaN where a column has no value to draw.

    `before` and `after` are the nearest points outside, as (place in columns, value): where
    they are there, a line to them leaves the plot. NaN where there is none.
    """

    low: np.ndarray  # float64 [columns]
    high: np.ndarray  # float64 [columns]
    faults: np.ndarray  # uint8 [columns]: Fault
    most: int = 0  # points in one column
    before: tuple[float, float] = (np.nan, np.nan)
    after: tuple[float, float] = (np.nan, np.nan)

    @property
    def broken(self) -> np.ndarray:
        """bool [columns]: something in it has no place on the axis."""
        return self.faults != 0


def edges_of(start: float, end: float, columns: int, log_x: bool = False) -> np.ndarray:
    """Where columns begin and the last one ends, float64 [columns + 1]; `start` > 0 in logs."""
    if not log_x:
        return np.linspace(start, end, columns + 1)
    edges = np.geomspace(start, end, columns + 1)
    edges[0], edges[-1] = start, end
    return edges


def envelope(
    steps: np.ndarray,
    values: np.ndarray,
    start: float,
    end: float,
    columns: int,
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> Columns:
    """The envelope of x from `start` to `end`, both included, in equal columns.

    `steps` ascend, float64 or int64 [N]; `values`, float64 [N], may hold NaN and infinities,
    which only mark their column. With `log_x` columns are equal in log₁₀ of x; with `log_y`
    the envelope is of log₁₀ of the values, and what is not above zero marks its column too.
    """
    edges = edges_of(start, end, columns, log_x)
    bounds = np.searchsorted(steps, edges, side="left")
    bounds[-1] = np.searchsorted(steps, end, side="right")
    low, high, faults = _extremes(values, bounds, log_y)
    if log_y:
        # Each is above zero or NaN, so this is silent.
        low, high = np.log10(low), np.log10(high)
    outside = []
    for index in (int(bounds[0]) - 1, int(bounds[-1])):
        known = 0 <= index < len(steps)
        outside.append(
            _outside(float(steps[index]), float(values[index]), edges, log_x, log_y)
            if known
            else (np.nan, np.nan)
        )
    return Columns(low, high, faults, int(np.diff(bounds).max()), outside[0], outside[1])


def faults_in(values: np.ndarray, log_y: bool = False) -> Fault:
    """All the faults of a series, float64 [N]."""
    if not len(values):
        return Fault(0)
    low, high = float(np.min(values)), float(np.max(values))
    if np.isfinite(low) and np.isfinite(high):
        return Fault.NOT_POSITIVE if log_y and low <= 0 else Fault(0)
    return _faults(values, log_y)


def _faults(values: np.ndarray, log_y: bool) -> Fault:
    found = Fault(0)
    if np.isnan(values).any():
        found |= Fault.NAN
    if (values == np.inf).any():
        found |= Fault.ABOVE
    if (values == -np.inf).any():
        found |= Fault.BELOW
    if log_y and ((values <= 0) & (values > -np.inf)).any():
        found |= Fault.NOT_POSITIVE
    return found


def _extremes(
    values: np.ndarray, bounds: np.ndarray, positive: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least and greatest value that has a place, and the faults, from each bound to the next."""
    columns = len(bounds) - 1
    first, last = bounds[:-1], bounds[1:]
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    faults = np.zeros(columns, dtype=np.uint8)
    some = np.flatnonzero(last > first)
    if len(some):
        # Columns with points follow each other without gaps, as `reduceat` wants them. It
        # reads the values where they are: a copy of them costs more than the reading.
        seen, starts = values[: bounds[-1]], first[some]
        with np.errstate(invalid="ignore"):
            low[some] = np.minimum.reduceat(seen, starts)
            high[some] = np.maximum.reduceat(seen, starts)
        # NaN wins either; -∞ is the least and +∞ the greatest there is.
        suspect = ~(np.isfinite(low[some]) & np.isfinite(high[some]))
        if positive:
            suspect |= low[some] <= 0
        for column in some[suspect].tolist():
            inside = seen[first[column] : last[column]]
            fits = np.isfinite(inside)
            if positive:
                fits &= inside > 0
            fit = inside[fits]
            low[column], high[column] = (fit.min(), fit.max()) if len(fit) else (np.nan, np.nan)
            if len(fit) < len(inside):
                faults[column] = _faults(inside[~fits], positive)
    return low, high, faults


def _outside(
    x: float, value: float, edges: np.ndarray, log_x: bool, log_y: bool
) -> tuple[float, float]:
    """A point that is not in sight, in columns; NaN where it has no place on the axes."""
    if not np.isfinite(value) or (log_y and value <= 0) or (log_x and x <= 0):
        return np.nan, np.nan
    start, end = float(edges[0]), float(edges[-1])
    if log_x:
        x, start, end = (float(np.log10(one)) for one in (x, start, end))
    at = (x - start) / (end - start) * (len(edges) - 1) - 0.5
    return at, float(np.log10(value)) if log_y else value
