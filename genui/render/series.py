"""Series for charts: window, envelope, moving average, sorting, zoom and the nearest point.

A series has x, ascending, and values, both [N]; values may be NaN or infinite.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.render.axis import choose_step


class Fault(IntFlag):
    """Values that cannot be drawn."""

    NAN = 1
    ABOVE = 2  # +∞
    BELOW = 4  # -∞
    NOT_POSITIVE = 8  # zero or less, on a logarithmic axis


Kind = Literal["line", "smoothed", "marks"]


class Look(NamedTuple):
    """How a series differs from others: one hue and sign for a run, dashes for held-out data.

    `over` is a metric drawn over another: it gets a value axis of its own, on the right, if their
    values differ much.
    """

    hue: int
    dashed: bool = False
    over: bool = False


@dataclass(frozen=True)
class ChartLine:
    """A named series. `smoothed` is (x, averages), drawn over the faint raw values."""

    name: str
    steps: np.ndarray  # x in any unit: float64 or int64 [N], ascending, finite
    values: np.ndarray  # float64 [N]
    kind: Kind = "line"
    smoothed: tuple[np.ndarray, np.ndarray] | None = None  # float64 [M] each, x ascending
    look: Look | None = None  # by default a hue for each series, in order


# --- The window: the range of x and values that a chart shows ---------------------------------
# When an edge moves, the whole chart changes. So edges are round numbers that move in steps, and
# while a run grows only the newest columns change.

_LEAP = 0.1  # the share of the extent by which the right edge moves past a new point
_PARTS = 10  # edges are rounded to about a tenth of the range of values
_MIN_FILL = 0.6  # the window is kept while the values fill at least this share
_MIN_RANGE = 1e-300  # the smallest range that can be divided safely
_EQUAL = 1e-9  # values with a smaller relative difference are drawn as equal

GREATEST = 8e307
"""Values are clipped to ± GREATEST, so that their differences do not overflow."""

VisibleRange = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """The range of x, `start` to `end`, and of values, `low` to `high`; with `log_y` their log₁₀.

    `following`: it shows all points and grows with them.
    """

    start: float
    end: float
    low: float
    high: float
    log_y: bool = False
    log_x: bool = False
    following: bool = True


def choose_window(
    series: Sequence[ChartLine],
    log_y: bool,
    before: Window | None = None,
    *,
    log_x: bool = False,
    view: VisibleRange | None = None,
) -> Window:
    """Choose the window for `series`, each with at least one point; keep `before` if it still fits.

    `view` is the range of x to show, by default all. With `log_x` it begins above zero; if no x is
    above zero the axis is linear.
    """
    if view is not None and not -math.inf < view[0] < view[1] < math.inf:
        view = None
    full = measure_extent(series, log_x)
    log_x = log_x and full[0] > 0
    if before is not None and (
        (before.log_y, before.log_x, before.following) != (log_y, log_x, view is None)
        or (view is None and before.start != full[0])
    ):
        before = None
    if view is None:
        start, end = full[0], _choose_end(full, before)
    else:
        start, end = view
        if log_x and start <= 0:
            start = min(full[0], end / 10) if end > 0 else full[0]
    if not end > start:
        end = start + (abs(start) or 1.0)
    low, high = _measure_range(series, log_y, None if view is None else (start, end))
    if before is not None and _still_fits(low, high, before):
        low, high = before.low, before.high
    else:
        low, high = _round_edges(low, high)
    return Window(start, end, low, high, log_y, log_x, view is None)


def _still_fits(low: float, high: float, before: Window) -> bool:
    inside = before.low <= low and high <= before.high
    return inside and high - low >= _MIN_FILL * (before.high - before.low)


def measure_extent(series: Sequence[ChartLine], positive: bool = False) -> VisibleRange:
    """Return the first and last x of all series; with `positive` the first above zero, if any."""
    start = min(float(one.steps[0]) for one in series)
    end = max(float(one.steps[-1]) for one in series)
    if positive and start <= 0 < end:
        above = (one.steps[int(np.searchsorted(one.steps, 0, side="right")) :] for one in series)
        start = min(float(steps[0]) for steps in above if len(steps))
    return start, end


def _choose_end(full: VisibleRange, before: Window | None) -> float:
    """Choose the right edge: the previous one while the points reach near it."""
    start, end = full
    if end == start:
        return start + 1
    if before is None:
        return end
    if end > before.end:
        return end + (end - start) * _LEAP
    if (end - start) * (1 + 2 * _LEAP) >= before.end - start:
        return before.end
    return end


def _round_edges(low: float, high: float) -> tuple[float, float]:
    step = choose_step(high - low, _PARTS)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _measure_range(
    series: Sequence[ChartLine], log_y: bool, view: VisibleRange | None
) -> tuple[float, float]:
    """Return the range of the visible values that can be drawn, widened if all are equal."""
    ranges = [_measure_values(_select_visible(one, view), log_y) for one in series]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low > high:
        return 0.0, 1.0
    if log_y:
        low, high = math.log10(low), math.log10(high)
    if high - low <= max(_EQUAL * max(abs(low), abs(high)), _MIN_RANGE):
        margin = abs(low) * 0.05
        margin = margin if margin > _MIN_RANGE else 1.0
        return low - margin, high + margin
    return low, high


def _select_visible(one: ChartLine, view: VisibleRange | None) -> np.ndarray:
    """Return the values in `view`; if it has none, the points on both sides."""
    if view is None:
        return one.values
    first = int(np.searchsorted(one.steps, view[0], side="left"))
    last = int(np.searchsorted(one.steps, view[1], side="right"))
    return one.values[first:last] if last > first else one.values[max(first - 1, 0) : last + 1]


def _measure_values(values: np.ndarray, positive: bool) -> tuple[float, float]:
    """Return the least and greatest value that can be drawn; +∞ and -∞ if there is none."""
    if not len(values):
        return math.inf, -math.inf
    low, high = float(np.min(values)), float(np.max(values))
    if not (math.isfinite(low) and math.isfinite(high)) or (positive and low <= 0):
        valid = values[np.isfinite(values) & (values > (0 if positive else -np.inf))]
        if not len(valid):
            return math.inf, -math.inf
        low, high = float(valid.min()), float(valid.max())
    if positive:
        return low, high
    return min(max(low, -GREATEST), GREATEST), max(min(high, GREATEST), -GREATEST)


# --- The envelope: minimum and maximum in each column -----------------------------------------
# Every point counts, so a spike of one step is visible in a series of any length. 100,000 points
# take a fraction of a millisecond, so nothing is cached.


@dataclass(frozen=True)
class Columns:
    """An envelope, column by column; `low` and `high` are NaN in columns without a value to draw.

    `before` and `after` are the nearest points outside the plot, to which the line continues, as
    (position in columns, value); NaN if there is none.
    """

    low: np.ndarray  # float64 [columns]
    high: np.ndarray  # float64 [columns]
    faults: np.ndarray  # uint8 [columns]: Fault
    most: int = 0  # the largest number of points in a column
    before: tuple[float, float] = (np.nan, np.nan)
    after: tuple[float, float] = (np.nan, np.nan)

    @property
    def broken(self) -> np.ndarray:
        """Which columns have a value that cannot be drawn: bool [columns]."""
        return self.faults != 0


def compute_edges(start: float, end: float, columns: int, log_x: bool = False) -> np.ndarray:
    """Compute the edges of columns, float64 [columns + 1]; with `log_x`, `start` is above 0."""
    if not log_x:
        return np.linspace(start, end, columns + 1)
    edges = np.geomspace(start, end, columns + 1)
    edges[0], edges[-1] = start, end
    return edges


def compute_envelope(
    steps: np.ndarray,
    values: np.ndarray,
    start: float,
    end: float,
    columns: int,
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> Columns:
    """Compute the envelope from x `start` to `end` inclusive, in equal columns.

    `steps` is float64 or int64 [N], ascending; `values`, float64 [N], may hold NaN and infinities,
    which only mark their column as faulty. With `log_x` columns are equal in log₁₀ of x; with
    `log_y` the envelope is of log₁₀ of the values, and values of 0 or less are faults too.
    """
    edges = compute_edges(start, end, columns, log_x)
    bounds = np.searchsorted(steps, edges, side="left")
    bounds[-1] = np.searchsorted(steps, end, side="right")
    low, high, faults = _compute_extremes(values, bounds, log_y)
    if log_y:
        # All are above zero or NaN, so numpy does not warn.
        low, high = np.log10(low), np.log10(high)
    outside = []
    for index in (int(bounds[0]) - 1, int(bounds[-1])):
        known = 0 <= index < len(steps)
        outside.append(
            _place_outside(float(steps[index]), float(values[index]), edges, log_x, log_y)
            if known
            else (np.nan, np.nan)
        )
    return Columns(low, high, faults, int(np.diff(bounds).max()), outside[0], outside[1])


def detect_faults(values: np.ndarray, log_y: bool = False) -> Fault:
    """Return the faults among `values`, float64 [N]."""
    faults = Fault(0)
    if np.isnan(values).any():
        faults |= Fault.NAN
    if (values == np.inf).any():
        faults |= Fault.ABOVE
    if (values == -np.inf).any():
        faults |= Fault.BELOW
    if log_y and ((values <= 0) & (values > -np.inf)).any():
        faults |= Fault.NOT_POSITIVE
    return faults


def _compute_extremes(
    values: np.ndarray, bounds: np.ndarray, positive: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the range of drawable values, and the faults, between neighbouring `bounds`."""
    columns = len(bounds) - 1
    first, last = bounds[:-1], bounds[1:]
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    faults = np.zeros(columns, dtype=np.uint8)
    some = np.flatnonzero(last > first)
    if len(some):
        # Without the empty columns, each column ends where the next begins, as `reduceat` needs.
        # The slice is a view: a copy would cost more than the reduction.
        inside, starts = values[: bounds[-1]], first[some]
        with np.errstate(invalid="ignore"):
            low[some] = np.minimum.reduceat(inside, starts)
            high[some] = np.maximum.reduceat(inside, starts)
        # A column with NaN, -∞ or +∞ has it as its minimum or maximum.
        suspect = ~(np.isfinite(low[some]) & np.isfinite(high[some]))
        if positive:
            suspect |= low[some] <= 0
        for column in some[suspect].tolist():
            part = values[first[column] : last[column]]
            drawable = np.isfinite(part)
            if positive:
                drawable &= part > 0
            valid = part[drawable]
            low[column], high[column] = (
                (valid.min(), valid.max()) if len(valid) else (np.nan, np.nan)
            )
            faults[column] = detect_faults(part, positive)
    return low, high, faults


