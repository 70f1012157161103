"""A canvas of dots, 2 × 4 to a character cell.

A cell has one colour, so every layer remembers which cells it touched and the last
layer drawn wins them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from math import log10
from typing import Any

import numpy as np
from rich.cells import cell_len

from genui.base.numbers import short
from genui.base.numbers import value as spelled
from genui.base.text import clean_line
from genui.render.axis import Tick, amount, log_ticks, place, ticks, x_ticks
from genui.render.series import (
    GREATEST,
    Columns,
    Fault,
    Kind,
    Smoother,
    Trace,
    View,
    Window,
    drawn_lines,
    envelope,
    extent,
    faults_in_sight,
    in_order,
    nearest,
    window,
)

DOTS_ACROSS, DOTS_DOWN = 2, 4

BLANK = 0x2800  # the character without a dot
_HALF_UP = 0.5 + 1e-6
# The dots of a cell, row by row, in the order of their bits in the character's code.
_BIT_ORDER = [0, 2, 4, 1, 3, 5, 6, 7]


def bits_of(dots: np.ndarray) -> np.ndarray:
    """Dots bool [rows * 4, cols * 2] as uint8 [rows, cols]: what a cell adds to BLANK."""
    rows, cols = dots.shape[0] // DOTS_DOWN, dots.shape[1] // DOTS_ACROSS
    cells = dots.reshape(rows, DOTS_DOWN, cols, DOTS_ACROSS).swapaxes(1, 2)
    bits = cells.reshape(rows, cols, -1)[..., _BIT_ORDER]
    return np.packbits(bits, axis=2, bitorder="little")[..., 0]


class Canvas:
    """`cols` × `rows` cells, each of one layer: the last that drew in it, -1 for none.

    A faint layer is a halftone and leaves the cells another one drew in, so a line stays
    thin on a cloud and is told from it without colour.
    """

    def __init__(self, cols: int, rows: int) -> None:
        self.cols, self.rows = cols, rows
        self._layers = np.full((rows, cols), -1, dtype=np.int32)
        self._faint = np.zeros((rows, cols), dtype=np.uint8)
        self._strong = np.zeros((rows, cols), dtype=np.uint8)
        self._signs: dict[tuple[int, int], str] = {}

    def spans(
        self, top: np.ndarray, bottom: np.ndarray, layer: int, *, faint: bool = False
    ) -> None:
        """Fill each dot column from row `top` to `bottom`, both included; NaN leaves it empty.

        `top` and `bottom` are float64 [cols * 2] in dot rows, 0 at the top.
        """
        row = np.arange(self.rows * DOTS_DOWN)[:, None]
        top, bottom = np.round(top), np.round(bottom)
        dots = (row >= top) & (row <= bottom)  # NaN compares false
        if faint:
            # Every other dot, as a halftone, but both ends: they are the extremes.
            column = np.arange(self.cols * DOTS_ACROSS)
            dots &= ((row + column) % 2 == 0) | (row == top) | (row == bottom)
        codes = bits_of(dots)
        if faint:
            self._faint |= codes
            self._layers[(codes != 0) & (self._strong == 0)] = layer
        else:
            self._strong |= codes
            self._layers[codes != 0] = layer

    def put(self, row: int, col: int, sign: str, layer: int) -> None:
        """One character instead of the dots of its cell."""
        self._signs[row, col] = sign
        self._layers[row, col] = layer

    def rule(self, col: int, sign: str, layer: int) -> None:
        """A line from top to bottom, behind the lines and signs but over what is faint."""
        for row in np.flatnonzero(self._strong[:, col] == 0).tolist():
            if (row, col) not in self._signs:
                self.put(row, col, sign, layer)

    def lines(self) -> list[list[tuple[str, int]]]:
        """Each row as texts with the layer they belong to; a cell without dots is a space."""
        dots = np.where(self._strong, self._strong, self._faint)
        codes = np.where(dots, BLANK + dots.astype(np.uint32), ord(" ")).astype("<u4")
        for (row, col), sign in self._signs.items():
            codes[row, col] = ord(sign)
        changes = self._layers[:, 1:] != self._layers[:, :-1]
        lines = []
        for row in range(self.rows):
            text = codes[row].tobytes().decode("utf-32-le")
            edges = [0, *(np.flatnonzero(changes[row]) + 1).tolist(), self.cols]
            layers = self._layers[row, edges[:-1]].tolist()
            spans = zip(pairwise(edges), layers, strict=True)
            lines.append([(text[a:b], layer) for (a, b), layer in spans])
        return lines


def joined(
    columns: Columns, scale: tuple[float, float], dots: int
) -> tuple[np.ndarray, np.ndarray]:
    """An envelope as a connected line: the top and bottom dot row of every column.

    `scale` is the values at the lowest and the highest of `dots` rows. Columns without a
    point between two that have one, in sight or outside, are bridged by a straight line;
    columns that hold only NaN or infinity are left open, and neighbours always touch.
    """
    low = np.clip(columns.low, -GREATEST, GREATEST)
    high = np.clip(columns.high, -GREATEST, GREATEST)
    missing = np.isnan(low)
    if missing.any():
        middle, bridged = _bridges(columns, missing)
        middle = np.clip(middle, -GREATEST, GREATEST)
        low[bridged] = high[bridged] = middle[bridged]
    bottom_value, top_value = scale
    per_dot = (dots - 1) / (top_value - bottom_value)
    # Values between two rows go to the lower one, also where they differ by a rounding: a
    # constant that was averaged is a straight line.
    top = np.floor((top_value - high) * per_dot + _HALF_UP)
    bottom = np.floor((top_value - low) * per_dot + _HALF_UP)
    # Let each column reach towards the one before it.
    before_top, before_bottom = top[:-1].copy(), bottom[:-1].copy()
    top[1:] = np.where(top[1:] > before_bottom + 1, before_bottom + 1, top[1:])
    bottom[1:] = np.where(bottom[1:] < before_top - 1, before_top - 1, bottom[1:])
    return top, bottom


def _bridges(columns: Columns, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The straight lines between known columns, and which of the missing ones lie on one."""
    every = np.arange(len(missing))
    known = np.flatnonzero(~missing)
    # Halves added, not a sum halved: the sum of two huge values is infinite.
    places, values = known.astype(float), columns.low[known] / 2 + columns.high[known] / 2
    if not np.isnan(columns.before[0]):
        places, values = np.append(columns.before[0], places), np.append(columns.before[1], values)
    if not np.isnan(columns.after[0]):
        places, values = np.append(places, columns.after[0]), np.append(values, columns.after[1])
    if len(places) < 2:
        return columns.low, np.zeros(len(missing), dtype=bool)
    bridged = missing & (every > places[0]) & (every < places[-1])
    # A gap is open when anything in it had no place on the axis.
    breaks = np.cumsum(columns.broken & missing)
    left = np.maximum.accumulate(np.where(missing, -1, every))
    right = np.minimum.accumulate(np.where(missing, len(every), every)[::-1])[::-1]
    until_left = np.where(left < 0, 0, breaks[left])
    until_right = breaks[np.minimum(right, len(every) - 1)]
    bridged &= until_left == until_right
    return np.interp(every, places, values), bridged


