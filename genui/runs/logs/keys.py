"""Which column of somebody's log is the step, and which the time."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from genui.runs.logs.formats import STEP_KEYS
from genui.runs.series import Floats

TIME_KEYS = ("time", "timestamp", "_timestamp", "wall_time", "datetime", "date")

_BEYOND = 2**53  # the whole numbers a float64 tells apart
_EARLIEST = 1e8  # seconds; less is the time since something began, and no date
_LATEST = 1e20  # nanoseconds in the year 5138; more is no date
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # from this on: nano-, micro-, milliseconds


def step_key(record: Mapping[str, Any]) -> str | None:
    """The name of the step in a record like this, if it has one that counts in whole numbers."""
    return _first(record, STEP_KEYS, lambda cell: whole(cell) is not None)


def time_key(record: Mapping[str, Any]) -> str | None:
    """The name of the time of day in a record like this."""
    return _first(record, TIME_KEYS, lambda cell: not math.isnan(unix_time(cell)))


def whole(cell: object) -> int | None:
    """The step a cell stands for; text as a CSV file has it counts as well."""
    if type(cell) is int:
        return cell if 0 <= cell < 2**63 else None
    if isinstance(cell, str | float):
        try:
            figure = float(cell)
        except ValueError:
            return None
        if 0 <= figure < _BEYOND and figure == int(figure):
            return int(figure)
    return None


def unix_time(cell: object) -> float:
    """Seconds since 1970 from seconds, milli-, micro- or nanoseconds, or an ISO date; else NaN."""
    if isinstance(cell, bool) or cell is None:
        return math.nan
    try:
        figure = float(cell)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return math.nan
    except ValueError:
        return _iso(str(cell))
    return float(unix_times(np.array([figure]))[0])


def unix_times(figures: Floats) -> Floats:
    """The same for numbers; each by its size."""
    result = np.where((figures >= _EARLIEST) & (figures < _LATEST), figures, np.nan)
    for limit, divisor in _UNITS:
        result = np.where(result >= limit, result / divisor, result)
    return result


def times_of(cells: Sequence[object]) -> Floats:
    """The same for a column."""
    try:
        return unix_times(np.array(cells, np.float64))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return np.array([datetime.fromisoformat(str(cell)).timestamp() for cell in cells])
    except (ValueError, OverflowError, OSError):
        return np.array([unix_time(cell) for cell in cells], np.float64)


def _iso(text: str) -> float:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return math.nan


def _first(
    record: Mapping[str, Any], keys: Sequence[str], fits: Callable[[Any], bool]
) -> str | None:
    lower = {name.lower(): name for name in record}
    return next((lower[key] for key in keys if key in lower and fits(record[lower[key]])), None)