def _place_outside(
    x: float, value: float, edges: np.ndarray, log_x: bool, log_y: bool
) -> tuple[float, float]:
    """Return a point outside the window, its x in columns; NaN if it cannot be drawn."""
    if not np.isfinite(value) or (log_y and value <= 0) or (log_x and x <= 0):
        return np.nan, np.nan
    start, end = float(edges[0]), float(edges[-1])
    if log_x:
        x, start, end = (float(np.log10(one)) for one in (x, start, end))
    at = (x - start) / (end - start) * (len(edges) - 1) - 0.5
    return at, float(np.log10(value)) if log_y else value


# --- The time-weighted exponential moving average of Weights & Biases -------------------------
# The weight of earlier values decays with the distance in x, not with the number of points, so
# that dense and sparse series are smoothed equally, and the start is not biased towards zero
# (https://docs.wandb.ai/models/app/features/panels/line-plot/smoothing):
#
#     weight = min(sqrt(smoothing), 0.999)
#     decay = weight ** (Δx / range · 1000)
#     average = (average · decay + y) / (debias · decay + 1)
#
# The range of a growing run changes with each point, which would change every average. So it is
# rounded up to one of `_RUNGS` values per doubling: between two of these, older averages stay. For
# the rounded range, which is W&B's or up to 2^(1/4) = 19 % wider, the result equals the formula up
# to rounding errors.
#
# In series of more than `_MAX_BLOCKS` points, blocks of 2, 4, 8 … points are replaced by their
# mean, at the x of the last and with the weight of all, to bound time and memory. A block is at
# most 1/8,192 of the points, while the formula has a resolution of 1/1000 of the range.

