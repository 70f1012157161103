"""A chart of several series as lines of text, each part with the look it wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
from rich.cells import cell_len

from genui.render.axis import Tick, log_ticks, ticks
from genui.render.braille import DOTS_ACROSS, DOTS_DOWN, Canvas, joined
from genui.render.envelope import Columns, envelope
from genui.render.fault import Fault
from genui.render.frame import Frame
from genui.render.series import Trace
from genui.render.series_looks import (
    FAULT_SIGNS,
    REWRITTEN,
    Part,
    legend,
    look_of,
    marks,
    raw_look_of,
    sign_of,
)
from genui.render.units import amount, place, x_ticks
from genui.render.window import Window, window

_LEAST_LEGEND = 7  # rows of a chart that has room for one
_LEAST_AXIS = 4
_LEAST_COLS = 4
_ROWS_A_TICK, _COLS_A_TICK = 2, 10
_COLS_A_SIGN, _COLS_A_POINT = 12, 3
_SIGN_SHIFT = 5  # columns from one series' signs to the next one's, so that they rarely meet


@dataclass(frozen=True)
class Chart:
    """`lines` of (text, look); `caption` says what one column stands for.

    It also says what marks mean, where there is no legend to do that.
    """

    lines: list[list[Part]]
    caption: str
    frame: Frame


@dataclass(frozen=True)
class _Layer:
    """One envelope on its way to the canvas; `top` and `bottom` are its dot rows."""

    columns: Columns
    look: str
    top: np.ndarray  # float64 [cols * 2]
    bottom: np.ndarray
    faint: bool = False


def chart(
    traces: Sequence[Trace],
    width: int,
    height: int,
    *,
    log_y: bool = False,
    cursor: float | None = None,
    with_legend: bool = True,
    within: Window | None = None,
    unit: str = "step",
    overlaps: Sequence[tuple[float, float]] = (),
    readings: Mapping[str, float] | None = None,
) -> Chart | None:
    """The chart in `width` × `height` cells; None where there is no point or no room for one.

    `within` is what it spans and says which axes are logarithmic; by itself, all that there
    is. `overlaps` are stretches of x, from and to, that were written again; `readings` are
    values for the legend to tell.
    """
    with_points = [trace for trace in traces if len(trace.steps)]
    if not with_points:
        return None
    legend_rows = 1 if with_legend and height >= _LEAST_LEGEND else 0
    axis_rows = 2 if height >= _LEAST_AXIS else 0
    rows = height - legend_rows - axis_rows
    if rows < 1 or width < _LEAST_COLS:
        return None
    span = within or window(with_points, log_y)
    value_ticks = (log_ticks if span.log_y else ticks)(
        span.low, span.high, max(rows // _ROWS_A_TICK, 1)
    )
    label_width = max(cell_len(tick.label) for tick in value_ticks)
    cols = width - label_width - 2
    if cols < _LEAST_COLS:
        return None
    frame = Frame(label_width + 2, legend_rows, cols, rows, span)

    layers = _layers(traces, frame)
    canvas = Canvas(cols, rows)
    for number, layer in enumerate(layers):
        canvas.spans(layer.top, layer.bottom, number, faint=layer.faint)
    looks = [layer.look for layer in layers]
    _put_signs(canvas, frame, traces, [layer for layer in layers if not layer.faint], looks)
    faults = np.bitwise_or.reduce([layer.columns.faults for layer in layers])
    _put_faults(canvas, faults, looks)
    seen = Fault(int(np.bitwise_or.reduce(faults)))
    if cursor is not None and span.start <= cursor <= span.end:
        looks.append("cursor")
        canvas.rule(frame.col(cursor), "│", len(looks) - 1)

    lines: list[list[Part]] = []
    if legend_rows:
        room = width - frame.left
        parts = legend(traces, seen, rewritten=bool(overlaps), readings=readings, width=room)
        if cursor is not None and readings is not None:
            parts = _led(parts, place(cursor, unit), room)
        lines.append(_cut([(" " * frame.left, "label"), *parts], width))
    lines += _plot_rows(canvas, looks, frame, value_ticks)
    if axis_rows:
        lines += _x_axis(frame, unit, overlaps, cursor)
    caption = _caption(layers, frame, unit)
    if not legend_rows and (seen or overlaps):
        caption += f" · {marks(seen, rewritten=bool(overlaps))}"
    return Chart(lines, caption, frame)


def _layers(traces: Sequence[Trace], frame: Frame) -> list[_Layer]:
    """Faint layers first, so that lines lie over them; the first series lies under the others."""
    faint, strong = [], []
    for index, trace in enumerate(traces):
        points = trace.steps, trace.values
        if trace.smoothed is not None:
            faint.append(_layer(*points, raw_look_of(index), frame, faint=True))
            points = trace.smoothed
        strong.append(_layer(*points, look_of(index), frame))
    return faint + strong


def _layer(
    steps: np.ndarray, values: np.ndarray, look: str, frame: Frame, *, faint: bool = False
) -> _Layer:
    span = frame.window
    columns = envelope(steps, values, span.start, span.end, frame.cols * DOTS_ACROSS,
                       log_x=span.log_x, log_y=span.log_y)  # fmt: skip
    top, bottom = joined(columns, (span.low, span.high), frame.rows * DOTS_DOWN)
    return _Layer(columns, look, top, bottom, faint)


def _put_signs(
    canvas: Canvas,
    frame: Frame,
    traces: Sequence[Trace],
    layers: Sequence[_Layer],
    looks: list[str],
) -> None:
    """Signs on the lines that have one: at every point of a few marks, else at fixed columns."""
    for index, (trace, layer) in enumerate(zip(traces, layers, strict=True)):
        sign = sign_of(index, trace.kind)
        if not sign:
            continue
        # One entry a cell of the plot: where the line is in it, in dot rows.
        middle = (layer.top + layer.bottom).reshape(-1, DOTS_ACROSS) / 2
        known = ~np.isnan(middle)
        middle = np.where(known[:, 0], middle[:, 0], middle[:, 1])
        cells = np.flatnonzero(known.any(axis=1))
        points = ~np.isnan(layer.columns.low).reshape(-1, DOTS_ACROSS).all(axis=1)
        if trace.kind == "marks" and points.sum() <= max(frame.cols // _COLS_A_POINT, 2):
            cells = np.flatnonzero(points)
        else:
            every = _COLS_A_POINT if trace.kind == "marks" else _COLS_A_SIGN
            spread = cells[(cells - index * _SIGN_SHIFT) % every == every // 2]
            cells = spread if len(spread) else cells[len(cells) // 2 :][:1]
        looks.append(layer.look)
        rows = np.clip(middle[cells] // DOTS_DOWN, 0, frame.rows - 1).astype(int)
        for col, row in zip(cells.tolist(), rows.tolist(), strict=True):
            canvas.put(row, col, sign, len(looks) - 1)


def _put_faults(canvas: Canvas, faults: np.ndarray, looks: list[str]) -> None:
    """+∞ at the top of its column, the others at its foot, NaN over all."""
    cells = np.bitwise_or.reduce(faults.reshape(-1, DOTS_ACROSS), axis=1)
    if not cells.any():
        return
    looks.append("fault")
    for fault in (Fault.NOT_POSITIVE, Fault.BELOW, Fault.ABOVE, Fault.NAN):
        row = 0 if fault is Fault.ABOVE else canvas.rows - 1
        for col in np.flatnonzero(cells & fault).tolist():
            canvas.put(row, col, FAULT_SIGNS[fault], len(looks) - 1)


def _plot_rows(
    canvas: Canvas, looks: Sequence[str], frame: Frame, value_ticks: Sequence[Tick]
) -> list[list[Part]]:
    """What the canvas holds, with the axis of values before it."""
    labels = {frame.row(tick.position): tick.label for tick in value_ticks}
    rows: list[list[Part]] = []
    for row, parts in enumerate(canvas.lines()):
        label = labels.get(row, "")
        axis = f"{label:>{frame.left - 2}} "
        rule = "┤" if label else "│"
        drawn = [(text, looks[layer] if layer >= 0 else "label") for text, layer in parts]
        rows.append([(axis, "label"), (rule, "axis"), *drawn])
    return rows


def _led(parts: list[Part], at: str, width: int) -> list[Part]:
    """A legend after `at`, the place of its readings, where there is room for that."""
    used = sum(cell_len(text) for text, _ in parts)
    return [(f"{at}  ", "label"), *parts] if at and cell_len(at) + 2 + used <= width else parts


def _x_axis(
    frame: Frame, unit: str, overlaps: Sequence[tuple[float, float]], cursor: float | None
) -> list[list[Part]]:
    """The rule, with what was written again and the cursor's foot on it, and the labels."""
    rule: list[Part] = [("─", "axis")] * frame.cols
    labels = [" "] * (frame.cols + 1)
    span = frame.window
    start, end = (log10(span.start), log10(span.end)) if span.log_x else (span.start, span.end)
    free = 0
    for tick in x_ticks(start, end, max(frame.cols // _COLS_A_TICK, 1), unit, span.log_x):
        share = (tick.position - start) / (end - start)
        col = min(max(int(share * frame.cols), 0), frame.cols - 1)
        begin = _label_start(tick, col, frame.cols)
        if begin < free:
            continue
        rule[col] = ("┬", "axis")
        labels[begin : begin + len(tick.label)] = tick.label
        free = begin + len(tick.label) + 2
    for first, last in overlaps:
        if last < span.start or first > span.end:
            continue
        begin, stop = frame.col(first), frame.col(last)
        rule[begin : stop + 1] = [(REWRITTEN, "overlap")] + [("═", "overlap")] * (stop - begin)
    if cursor is not None and span.start <= cursor <= span.end:
        rule[frame.col(cursor)] = ("┴", "cursor")
    margin = " " * (frame.left - 1)
    return [
        [(f"{margin}└", "axis"), *_merged(rule)],
        [(f"{margin} ", "label"), ("".join(labels)[: frame.cols], "label")],
    ]


def _label_start(tick: Tick, col: int, cols: int) -> int:
    return max(min(col - len(tick.label) // 2, cols - len(tick.label)), 0)


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Neighbours of one look as one part."""
    merged: list[Part] = []
    for text, look in parts:
        if merged and merged[-1][1] == look:
            merged[-1] = (merged[-1][0] + text, look)
        else:
            merged.append((text, look))
    return merged


def _cut(parts: list[Part], width: int) -> list[Part]:
    """As many whole parts as fit, and a sign where some do not."""
    kept: list[Part] = []
    free = width
    for text, look in parts:
        if cell_len(text) > free:
            return [*kept, ("…", "label")] if free else kept
        free -= cell_len(text)
        kept.append((text, look))
    return kept


def _caption(layers: Sequence[_Layer], frame: Frame, unit: str) -> str:
    """What a column stands for, and whether one of its two stands for more than one point."""
    span = frame.window
    if span.log_x:
        column = f"× {frame.x_at(1 / frame.cols) / span.start:.3g}"
    else:
        column = amount((span.end - span.start) / frame.cols, unit)
    most = max(layer.columns.most for layer in layers)
    how = "min–max" if most > 1 else "every point" if most else "no points here"
    return f"1 column = {column}, {how}"
