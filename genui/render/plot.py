"""A chart of several series as lines of text, each part with the look it wants."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.cells import cell_len

from genui.render.axis import Tick, log_ticks, ticks
from genui.render.braille import DOTS_ACROSS, DOTS_DOWN, Canvas, joined
from genui.render.envelope import Columns, envelope
from genui.render.numbers import count
from genui.render.sanitise import clean_line
from genui.render.window import Window, window

Kind = Literal["line", "smoothed", "marks"]

SERIES_LOOKS = 4
"""Series have the looks `series-1` … `series-4`, then these again; raw ones `raw-1` …"""

_MARKS = "◆▲●■"
_FAULT = "✗"
_RULE = "━"
_LEAST_LEGEND = 7  # rows of a chart that has room for one
_LEAST_AXIS = 4
_LEAST_COLS = 4
_ROWS_A_TICK, _COLS_A_TICK = 2, 11

Part = tuple[str, str]


@dataclass(frozen=True)
class Trace:
    """A named series. `smoothed` is drawn over the faint raw values where it is given."""

    name: str
    steps: np.ndarray  # float64 or int64 [N], ascending
    values: np.ndarray  # float64 [N]
    kind: Kind = "line"
    smoothed: np.ndarray | None = None  # float64 [N]


@dataclass(frozen=True)
class Chart:
    """`lines` of (text, look); `caption` says what one column stands for."""

    lines: list[list[Part]]
    caption: str


@dataclass(frozen=True)
class _Layer:
    columns: Columns
    look: str
    faint: bool = False


@dataclass(frozen=True)
class _Frame:
    """Where the plot proper is, and what its edges stand for."""

    cols: int
    rows: int
    start: float
    end: float
    low: float
    high: float

    def col(self, step: float) -> int:
        share = (step - self.start) / (self.end - self.start)
        return min(int(share * self.cols), self.cols - 1)

    def row(self, value: float) -> int:
        share = (self.high - value) / (self.high - self.low)
        return min(max(round(share * (self.rows * DOTS_DOWN - 1)) // DOTS_DOWN, 0), self.rows - 1)


def mark_of(index: int, kind: Kind) -> str:
    """The sign of series number `index`; the first plain line needs none."""
    if kind == "marks":
        return _MARKS[max(index - 1, 0) % len(_MARKS)]
    return _MARKS[(index - 1) % len(_MARKS)] if index else ""


def legend(traces: Sequence[Trace]) -> list[Part]:
    """Each series by name, with its sign."""
    parts: list[Part] = []
    for index, trace in enumerate(traces):
        if parts:
            parts.append(("  ", "label"))
        sign = mark_of(index, trace.kind) or _RULE
        parts.append((f"{sign} {clean_line(trace.name)}", _look(index)))
        if trace.smoothed is not None:
            parts += [(" ", "label"), ("⠒", f"raw-{index % SERIES_LOOKS + 1}"), (" raw", "label")]
    if any(not math.isfinite(np.sum(trace.values)) for trace in traces):
        parts += [("  ", "label"), (f"{_FAULT} not finite", "fault")]
    return parts


def _look(index: int) -> str:
    return f"series-{index % SERIES_LOOKS + 1}"


def chart(
    traces: Sequence[Trace],
    width: int,
    height: int,
    *,
    log_y: bool = False,
    cursor: float | None = None,
    with_legend: bool = True,
    within: Window | None = None,
) -> Chart | None:
    """The chart in `width` × `height` cells; None where there is no point or no room for one.

    `within` is what it spans: of the same axis as `log_y`; by itself, all that there is.
    """
    traces = [trace for trace in traces if len(trace.steps)]
    if not traces:
        return None
    legend_rows = 1 if with_legend and height >= _LEAST_LEGEND else 0
    axis_rows = 2 if height >= _LEAST_AXIS else 0
    rows = height - legend_rows - axis_rows
    if rows < 1 or width < _LEAST_COLS:
        return None
    span = within or window(traces, log_y)
    start, end, low, high = span.start, span.end, span.low, span.high
    value_ticks = (log_ticks if log_y else ticks)(low, high, max(rows // _ROWS_A_TICK, 1))
    label_width = max(cell_len(tick.label) for tick in value_ticks)
    cols = width - label_width - 2
    if cols < _LEAST_COLS:
        return None
    layers = _layers(traces, start, end, cols * DOTS_ACROSS, log_y)
    frame = _Frame(cols, rows, start, end, low, high)

    canvas = Canvas(cols, rows)
    for number, layer in enumerate(layers):
        top, bottom = joined(layer.columns, (low, high), rows * DOTS_DOWN)
        canvas.spans(top, bottom, number, faint=layer.faint)
    looks = [layer.look for layer in layers]
    _put_marks(canvas, frame, traces, looks, log_y)
    _put_faults(canvas, layers, looks)
    if cursor is not None and start <= cursor <= end:
        looks.append("cursor")
        for row in range(rows):
            canvas.put(row, frame.col(cursor), "│", len(looks) - 1)

    lines: list[list[Part]] = []
    if legend_rows:
        lines.append(_cut([(" " * (label_width + 2), "label"), *legend(traces)], width))
    labels = {frame.row(tick.position): tick.label for tick in value_ticks}
    for row, parts in enumerate(canvas.lines()):
        label = labels.get(row, "")
        axis = f"{label:>{label_width}} "
        rule = "┤" if label else "│"
        drawn = [(text, looks[layer] if layer >= 0 else "label") for text, layer in parts]
        lines.append([(axis, "label"), (rule, "axis"), *drawn])
    if axis_rows:
        lines += _step_axis(frame, label_width)
    return Chart(lines, _caption((end - start) / cols))


def _layers(
    traces: Sequence[Trace], start: float, end: float, columns: int, log_y: bool
) -> list[_Layer]:
    """Faint layers first, so that lines lie over them; the first series lies under the others."""
    faint, strong = [], []
    for index, trace in enumerate(traces):
        values = trace.values
        if trace.smoothed is not None:
            raw = envelope(trace.steps, values, start, end, columns)
            faint.append(_Layer(_scaled(raw, log_y), f"raw-{index % SERIES_LOOKS + 1}", True))
            values = trace.smoothed
        drawn = envelope(trace.steps, values, start, end, columns)
        strong.append(_Layer(_scaled(drawn, log_y), _look(index)))
    return faint + strong


def _scaled(columns: Columns, log_y: bool) -> Columns:
    """On a log axis, log₁₀; what is not above zero has no place there and counts as broken."""
    if not log_y:
        return columns
    with np.errstate(divide="ignore", invalid="ignore"):
        high = np.where(columns.high > 0, np.log10(columns.high), np.nan)
        low = np.where(columns.low > 0, np.log10(columns.low), high)
    return Columns(low, high, columns.broken | (columns.low <= 0))


def _put_marks(
    canvas: Canvas, frame: _Frame, traces: Sequence[Trace], looks: list[str], log_y: bool
) -> None:
    """Signs on the lines that have one: at every point of a few, else at equal distances."""
    for index, trace in enumerate(traces):
        sign = mark_of(index, trace.kind)
        if not sign:
            continue
        values = trace.values if trace.smoothed is None else trace.smoothed
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(values) if log_y else np.asarray(values, dtype=np.float64)
        finite = np.flatnonzero(np.isfinite(values))
        most = max(frame.cols // (3 if trace.kind == "marks" else 12), 2)
        if len(finite) > most:
            targets = np.linspace(trace.steps[finite[0]], trace.steps[finite[-1]], most)
            nearest = np.searchsorted(trace.steps[finite], targets)
            finite = finite[np.unique(np.minimum(nearest, len(finite) - 1))]
        looks.append(_look(index))
        for point in finite.tolist():
            row, col = frame.row(values[point]), frame.col(trace.steps[point])
            canvas.put(row, col, sign, len(looks) - 1)


def _put_faults(canvas: Canvas, layers: Sequence[_Layer], looks: list[str]) -> None:
    broken = np.logical_or.reduce([layer.columns.broken for layer in layers])
    cells = np.flatnonzero(broken.reshape(-1, DOTS_ACROSS).any(axis=1))
    if len(cells):
        looks.append("fault")
        for col in cells.tolist():
            canvas.put(canvas.rows - 1, col, _FAULT, len(looks) - 1)


def _step_axis(frame: _Frame, label_width: int) -> list[list[Part]]:
    rule, labels = ["─"] * frame.cols, [" "] * (frame.cols + 1)
    free = 0
    for tick in ticks(frame.start, frame.end, max(frame.cols // _COLS_A_TICK, 1)):
        col = frame.col(tick.position)
        begin = _label_start(tick, col, frame.cols)
        if begin < free:
            continue
        rule[col] = "┬"
        labels[begin : begin + len(tick.label)] = tick.label
        free = begin + len(tick.label) + 2
    margin = " " * (label_width + 1)
    return [
        [(f"{margin}└", "axis"), ("".join(rule), "axis")],
        [(f"{margin} ", "label"), ("".join(labels)[: frame.cols], "label")],
    ]


def _label_start(tick: Tick, col: int, cols: int) -> int:
    return max(min(col - len(tick.label) // 2, cols - len(tick.label)), 0)


def _cut(parts: list[Part], width: int) -> list[Part]:
    """As many whole parts as fit."""
    kept: list[Part] = []
    used = 0
    for text, look in parts:
        used += cell_len(text)
        if used > width:
            break
        kept.append((text, look))
    return kept


def _caption(steps: float) -> str:
    number = count(steps) if steps >= 9.5 else f"{steps:.2g}"
    return f"1 column = {number} step{'' if number == '1' else 's'}, min–max"