Floats = NDArray[np.float64]

_SCALE = 1000.0  # W&B's VIEWPORT_SCALE: `weight` is the decay over 1/1000 of the range
_MAX_WEIGHT = 0.999
_RUNGS = 4
_MAX_BLOCKS = 16_384


def round_span(span: float) -> float:
    """Round `span` up to the next of `_RUNGS` values per doubling."""
    if not 0 < span < math.inf:
        return 1.0
    rung = math.ceil(_RUNGS * math.log2(span) - 1e-9)
    return 2.0 ** min(rung / _RUNGS, 1023.0)


def smooth(x: np.ndarray, values: Floats, smoothing: float, span: float) -> tuple[Floats, Floats]:
    """Return (x, averages) of the series `x`, `values`, both [N]; `smoothing`, from 0 (none) to 1,
    is the value of W&B's slider.

    `x` is ascending and finite; `span` is the range of x that the smoothing is relative to, before
    `round_span`. A NaN or an infinity leaves the average unchanged; before the first finite value
    it is NaN. There is an average for each point, or for each block of a long series.
    """
    block = _choose_block(len(values))
    whole = len(values) - len(values) % block
    means, counts = _average_blocks(values[:whole], block)
    # After the blocks the points of the last, incomplete one.
    x = np.append(x[:whole][block - 1 :: block], x[whole:]).astype(np.float64)
    means = np.append(means, values[whole:])
    counts = np.append(counts, np.ones(len(values) - whole))
    finite = np.isfinite(means)
    averages = _average(x[finite], means[finite], counts[finite], smoothing, round_span(span))
    return x, np.append(np.nan, averages)[np.cumsum(finite)]


