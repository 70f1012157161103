"""What a series may hold that no line can show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from genui.render.axis import nice_step


class Fault(IntFlag):
    """What a column holds that has no place on the axis of values."""

    NAN = 1
    ABOVE = 2  # +∞
    BELOW = 4  # -∞
    NOT_POSITIVE = 8  # zero or less, on a logarithmic axis


# --- Which x and values a chart spans, chosen to keep still while its series grow -------------
# Every move of an edge redraws the whole chart, so edges stand at round numbers and move in
# leaps: a chart of a living run then costs its newest columns only.

_LEAP = 0.1  # of the steps so far: how far the end moves once it is passed
_PARTS = 10  # of the values: the edges are rounded to one
_SLACK = 0.6  # of the window that the values must fill, or it closes on them again
_LEAST = 1e-300  # a distance that can be divided by what a plot divides by
_ALIKE = 1e-9  # of their size: values closer than that are drawn as one

GREATEST = 8e307
"""Values beyond it are drawn as if they were it: the distance of two such is still a number."""

View = tuple[float, float]


class Points(Protocol):
    """x, ascending, and their values, of one length."""

    @property
    def steps(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Window:
    """From x `start` to `end` and from value `low` to `high`: log₁₀ of it where `log_y`.

    `following` where it was chosen to hold everything rather than asked for.
    """

    start: float
    end: float
    low: float
    high: float
    log_y: bool = False
    log_x: bool = False
    following: bool = True


def window(
    series: Sequence[Points],
    log_y: bool,
    before: Window | None = None,
    *,
    log_x: bool = False,
    view: View | None = None,
) -> Window:
    """The window for `series`, of which each has a point; `before` is kept where it still fits.

    `view` is the stretch of x to show, by itself or where it is none all there is. With `log_x`
    it begins above zero; where no x is, the axis is linear all the same.
    """
    if view is not None and not -math.inf < view[0] < view[1] < math.inf:
        view = None
    full = extent(series, log_x)
    log_x = log_x and full[0] > 0
    if before is not None and (
        (before.log_y, before.log_x, before.following) != (log_y, log_x, view is None)
        or (view is None and before.start != full[0])
    ):
        before = None
    if view is None:
        start, end = full[0], _leap(full, before)
    else:
        start, end = view
        if log_x and start <= 0:
            start = min(full[0], end / 10) if end > 0 else full[0]
    if not end > start:
        end = start + (abs(start) or 1.0)
    low, high = _range(series, log_y, None if view is None else (start, end))
    if before is not None and _still_fits(low, high, before):
        low, high = before.low, before.high
    else:
        low, high = _rounded(low, high)
    return Window(start, end, low, high, log_y, log_x, view is None)


def _still_fits(low: float, high: float, before: Window) -> bool:
    inside = before.low <= low and high <= before.high
    return inside and high - low >= _SLACK * (before.high - before.low)


def extent(series: Sequence[Points], positive: bool = False) -> View:
    """The first and last x of all; the first above zero where `positive` and there is one."""
    start = min(float(one.steps[0]) for one in series)
    end = max(float(one.steps[-1]) for one in series)
    if positive and start <= 0 < end:
        above = (one.steps[int(np.searchsorted(one.steps, 0, side="right")) :] for one in series)
        start = min(float(steps[0]) for steps in above if len(steps))
    return start, end


def _leap(full: View, before: Window | None) -> float:
    """The right edge: where it was while the points still reach into its last few per cent."""
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


def _rounded(low: float, high: float) -> tuple[float, float]:
    step = nice_step(high - low, _PARTS)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _range(series: Sequence[Points], log_y: bool, view: View | None) -> tuple[float, float]:
    """The least and greatest value in sight that has a place, a little apart where they are one."""
    lows, highs = zip(*(_value_range(_seen(one, view), log_y) for one in series), strict=True)
    low, high = min(lows), max(highs)
    if low > high:
        return 0.0, 1.0
    if log_y:
        low, high = math.log10(low), math.log10(high)
    if high - low <= max(_ALIKE * max(abs(low), abs(high)), _LEAST):
        margin = abs(low) * 0.05
        margin = margin if margin > _LEAST else 1.0
        return low - margin, high + margin
    return low, high


def _seen(one: Points, view: View | None) -> np.ndarray:
    """Its values in `view`, or those beside it, between which the line runs, where none is."""
    if view is None:
        return one.values
    first = int(np.searchsorted(one.steps, view[0], side="left"))
    last = int(np.searchsorted(one.steps, view[1], side="right"))
    return one.values[first:last] if last > first else one.values[max(first - 1, 0) : last + 1]


def _value_range(values: np.ndarray, positive: bool) -> tuple[float, float]:
    """The least and greatest value that has a place on the axis; +∞ and -∞ where none has."""
    if not len(values):
        return math.inf, -math.inf
    low, high = float(np.min(values)), float(np.max(values))
    if not (math.isfinite(low) and math.isfinite(high)) or (positive and low <= 0):
        fit = values[np.isfinite(values) & (values > (0 if positive else -np.inf))]
        if not len(fit):
            return math.inf, -math.inf
        low, high = float(fit.min()), float(fit.max())
    if positive:
        return low, high
    return min(max(low, -GREATEST), GREATEST), max(min(high, GREATEST), -GREATEST)


# --- The minimum and maximum of a long series in each column of a plot ------------------------
# All points count, so a spike of one step is drawn however long the series. 100,000 points
# take a fraction of a millisecond, so nothing is kept between redraws.


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


# --- The time-weighted exponential moving average, as Weights & Biases documents it -----------
# The weight of the past decays with the distance along x, not with the number of points, so
# that series of other densities are smoothed alike, and the start has no bias towards zero
# (https://docs.wandb.ai/models/app/features/panels/line-plot/smoothing):
#
#     weight = min(sqrt(smoothing), 0.999)
#     decay = weight ** (Δx / range · 1000)
#     average = (average · decay + y) / (debias · decay + 1)
#
# The range of a living run grows with each point, and with it every average would change. Here
# it is rounded up to one of `_RUNGS` values per doubling: between two of them a growing series
# costs only its new points, and the past on the screen stands still. Given that range the
# result is the formula's own up to rounding; the smoothing reaches as far as W&B's, or up to
# 2^(1/4), 19 %, further.
#
# Of more than `_MOST_BLOCKS` points, blocks of 2, 4, 8 … are replaced by their mean, at their end
# and with the weight of all. A block is a 65,536th of the points at most, where the formula counts
# in thousandths of the range; it bounds the time and the memory that a million points take.

Floats = NDArray[np.float64]

_SCALE = 1000.0  # W&B's VIEWPORT_SCALE: parts of the range that `weight` is counted in
_MOST = 0.999
_RUNGS = 4
_MOST_BLOCKS = 131_072
# Places of the past that are looked at to tell a grown series from another one.
_CHECKS = 64


@dataclass(frozen=True)
class _Past:
    """What an average goes on from: its last x, itself and the weight of all before."""

    x: float = math.nan
    average: float = math.nan
    debias: float = 0.0


def settled(span: float) -> float:
    """The range of x that is smoothed with: the next of four a doubling, `span` at least."""
    if not 0 < span < math.inf:
        return 1.0
    rung = math.ceil(_RUNGS * math.log2(span) - 1e-9)
    return 2.0 ** min(rung / _RUNGS, 1023.0)


class Smoother:
    """Keeps the averages of what it has seen, so a growing series costs only its new points."""

    def __init__(self, smoothing: float) -> None:
        """`smoothing` from 0 (none) to 1 is W&B's slider."""
        self.smoothing = smoothing
        self._weight = min(math.sqrt(max(smoothing, 0.0)), _MOST)
        self._restart(1.0, 1)

    def _restart(self, span: float, block: int) -> None:
        self._span, self._block = span, block
        self._known = 0  # points taken into whole blocks
        self._ends: Floats = np.empty(0)  # the last x of each block, with room to grow
        self._averages: Floats = np.empty(0)  # after each block
        self._past = _Past()
        self._checked = np.empty(0, dtype=np.int64)  # places in the past …
        self._expected: Floats = np.empty((2, 0))  # … and the x and the value that stood there

    def extend(self, x: np.ndarray, values: Floats, span: float) -> tuple[Floats, Floats]:
        """The averages of the whole series `x`, `values`, both [N], as (x, averages).

        `x` ascends and is finite; `span` is the range of x that the smoothing is relative to,
        used as `settled` has it. A NaN or an infinity keeps the average as it was; before the
        first finite value it is NaN. There is an average for each point, or for each block of
        a long series. One whose past differs from that seen before, or another settled range,
        is averaged anew.
        """
        span, block = settled(span), _block_of(len(values))
        if (span, block) != (self._span, self._block) or not self._has_grown(x, values):
            self._restart(span, block)
        whole = len(values) - len(values) % block
        if whole > self._known:
            self._take(x[:whole], values[:whole])
        blocks = whole // block
        ends, averages = self._ends[:blocks], self._averages[:blocks]
        if whole == len(values):
            return ends, averages
        # The points of a block that is not whole yet, each by itself and not for good.
        last = np.asarray(x[whole:], np.float64)
        newest, _ = self._average(last, values[whole:], np.ones(len(last)))
        return np.append(ends, last), np.append(averages, newest)

    def _has_grown(self, x: np.ndarray, values: Floats) -> bool:
        if len(values) < self._known:
            return False
        seen = np.array([x[self._checked], values[self._checked]], np.float64)
        return np.array_equal(seen, self._expected, equal_nan=True)

    def _take(self, x: np.ndarray, values: Floats) -> None:
        """Adds whole blocks: those after the ones known."""
        first, last = self._known // self._block, len(values) // self._block
        if last > len(self._averages):
            self._ends = _grown(self._ends, first, 2 * last)
            self._averages = _grown(self._averages, first, 2 * last)
        means, counts = _block_means(values[self._known :], self._block)
        self._ends[first:last] = x[self._known :][self._block - 1 :: self._block]
        averages, self._past = self._average(self._ends[first:last], means, counts)
        self._averages[first:last] = averages
        self._known = len(values)
        self._checked = np.linspace(0, self._known - 1, _CHECKS).astype(np.int64)
        self._expected = np.array([x[self._checked], values[self._checked]], np.float64)

    def _average(self, x: Floats, values: Floats, counts: Floats) -> tuple[Floats, _Past]:
        """The averages after each value, which stands for `counts` points, and the new past."""
        finite = np.isfinite(values)
        if finite.all():
            return self._average_finite(x, values, counts)
        kept, past = self._average_finite(x[finite], values[finite], counts[finite])
        return np.append(self._past.average, kept)[np.cumsum(finite)], past

    def _average_finite(self, x: Floats, values: Floats, counts: Floats) -> tuple[Floats, _Past]:
        past = self._past
        if not len(x):
            return np.empty(0), past
        begun = math.isfinite(past.x)
        steps = np.diff(x, prepend=past.x if begun else x[0]) * (_SCALE / self._span)
        with np.errstate(under="ignore"):
            if self._weight > 0:
                decay = np.exp(math.log(self._weight) * steps)
            else:
                decay = np.where(steps > 0, 0.0, 1.0)
            debias = _recurrence(decay, counts, past.debias)
            # Written as a step towards each value, sums cannot overflow whatever the values.
            share = counts / debias
            averages = _recurrence(1 - share, share * values, past.average if begun else 0.0)
        return averages, _Past(float(x[-1]), float(averages[-1]), float(debias[-1]))