# --- Where a chart's plot lies among its cells, and what its edges stand for ------------------


@dataclass(frozen=True)
class Frame:
    """`cols` × `rows` cells whose first is at (`left`, `top`) of the chart, spanning `window`."""

    left: int
    top: int
    cols: int
    rows: int
    window: Window

    def col(self, x: float) -> int:
        """The column of the plot that holds `x`, the nearest one where none does."""
        return min(max(int(self.share(x) * self.cols), 0), self.cols - 1)

    def share(self, x: float) -> float:
        """How far along the axis `x` is: 0 at its start, 1 at its end; -∞ where it has no place."""
        start, end = self.window.start, self.window.end
        if self.window.log_x:
            if x <= 0:
                return -math.inf
            x, start, end = math.log10(x), math.log10(start), math.log10(end)
        return (x - start) / (end - start)

    def x_at(self, share: float) -> float:
        """What is so far along the axis."""
        start, end = self.window.start, self.window.end
        if self.window.log_x:
            return start * (end / start) ** share
        return start + (end - start) * share

    def row(self, value: float) -> int:
        """The row of the plot for a value as the axis has it: log₁₀ of it where that is in logs."""
        share = (self.window.high - value) / (self.window.high - self.window.low)
        return min(max(round(share * (self.rows * DOTS_DOWN - 1)) // DOTS_DOWN, 0), self.rows - 1)


# --- How series are told apart, by colour and without it, and the legend that says so ---------

Part = tuple[str, str]

SERIES_LOOKS = 8
"""Series have the looks `series-1` … `series-8`, then these again; raw ones `raw-1` …"""

FAULT_SIGNS = {Fault.NAN: "✗", Fault.ABOVE: "▲", Fault.BELOW: "▼", Fault.NOT_POSITIVE: "↓"}
_FAULT_WORDS = {Fault.NAN: "NaN", Fault.ABOVE: "+∞", Fault.BELOW: "-∞", Fault.NOT_POSITIVE: "≤ 0"}
_NO_FAULT = Fault(0)
REWRITTEN = "↺"

_SIGNS = "◆●■◇○□★"
_RULE = "━"
_SEPARATORS = "/-_. "
_WORDS = re.compile(rf"[^{_SEPARATORS}]+|[{_SEPARATORS}]")
_WIDEST_NAME, _NARROWEST_NAME = 32, 3  # cells


def sign_of(index: int, kind: Kind) -> str:
    """The sign of series number `index`; the first plain line needs none."""
    if kind == "marks":
        return _SIGNS[max(index - 1, 0) % len(_SIGNS)]
    return _SIGNS[(index - 1) % len(_SIGNS)] if index % SERIES_LOOKS else ""


def look_of(index: int) -> str:
    return f"series-{index % SERIES_LOOKS + 1}"


def raw_look_of(index: int) -> str:
    return f"raw-{index % SERIES_LOOKS + 1}"


def legend(
    traces: Sequence[Trace],
    faults: Fault = _NO_FAULT,
    *,
    rewritten: bool = False,
    readings: Mapping[str, float] | None = None,
    width: int | None = None,
) -> list[Part]:
    """Each series by sign and name, its value where `readings` has one, then what marks mean.

    Where all would be wider than `width` cells, words and then values are left out and names
    cut, those of several runs to what tells them apart.
    """
    names = [clean_line(trace.name, _WIDEST_NAME) for trace in traces]
    parts = _parts(traces, names, faults, rewritten, readings)
    if width is None or _cells(parts) <= width:
        return parts
    parts = _parts(traces, names, faults, rewritten, readings, brief=True)
    if _cells(parts) <= width:
        return parts
    names = unlike([clean_line(trace.name) for trace in traces])
    sizes = [cell_len(name) for name in names]
    for values in (readings, None):
        parts = _parts(traces, names, faults, rewritten, values, brief=True)
        room = sum(sizes) - (_cells(parts) - width)
        if room >= sum(min(size, _NARROWEST_NAME) for size in sizes):
            break
    widest = _shares(sizes, room)
    cut = [clean_line(name, widest) for name in names]
    return _parts(traces, cut, faults, rewritten, values, brief=True)


def marks(faults: Fault, *, rewritten: bool = False) -> str:
    """What the marks on a chart mean, in a few words: `✗ NaN  ↺ again`."""
    return "".join(text for text, _ in _parts([], [], faults, rewritten, None, brief=True)).strip()


def _shares(sizes: Sequence[int], room: int) -> int:
    """The greatest width to which to cut names of such `sizes` so that all fit `room`."""
    widest = max(sizes, default=0)
    while widest > _NARROWEST_NAME and sum(min(size, widest) for size in sizes) > room:
        widest -= 1
    return widest


def _parts(
    traces: Sequence[Trace],
    names: Sequence[str],
    faults: Fault,
    rewritten: bool,
    readings: Mapping[str, float] | None,
    *,
    brief: bool = False,
) -> list[Part]:
    parts: list[Part] = []
    for index, (trace, name) in enumerate(zip(traces, names, strict=True)):
        if parts:
            parts.append(("  ", "label"))
        parts.append((f"{sign_of(index, trace.kind) or _RULE} {name}", look_of(index)))
        if readings is not None:
            known = trace.name in readings
            parts.append((f" {spelled(readings[trace.name])}" if known else " –", "reading"))
        elif trace.smoothed is not None and not brief:
            parts += [(" ", "label"), ("⠒", raw_look_of(index)), (" raw", "label")]
    for fault, sign in FAULT_SIGNS.items():
        if fault in faults:
            parts += [("  ", "label"), (f"{sign} {_FAULT_WORDS[fault]}", "fault")]
    if rewritten:
        word = "again" if brief else "written again"
        parts += [("  ", "label"), (f"{REWRITTEN} {word}", "overlap")]
    return parts


def unlike(names: Sequence[str]) -> list[str]:
    """`names` without the words that all of them begin with, and without those they end in."""
    if len(names) < 2:
        return list(names)
    words = [_WORDS.findall(name) for name in names]
    first = _shared(words)
    last = _shared([one[first:][::-1] for one in words])
    cut = ["".join(one[first : len(one) - last]).strip(_SEPARATORS) for one in words]
    return cut if all(cut) and len(set(cut)) == len(set(names)) else list(names)


def _shared(words: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    together = zip(*words, strict=False)
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, together))


def _cells(parts: Sequence[Part]) -> int:
    return sum(cell_len(text) for text, _ in parts)


# --- A chart of several series as lines of text, each part with the look it wants -------------

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


# --- Several series as they are looked at, drawn anew as they grow: a curve without a widget --


@dataclass(frozen=True)
class Look:
    """How curves are looked at."""

    log_y: bool = False
    log_x: bool = False
    smoothing: float = 0.9  # 0 none … below 1, relative to the range of all x
    cursor: float | None = None
    view: View | None = None  # the stretch of x in sight; None for everything
    unit: str = "step"
    overlaps: Sequence[tuple[float, float]] = ()  # stretches of x that were written again
    legend: bool = True
    readout: bool = False  # the legend tells the values at the cursor


class Curves:
    """Series, and what of the last drawing the next one builds on."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self._smoothers: dict[str, Smoother] = {}
        self._smoothing = 0.0  # that they were made for
        self._window: Window | None = None

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind],
    ) -> None:
        """These series from now on: name → (x, values), as `Curve.set_series` has them."""
        if not series:
            self._window = None
        self._smoothers = {name: kept for name, kept in self._smoothers.items() if name in series}
        self.traces = [
            in_order(name, x, values, kinds.get(name, "line"))
            for name, (x, values) in series.items()
        ]

    def chart(self, width: int, height: int, look: Look) -> Chart | None:
        """The chart in so many cells; None where there is no point or no room for one."""
        traces = self._smoothed(look)
        self._window = self._chosen_window(traces, look)
        return chart(
            traces,
            width,
            height,
            cursor=look.cursor,
            with_legend=look.legend,
            within=self._window,
            unit=look.unit,
            overlaps=look.overlaps,
            readings=self._readings(look),
        )

    def legend(self, look: Look) -> str:
        """The legend as plain text."""
        if not self.traces:
            return ""
        traces = self._smoothed(look)
        window = self._chosen_window(traces, look)
        faults = faults_in_sight(traces, window) if window is not None else Fault(0)
        readings = self._readings(look)
        parts = legend(traces, faults, rewritten=bool(look.overlaps), readings=readings)
        return "".join(text for text, _ in parts)

    def values_at(self, x: float) -> dict[str, tuple[float, float]]:
        """Of each series that has a point, (x, value) of the one nearest to `x`, not smoothed."""
        found = {trace.name: nearest(trace.steps, trace.values, x) for trace in self.traces}
        return {name: point for name, point in found.items() if point is not None}

    def window(self, look: Look) -> Window | None:
        """What is in sight; None where there is no point."""
        return self._chosen_window(self._smoothed(look), look)

    def extent(self, positive: bool) -> View | None:
        """From the first x to the last, or to it from the first above zero."""
        shown = [trace for trace in self.traces if len(trace.steps)]
        return extent(shown, positive) if shown else None

    def _chosen_window(self, traces: Sequence[Trace], look: Look) -> Window | None:
        shown = drawn_lines(traces)
        if not shown:
            return None
        return window(shown, look.log_y, self._window, log_x=look.log_x, view=look.view)

    def _smoothed(self, look: Look) -> list[Trace]:
        """The series with their moving averages, where they have one."""
        if look.smoothing != self._smoothing:
            self._smoothing, self._smoothers = look.smoothing, {}
        wanted = [trace for trace in self.traces if trace.kind == "smoothed"]
        if look.smoothing <= 0 or not any(len(trace.steps) for trace in wanted):
            return self.traces
        start, end = extent([trace for trace in self.traces if len(trace.steps)])
        traces = []
        for trace in self.traces:
            if trace.kind == "smoothed" and len(trace.steps):
                smoother = self._smoothers.setdefault(trace.name, Smoother(look.smoothing))
                average = smoother.extend(trace.steps, trace.values, end - start)
                trace = replace(trace, smoothed=average)
            traces.append(trace)
        return traces

    def _readings(self, look: Look) -> dict[str, float] | None:
        if not look.readout or look.cursor is None:
            return None
        return {name: value for name, (_, value) in self.values_at(look.cursor).items()}


# --- The rows of the table that compares models, as texts -------------------------------------

HEADS = (
    "model", "family", "Fréchet", "precision", "recall", "density", "coverage", "copying",
    "right", "ms/sample", "parameters", "trained",
)  # fmt: skip
_SHARES = ("precision", "recall", "density", "coverage", "copying")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A cell for each of HEADS; a dash where nothing is known."""
    found = row.get("found")
    measured = ["–"] * 7
    if isinstance(found, Mapping):
        measured = [
            f"{found['frechet']:.2f}",
            *(f"{found[name]:.3f}" for name in _SHARES),
            f"{100 * found['right']:.1f} %",
        ]
    speed, minutes = row.get("milliseconds"), row.get("minutes")
    return (
        str(row.get("model", "")),
        str(row.get("family", "")) or "–",
        *measured,
        "–" if speed is None else f"{speed:.1f}",
        short(row["parameters"]) if row.get("parameters") else "–",
        "–" if minutes is None else f"{minutes:.0f} min",
    )