def _average(x: Floats, values: Floats, counts: Floats, smoothing: float, span: float) -> Floats:
    """Compute the average after each value, which is finite and stands for `counts` points."""
    weight = min(math.sqrt(max(smoothing, 0.0)), _MAX_WEIGHT)
    steps = np.diff(x, prepend=x[:1]) * (_SCALE / span)
    with np.errstate(under="ignore"):
        decay = np.exp(math.log(weight) * steps) if weight > 0 else np.where(steps > 0, 0.0, 1.0)
        debias = _solve_recurrence(decay, counts)
        # In this form, a step towards each value, the sum cannot overflow.
        share = counts / debias
        return _solve_recurrence(1 - share, share * values)


def _choose_block(points: int) -> int:
    """Return the number of points in a block, a power of two."""
    return 1 << max(math.ceil(math.log2(points / _MAX_BLOCKS)), 0) if points else 1


def _average_blocks(values: Floats, block: int) -> tuple[Floats, Floats]:
    """Return the mean and number of the finite values of each block; the mean is NaN if none."""
    if block == 1:
        return values, np.ones(len(values))
    blocks = values.reshape(-1, block)
    finite = np.isfinite(blocks)
    counts = finite.sum(axis=1).astype(np.float64)
    shares = np.where(finite, blocks, 0.0) / np.maximum(counts, 1.0)[:, None]
    return np.where(counts > 0, shares.sum(axis=1), np.nan), counts