def _block_of(points: int) -> int:
    """How many points are averaged before all else: a power of two."""
    return 1 << max(math.ceil(math.log2(points / _MOST_BLOCKS)), 0) if points else 1


def _block_means(values: Floats, block: int) -> tuple[Floats, Floats]:
    """The mean of the finite values of each block and how many they are; NaN where none is."""
    if block == 1:
        return values, np.ones(len(values))
    blocks = values.reshape(-1, block)
    finite = np.isfinite(blocks)
    counts = finite.sum(axis=1).astype(np.float64)
    shares = np.where(finite, blocks, 0.0) / np.maximum(counts, 1.0)[:, None]
    return np.where(counts > 0, shares.sum(axis=1), np.nan), counts


def _grown(array: Floats, length: int, room: int) -> Floats:
    larger = np.empty(room)
    larger[:length] = array[:length]
    return larger


def _recurrence(factors: Floats, terms: Floats, start: float) -> Floats:
    """s[i] = factors[i] · s[i-1] + terms[i] from `start`, in about 2·√N steps of numpy.

    The series is cut into rows, all of which take their k-th step at once from zero; the end
    of each row is then carried into the next one. Nothing is divided, so tiny factors are safe.
    """
    count = len(terms)
    length = max(math.isqrt(count), 1)
    rows = -(-count // length)
    padding = (0, rows * length - count)
    # One column a row, so that the elements of a step lie side by side.
    factor = np.ascontiguousarray(np.pad(factors, padding).reshape(rows, length).T)
    state = np.ascontiguousarray(np.pad(terms, padding).reshape(rows, length).T)
    scaled = np.empty(rows)
    for k in range(1, length):
        np.multiply(state[k - 1], factor[k], out=scaled)
        state[k] += scaled
    # How much of what came before a row is left in it.
    reach = np.cumprod(factor, axis=0, out=factor)
    carried, carry = np.empty(rows), start
    for row, (kept, own) in enumerate(zip(reach[-1].tolist(), state[-1].tolist(), strict=True)):
        carried[row] = carry
        carry = kept * carry + own
    reach *= carried
    state += reach
    return state.T.reshape(-1)[:count]


# --- A named series as a chart is given it ----------------------------------------------------

Kind = Literal["line", "smoothed", "marks"]

_FARTHEST = 1e300  # an x beyond it is no measure of anything, and distances would overflow


@dataclass(frozen=True)
class Trace:
    """A named series. `smoothed`, as (x, averages), is drawn over the faint raw values."""

    name: str
    steps: np.ndarray  # x in any unit: float64 or int64 [N], ascending, finite
    values: np.ndarray  # float64 [N]
    kind: Kind = "line"
    smoothed: tuple[np.ndarray, np.ndarray] | None = None  # float64 [M] each, x ascending


def in_order(name: str, x: np.ndarray, values: np.ndarray, kind: Kind) -> Trace:
    """A trace of points in any order, [N] each: sorted by x, without those whose x
    is no number.

    Of points at one x the order stays as it was. Arrays that are in order are not copied.
    """
    values = np.asarray(values, np.float64)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        finite = np.isfinite(x)
        x, values = x[finite], values[finite]
    if (x[1:] < x[:-1]).any():  # a resumed run may write steps again
        order = x.argsort(kind="stable")
        x, values = x[order], values[order]
    if len(x) and max(-float(x[0]), float(x[-1])) > _FARTHEST:
        near = np.abs(x) <= _FARTHEST
        x, values = x[near], values[near]
    return Trace(name, x, values, kind)


def drawn_lines(traces: Sequence[Trace]) -> list[Trace]:
    """Everything that needs room on a chart: the values of all that have some, and averages.

    An average lags behind, so a view may show it where no value is.
    """
    shown = [trace for trace in traces if len(trace.steps)]
    averages = [Trace(trace.name, *trace.smoothed) for trace in shown if trace.smoothed is not None]
    return shown + averages


def faults_in_sight(traces: Sequence[Trace], window: Window) -> Fault:
    """What has no place on the axis of values, of all that `window` shows."""
    faults = Fault(0)
    for trace in traces:
        first, last = np.searchsorted(trace.steps, [window.start, window.end])
        faults |= faults_in(trace.values[first : last + 1], window.log_y)
    return faults


# --- Zooming and panning along x: a view is the stretch of x in sight, None everything --------
# A view never leaves the data, and one that holds all of it is None, so that it follows what is
# still to come.

_NARROWEST = 1e-9  # of the extent, and of the size of x: what a float can still tell apart


def zoomed(
    view: View | None, extent: View, factor: float, at: float, *, log_x: bool = False
) -> View | None:
    """The view `factor` times as wide in which `at` keeps its place; above 1 it shows more.

    `extent` is the first and last x there is, above zero with `log_x`.
    """
    start, end = _on_axis(view or extent, log_x)
    least, most = _on_axis(extent, log_x)
    place = min(max(_on_axis((at, at), log_x)[0], start), end)
    narrowest = max((most - least) * _NARROWEST, abs(place) * _NARROWEST)
    width = max((end - start) * factor, narrowest)
    share = (place - start) / (end - start) if end > start else 0.5
    return _fitted(place - share * width, width, extent, log_x)


def panned(view: View | None, extent: View, shares: float, *, log_x: bool = False) -> View | None:
    """The view moved by so many of its own widths, to later x where that is above zero."""
    if view is None:
        return None
    start, end = _on_axis(view, log_x)
    return _fitted(start + shares * (end - start), end - start, extent, log_x)


def _fitted(start: float, width: float, extent: View, log_x: bool) -> View | None:
    """From `start`, `width` wide, on the axis, moved to where there is data; as x."""
    least, most = _on_axis(extent, log_x)
    if not math.isfinite(width) or width >= (most - least) * (1 - 1e-12):
        return None
    start = min(max(start, least), most - width)
    end = start + width
    if log_x:
        start, end = 10.0**start, 10.0**end
    start, end = max(start, extent[0]), min(end, extent[1])
    return (start, end) if end > start else None


def _on_axis(view: View, log_x: bool) -> View:
    return (math.log10(view[0]), math.log10(view[1])) if log_x and view[0] > 0 else view


# --- The point of a series at a place on its axis ---------------------------------------------


def nearest(steps: np.ndarray, values: np.ndarray, x: float) -> tuple[float, float] | None:
    """(x, value) of the point nearest to `x`, the later of two at one distance; None without any.

    `steps` ascend, float64 or int64 [N]; of several at one x the last written counts.
    """
    if not len(steps) or math.isnan(x):
        return None
    after = min(int(np.searchsorted(steps, x, side="left")), len(steps) - 1)
    before = max(after - 1, 0)
    near = after if steps[after] - x <= x - steps[before] else before
    last = int(np.searchsorted(steps, steps[near], side="right")) - 1
    return float(steps[last]), float(values[last])