def _solve_recurrence(factors: Floats, terms: Floats) -> Floats:
    """Compute s[i] = factors[i] · s[i-1] + terms[i] from 0, in about 2·√N steps of numpy.

    The series is cut into rows; the k-th step of all rows is taken at once, from 0. Then the end
    of each row is carried into the next. There is no division, so tiny factors are safe.
    """
    count = len(terms)
    length = max(math.isqrt(count), 1)
    rows = -(-count // length)
    padding = (0, rows * length - count)
    # The rows are transposed, so that the elements of a step are contiguous.
    factor = np.ascontiguousarray(np.pad(factors, padding).reshape(rows, length).T)
    state = np.ascontiguousarray(np.pad(terms, padding).reshape(rows, length).T)
    scaled = np.empty(rows)
    for k in range(1, length):
        np.multiply(state[k - 1], factor[k], out=scaled)
        state[k] += scaled
    # The share of the carried value that remains at each element.
    reach = np.cumprod(factor, axis=0, out=factor)
    carried, carry = np.empty(rows), 0.0
    for row, (decay, own) in enumerate(zip(reach[-1].tolist(), state[-1].tolist(), strict=True)):
        carried[row] = carry
        carry = decay * carry + own
    reach *= carried
    state += reach
    return state.T.reshape(-1)[:count]


# --- Points in order, and lines ---------------------------------------------------------------

_MAX_X = 1e300  # points beyond it are left out: distances would overflow


_MIN_SHARE = 0.25  # of the values of both axes that each has to fill for one axis to do


def needs_two_axes(left: Window, right: Window) -> bool:
    """Return whether one axis would show either of these ranges of values as almost flat."""
    whole = max(left.high, right.high) - min(left.low, right.low)
    return min(left.high - left.low, right.high - right.low) < _MIN_SHARE * whole


def move_to_axis(trace: ChartLine, its: Window, other: Window) -> ChartLine:
    """Return a trace with values at the same places on the axis `other` as on its own axis."""
    factor = (other.high - other.low) / (its.high - its.low)

    def move(values: np.ndarray) -> np.ndarray:
        if not its.log_y:
            return other.low + (values - its.low) * factor
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = 10 ** (other.low + (np.log10(values) - its.low) * factor)
        return np.where(values > 0, moved, values)

    smoothed = trace.smoothed and (trace.smoothed[0], move(trace.smoothed[1]))
    return replace(trace, values=move(trace.values), smoothed=smoothed)


def find_only_value(series: Sequence[ChartLine]) -> float | None:
    """Return the value of all points, if it is the same and finite."""
    values = {float(one.values[0]) for one in series}
    only = values.pop()
    if values or not math.isfinite(only) or any((one.values != only).any() for one in series):
        return None
    return only


def sort_points(name: str, x: np.ndarray, values: np.ndarray, kind: Kind) -> ChartLine:
    """Return a trace of points in any order, [N] each, sorted by x; x that is not finite is left
    out.

    The sort is stable. Arrays that are already sorted are not copied.
    """
    values = np.asarray(values, np.float64)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        finite = np.isfinite(x)
        x, values = x[finite], values[finite]
    if (x[1:] < x[:-1]).any():  # a resumed run may log steps again
        order = x.argsort(kind="stable")
        x, values = x[order], values[order]
    if len(x) and max(-float(x[0]), float(x[-1])) > _MAX_X:
        near = np.abs(x) <= _MAX_X
        x, values = x[near], values[near]
    return ChartLine(name, x, values, kind)


def list_lines(traces: Sequence[ChartLine]) -> list[ChartLine]:
    """Return all lines of a chart: the non-empty traces, and their averages as traces.

    An average lags behind, so a view may contain a part of it but no value.
    """
    lines = [trace for trace in traces if len(trace.steps)]
    averages = [
        ChartLine(trace.name, *trace.smoothed) for trace in lines if trace.smoothed is not None
    ]
    return lines + averages


# --- Zoom and pan along x ---------------------------------------------------------------------
# A view is the visible range of x, always within the data. A view of all the data is None, so
# that it grows with the series.

_MIN_WIDTH = 1e-9  # relative to the extent and to x, because of the precision of floats


def zoom(
    view: VisibleRange | None,
    extent: VisibleRange,
    factor: float,
    at: float,
    *,
    log_x: bool = False,
) -> VisibleRange | None:
    """Return the view `factor` times as wide, with x `at` at the same position.

    `extent` is the first and last x, above zero with `log_x`.
    """
    start, end = _to_axis(view or extent, log_x)
    least, most = _to_axis(extent, log_x)
    place = min(max(_to_axis((at, at), log_x)[0], start), end)
    narrowest = max((most - least) * _MIN_WIDTH, abs(place) * _MIN_WIDTH)
    width = max((end - start) * factor, narrowest)
    share = (place - start) / (end - start) if end > start else 0.5
    return _fit_view(place - share * width, width, extent, log_x)


def pan(
    view: VisibleRange | None, extent: VisibleRange, shares: float, *, log_x: bool = False
) -> VisibleRange | None:
    """Return the view moved by `shares` of its width, to greater x if positive."""
    if view is None:
        return None
    start, end = _to_axis(view, log_x)
    return _fit_view(start + shares * (end - start), end - start, extent, log_x)


def _fit_view(start: float, width: float, extent: VisibleRange, log_x: bool) -> VisibleRange | None:
    """Return the view, in x, from `start` of `width` in axis units, moved into the extent."""
    least, most = _to_axis(extent, log_x)
    if not math.isfinite(width) or width >= (most - least) * (1 - 1e-12):
        return None
    start = min(max(start, least), most - width)
    end = start + width
    if log_x:
        start, end = 10.0**start, 10.0**end
    start, end = max(start, extent[0]), min(end, extent[1])
    return (start, end) if end > start else None


def _to_axis(view: VisibleRange, log_x: bool) -> VisibleRange:
    return (math.log10(view[0]), math.log10(view[1])) if log_x and view[0] > 0 else view


# --- The point nearest to an x ----------------------------------------------------------------


def find_nearest(steps: np.ndarray, values: np.ndarray, x: float) -> tuple[float, float] | None:
    """Return (x, value) of the point nearest to `x`, the later of two equally near; None if empty.

    `steps` is float64 or int64 [N], ascending; of several points at one x, the last one counts.
    """
    if not len(steps) or math.isnan(x):
        return None
    after = min(int(np.searchsorted(steps, x, side="left")), len(steps) - 1)
    before = max(after - 1, 0)
    near = after if steps[after] - x <= x - steps[before] else before
    last = int(np.searchsorted(steps, steps[near], side="right")) - 1
    return float(steps[last]), float(values[last])
