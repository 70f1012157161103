"""Charts of series as text: frame, legend, axes, and the state kept between drawings.

A chart is a list of lines, each a list of parts (text, style). A style is a name such as
`series-1`, `axis` or `fault`, to which the user interface assigns a colour.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from math import log10
from types import MappingProxyType

import numpy as np
from rich.cells import cell_len

from genui.base.numbers import value as format_value
from genui.base.text import shorten_middle
from genui.render.axis import (
    Tick,
    choose_log_ticks,
    choose_ticks,
    choose_x_ticks,
    format_amount,
    format_place,
)
from genui.render.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas, connect_columns, merge_runs
from genui.render.options import ChartOptions
from genui.render.series import (
    ChartLine,
    Columns,
    Fault,
    Kind,
    Look,
    VisibleRange,
    Window,
    choose_window,
    compute_envelope,
    find_nearest,
    find_only_value,
    list_lines,
    measure_extent,
    move_to_axis,
    needs_two_axes,
    round_span,
    smooth,
    sort_points,
)

# --- The frame: the position and range of the plot ------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """The plot: `cols` × `rows` cells at (`left`, `top`) of the chart, showing `window`."""

    left: int
    top: int
    cols: int
    rows: int
    window: Window

    def col(self, x: float) -> int:
        """Return the column of the plot nearest to `x`."""
        return min(max(int(self.share(x) * self.cols), 0), self.cols - 1)

    def share(self, x: float) -> float:
        """Return the position of `x`: 0 at the start, 1 at the end; -∞ for x ≤ 0 on a log axis."""
        start, end = self.window.start, self.window.end
        if self.window.log_x:
            if x <= 0:
                return -math.inf
            x, start, end = math.log10(x), math.log10(start), math.log10(end)
        return (x - start) / (end - start)

    def x_at(self, share: float) -> float:
        """Return the x at a position on the axis, 0 at its start and 1 at its end."""
        start, end = self.window.start, self.window.end
        if self.window.log_x:
            return start * (end / start) ** share
        return start + (end - start) * share

    def row(self, value: float) -> int:
        """Return the row of the plot for a value; on a log axis `value` is its log₁₀."""
        share = (self.window.high - value) / (self.window.high - self.window.low)
        return min(max(round(share * (self.rows * DOTS_DOWN - 1)) // DOTS_DOWN, 0), self.rows - 1)


# --- Signs, styles and the legend -------------------------------------------------------------

StyledText = tuple[str, str]

SERIES_LOOKS = 8
"""The styles of series are `series-1` … `series-8`, repeated; those of raw values `raw-1` …"""

FAULT_SIGNS = {Fault.NAN: "✗", Fault.ABOVE: "▲", Fault.BELOW: "▼", Fault.NOT_POSITIVE: "↓"}
_FAULT_WORDS = {Fault.NAN: "NaN", Fault.ABOVE: "+∞", Fault.BELOW: "-∞", Fault.NOT_POSITIVE: "≤ 0"}
_NO_FAULT = Fault(0)
REWRITTEN = "↺"

_SIGNS = "◆●■◇○□★"
_GUIDE = "┈"
_RULE, _DASH = "━", "╌"
_POINT, _ONLY_POINT = "+", "•"  # where a series without a sign has few points, or one
_SEPARATORS = "/-_. "
_WORDS = re.compile(rf"[^{_SEPARATORS}]+|[{_SEPARATORS}]")
_WIDEST_NAME, _NARROWEST_NAME = 32, 3  # cells
_LONGEST_NAME = 200


def choose_sign(hue: int, kind: Kind = "line") -> str:
    """Choose the sign of the series of a hue; a line of the first has none.

    Colours repeat after SERIES_LOOKS; each round shifts the signs, so 56 series look different.
    """
    if hue:
        return _SIGNS[(hue - 1 + hue // SERIES_LOOKS) % len(_SIGNS)]
    return _POINT if kind == "marks" else ""


def choose_style(hue: int) -> str:
    return f"series-{hue % SERIES_LOOKS + 1}"


def choose_raw_style(hue: int) -> str:
    return f"raw-{hue % SERIES_LOOKS + 1}"


def legend_key(look: Look, kind: Kind) -> str:
    """The line and sign that stand before the name of a series: `━`, `◆`, `╌+`, `╌◆`."""
    sign = choose_sign(look.hue, kind)
    return f"{_DASH}{sign}" if look.dashed else sign or _RULE


def _list_looks(traces: Sequence[ChartLine]) -> list[Look]:
    return [trace.look or Look(index) for index, trace in enumerate(traces)]


def build_legend(
    traces: Sequence[ChartLine],
    faults: Fault = _NO_FAULT,
    *,
    rewritten: bool = False,
    readings: Mapping[str, float] | None = None,
    width: int | None = None,
) -> list[StyledText]:
    """Build the legend: each series with its sign, name and value from `readings`, then the marks.

    If it is wider than `width` cells it is shortened in this order: the words around names, the
    words that all names share, the values, the middle of names, the names.
    """
    names = [shorten_middle(trace.name, _WIDEST_NAME) for trace in traces]
    parts = _build_parts(traces, names, faults, rewritten, readings)
    if width is None or _measure_width(parts) <= width:
        return parts
    parts = _build_parts(traces, names, faults, rewritten, readings, brief=True)
    if _measure_width(parts) <= width:
        return parts
    names = strip_shared_words([shorten_middle(trace.name, _LONGEST_NAME) for trace in traces])
    sizes = [cell_len(name) for name in names]
    for values in (readings, None):
        parts = _build_parts(traces, names, faults, rewritten, values, brief=True)
        room = sum(sizes) - (_measure_width(parts) - width)
        if room >= sum(sizes):
            break
    widest = _fit_names(sizes, room)
    names = [shorten_middle(name, widest) for name in names]
    parts = _build_parts(traces, names, faults, rewritten, values, brief=True)
    if _measure_width(parts) <= width:
        return parts
    return _build_parts(traces, [""] * len(traces), faults, rewritten, values, brief=True)


def explain_marks(faults: Fault, *, rewritten: bool = False) -> str:
    """Explain the marks on a chart in a few words: `✗ NaN  ↺ again`."""
    parts = _build_parts([], [], faults, rewritten, None, brief=True)
    return "".join(text for text, _ in parts).strip()


def _fit_names(sizes: Sequence[int], room: int) -> int:
    """Return the greatest width of a name for which names of these `sizes` fit in `room` cells."""
    widest = max(sizes, default=0)
    while widest > _NARROWEST_NAME and sum(min(size, widest) for size in sizes) > room:
        widest -= 1
    return widest


def _build_parts(
    traces: Sequence[ChartLine],
    names: Sequence[str],
    faults: Fault,
    rewritten: bool,
    readings: Mapping[str, float] | None,
    *,
    brief: bool = False,
) -> list[StyledText]:
    parts: list[StyledText] = []
    for look, trace, name in zip(_list_looks(traces), traces, names, strict=True):
        if parts:
            parts.append(("  ", "label"))
        key = legend_key(look, trace.kind)
        parts.append((f"{key} {name}" if name else key, choose_style(look.hue)))
        if readings is not None:
            known = trace.name in readings
            parts.append((f" {format_value(readings[trace.name])}" if known else " –", "reading"))
        elif trace.smoothed is not None and not brief:
            parts += [(" ", "label"), ("⠒", choose_raw_style(look.hue)), (" raw", "label")]
    for fault, sign in FAULT_SIGNS.items():
        if fault in faults:
            parts += [("  ", "label"), (f"{sign} {_FAULT_WORDS[fault]}", "fault")]
    if rewritten:
        word = "again" if brief else "written again"
        parts += [("  ", "label"), (f"{REWRITTEN} {word}", "overlap")]
    return parts


def strip_shared_words(names: Sequence[str]) -> list[str]:
    """Remove the words that all `names` begin or end with."""
    if len(names) < 2:
        return list(names)
    words = [_WORDS.findall(name) for name in names]
    first = _count_shared(words)
    last = _count_shared([one[first:][::-1] for one in words])
    short = ["".join(one[first : len(one) - last]).strip(_SEPARATORS) for one in words]
    return short if all(short) and len(set(short)) == len(set(names)) else list(names)


def _count_shared(words: Sequence[Sequence[str]]) -> int:
    """Count the leading words that all have in common."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*words, strict=False)))


def _measure_width(parts: Sequence[StyledText]) -> int:
    return sum(cell_len(text) for text, _ in parts)


# --- Drawing a chart --------------------------------------------------------------------------

_LEGEND_HEIGHT, _AXIS_HEIGHT = 7, 4  # rows from which a chart has a legend, and an x axis
_MIN_COLS = 4
_ROWS_PER_TICK, _COLS_PER_TICK = 2, 10
_COLS_PER_SIGN, _COLS_PER_POINT = 12, 3
_DASH_ON, _DASH_OFF = 4, 2  # columns of dots
_TRACES_PER_SIGN = 2 * SERIES_LOOKS  # more have fewer signs each, so that lines can be seen
_SIGN_SHIFT = 5  # columns between the signs of two series, so that they rarely coincide


@dataclass(frozen=True)
class Chart:
    """`lines` of (text, style), and a `caption` with the meaning of one column.

    Without a legend the caption also explains the marks.
    """

    lines: list[list[StyledText]]
    caption: str
    frame: Frame


@dataclass(frozen=True)
class _Layer:
    """One envelope; `top` and `bottom` are its dot rows on the canvas."""

    columns: Columns
    style: str
    top: np.ndarray  # float64 [cols * 2]
    bottom: np.ndarray
    faint: bool = False
    dashed: bool = False


def draw_chart(
    traces: Sequence[ChartLine],
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
    right: Window | None = None,
    guides: bool = False,
) -> Chart | None:
    """Draw a chart in `width` × `height` cells; None if there is no point or too little room.

    `within` is the visible range, by default that of all points; it also says which axes are
    logarithmic. `overlaps` are the ranges of x, (first, last), that were logged twice. `readings`
    are the values in the legend, by the name of the series. `right` is the range of values of the
    series that are over others; without it all have the axis on the left.
    `guides` are lines across the plot at the labels of the left axis.
    """
    with_points = [trace for trace in traces if len(trace.steps)]
    legend_rows = 1 if with_legend and height >= _LEGEND_HEIGHT else 0
    axis_rows = 2 if height >= _AXIS_HEIGHT else 0
    rows = height - legend_rows - axis_rows
    if not with_points or rows < 1 or width < _MIN_COLS:
        return None
    span = within or choose_window(with_points, log_y)
    over, below = _split_over(with_points) if right is not None else ([], with_points)
    value_ticks = _choose_value_ticks(below, span, rows)
    label_width = max(cell_len(tick.label) for tick in value_ticks)
    cols = width - label_width - 2
    right_axis: list[StyledText] = []
    if right is not None:
        right_axis = _build_right_axis(over, right, rows)
        cols -= cell_len(right_axis[0][0])
        traces = [move_to_axis(t, right, span) if _is_over(t) else t for t in traces]
    if cols < _MIN_COLS:
        return None
    frame = Frame(label_width + 2, legend_rows, cols, rows, span)
    layers = _build_layers(traces, frame)
    canvas, styles, visible = _draw_plot(traces, layers, frame, cursor)
    lines: list[list[StyledText]] = []
    if legend_rows:
        place = "" if cursor is None or readings is None else format_place(cursor, unit)
        room = width - frame.left
        legend = build_legend(
            traces, visible, rewritten=bool(overlaps), readings=readings, width=room
        )
        legend = [(" " * frame.left, "label"), *_add_place(legend, place, room)]
        lines.append(_cut_parts(legend, width))
    lines += _build_plot_rows(canvas, styles, frame, value_ticks, right_axis, guides)
    if axis_rows:
        lines += _build_x_axis(frame, unit, overlaps, cursor, measure_extent(with_points))
    caption = [_write_caption(layers, frame, unit)]
    if not legend_rows and (visible or overlaps):
        caption.append(explain_marks(visible, rewritten=bool(overlaps)))
    return Chart(lines, " · ".join(filter(None, caption)), frame)


def _draw_plot(
    traces: Sequence[ChartLine], layers: Sequence[_Layer], frame: Frame, cursor: float | None
) -> tuple[Canvas, list[str], Fault]:
    """The curves with their signs, faults and the cursor; the styles that the canvas numbers; and
    the faults that are seen."""
    canvas = Canvas(frame.cols, frame.rows)
    for number, layer in enumerate(layers):
        top, bottom = _dash(layer) if layer.dashed else (layer.top, layer.bottom)
        canvas.spans(top, bottom, number, faint=layer.faint)
    styles = [layer.style for layer in layers]
    _put_signs(canvas, frame, traces, [layer for layer in layers if not layer.faint], styles)
    faults = np.bitwise_or.reduce([layer.columns.faults for layer in layers])
    _put_faults(canvas, faults, styles)
    if cursor is not None and frame.window.start <= cursor <= frame.window.end:
        styles.append("cursor")
        canvas.rule(frame.col(cursor), "│", len(styles) - 1)
    return canvas, styles, Fault(int(np.bitwise_or.reduce(faults)))


def _is_over(trace: ChartLine) -> bool:
    return trace.look is not None and trace.look.over


def _split_over(traces: Sequence[ChartLine]) -> tuple[list[ChartLine], list[ChartLine]]:
    """Return the series that are over others, and the others."""
    return [t for t in traces if _is_over(t)], [t for t in traces if not _is_over(t)]


def _choose_value_ticks(traces: Sequence[ChartLine], span: Window, rows: int) -> list[Tick]:
    """Choose the ticks of the values; the value alone if all are equal, which have no range."""
    only = find_only_value(traces)
    if only is not None and (only > 0 or not span.log_y):
        return [Tick(log10(only) if span.log_y else only, format_value(only))]
    choose = choose_log_ticks if span.log_y else choose_ticks
    return choose(span.low, span.high, max(rows // _ROWS_PER_TICK, 1))


def _build_layers(traces: Sequence[ChartLine], frame: Frame) -> list[_Layer]:
    """Build the layers from back to front: faint ones, then lines in the order of the series."""
    faint, strong = [], []
    for look, trace in zip(_list_looks(traces), traces, strict=True):
        points = trace.steps, trace.values
        if trace.smoothed is not None:
            faint.append(_build_layer(*points, choose_raw_style(look.hue), frame, faint=True))
            points = trace.smoothed
        # The extremes of a column of averages say nothing, so their line is one dot thick.
        thin = trace.smoothed is not None
        layer = _build_layer(*points, choose_style(look.hue), frame, thin=thin)
        strong.append(replace(layer, dashed=look.dashed))
    return faint + strong


def _dash(layer: _Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return the top and bottom of a dashed line: gaps at fixed columns, none in a steep part."""
    gap = np.arange(len(layer.top)) % (_DASH_ON + _DASH_OFF) >= _DASH_ON
    gap &= layer.bottom - layer.top < DOTS_DOWN
    return np.where(gap, np.nan, layer.top), np.where(gap, np.nan, layer.bottom)


def _build_layer(
    steps: np.ndarray,
    values: np.ndarray,
    style: str,
    frame: Frame,
    *,
    faint: bool = False,
    thin: bool = False,
) -> _Layer:
    span = frame.window
    columns = compute_envelope(steps, values, span.start, span.end, frame.cols * DOTS_ACROSS,
                       log_x=span.log_x, log_y=span.log_y)  # fmt: skip
    if thin:
        middle = columns.low / 2 + columns.high / 2  # halves: a sum of huge values would overflow
        columns = replace(columns, low=middle, high=middle)
    top, bottom = connect_columns(columns, (span.low, span.high), frame.rows * DOTS_DOWN)
    return _Layer(columns, style, top, bottom, faint)


def _put_signs(
    canvas: Canvas,
    frame: Frame,
    traces: Sequence[ChartLine],
    layers: Sequence[_Layer],
    styles: list[str],
) -> None:
    """Put the signs on lines: at every point of series with few marks, else at fixed columns."""
    looks = _list_looks(traces)
    for index, (look, trace, layer) in enumerate(zip(looks, traces, layers, strict=True)):
        sign = choose_sign(look.hue, trace.kind)
        if not sign and len(trace.steps) == 1:
            sign = _ONLY_POINT  # a single dot would hardly be seen
        if not sign:
            continue
        # The dot row of the line in each column of cells.
        middle = (layer.top + layer.bottom).reshape(-1, DOTS_ACROSS) / 2
        known = ~np.isnan(middle)
        middle = np.where(known[:, 0], middle[:, 0], middle[:, 1])
        cells = np.flatnonzero(known.any(axis=1))
        points = ~np.isnan(layer.columns.low).reshape(-1, DOTS_ACROSS).all(axis=1)
        if trace.kind == "marks" and points.sum() <= max(frame.cols // _COLS_PER_POINT, 2):
            cells = np.flatnonzero(points)
        else:
            every = _COLS_PER_POINT if trace.kind == "marks" else _COLS_PER_SIGN
            every *= -(-len(traces) // _TRACES_PER_SIGN)
            spread = cells[(cells - index * _SIGN_SHIFT) % every == every // 2]
            cells = spread if len(spread) else cells[len(cells) // 2 :][:1]
        styles.append(layer.style)
        rows = np.clip(middle[cells] // DOTS_DOWN, 0, frame.rows - 1).astype(int)
        for col, row in zip(cells.tolist(), rows.tolist(), strict=True):
            canvas.put(row, col, sign, len(styles) - 1)


def _put_faults(canvas: Canvas, faults: np.ndarray, styles: list[str]) -> None:
    """Mark +∞ at the top of its column and other faults at the bottom; NaN is in front."""
    cells = np.bitwise_or.reduce(faults.reshape(-1, DOTS_ACROSS), axis=1)
    if not cells.any():
        return
    styles.append("fault")
    for fault in (Fault.NOT_POSITIVE, Fault.BELOW, Fault.ABOVE, Fault.NAN):
        row = 0 if fault is Fault.ABOVE else canvas.rows - 1
        for col in np.flatnonzero(cells & fault).tolist():
            canvas.put(row, col, FAULT_SIGNS[fault], len(styles) - 1)


def _build_plot_rows(
    canvas: Canvas,
    styles: Sequence[str],
    frame: Frame,
    value_ticks: Sequence[Tick],
    right_axis: Sequence[StyledText],
    guides: bool,
) -> list[list[StyledText]]:
    """Build the rows of the canvas, each between its parts of the value axes."""
    labels = {frame.row(tick.position): tick.label for tick in value_ticks}
    rows: list[list[StyledText]] = []
    for row, parts in enumerate(canvas.lines()):
        label = labels.get(row, "")
        axis = f"{label:>{frame.left - 2}} "
        rule = "┤" if label else "│"
        blank = str.maketrans(" ", _GUIDE if guides and label else " ")
        cells = [
            (text, styles[layer]) if layer >= 0 else (text.translate(blank), "axis")
            for text, layer in parts
        ]
        rows.append([(axis, "label"), (rule, "axis"), *cells, *right_axis[row : row + 1]])
    return rows


def _build_right_axis(traces: Sequence[ChartLine], window: Window, rows: int) -> list[StyledText]:
    """Build the value axis of the series that are over others: a part for each row, all of one
    width, in the colour of the series if it is the only one."""
    ticks = _choose_value_ticks(traces, window, rows)
    frame = Frame(0, 0, 1, rows, window)
    labels = {frame.row(tick.position): tick.label for tick in ticks}
    width = max(map(cell_len, labels.values()))
    style = choose_style(_list_looks(traces)[0].hue) if len(traces) == 1 else "label"
    texts = (f"├ {labels[row]}" if row in labels else "│" for row in range(rows))
    return [(f"{text:<{width + 2}}", style) for text in texts]


def _add_place(parts: list[StyledText], at: str, width: int) -> list[StyledText]:
    """Put `at`, the x of the readings, before the legend if there is room."""
    used = sum(cell_len(text) for text, _ in parts)
    return [(f"{at}  ", "label"), *parts] if at and cell_len(at) + 2 + used <= width else parts


def _build_x_axis(
    frame: Frame,
    unit: str,
    overlaps: Sequence[tuple[float, float]],
    cursor: float | None,
    extent: tuple[float, float],
) -> list[list[StyledText]]:
    """Build the axis line with overlaps and cursor, and the line of labels below it.

    `extent` is the first and the last x of all points; the only label if they are one.
    """
    rule: list[StyledText] = [("─", "axis")] * frame.cols
    labels = [" "] * (frame.cols + 1)
    span = frame.window
    start, end = (log10(span.start), log10(span.end)) if span.log_x else (span.start, span.end)
    free = 0
    ticks = choose_x_ticks(start, end, max(frame.cols // _COLS_PER_TICK, 1), unit, span.log_x)
    only, last = extent
    if only == last and span.start <= only <= span.end:
        ticks = [Tick(log10(only) if span.log_x else only, format_place(only, unit))]
    for tick in ticks:
        share = (tick.position - start) / (end - start)
        col = min(max(int(share * frame.cols), 0), frame.cols - 1)
        size = len(tick.label)
        begin = max(min(col - size // 2, frame.cols - size), 0)
        if begin < free:
            continue
        rule[col] = ("┬", "axis")
        labels[begin : begin + size] = tick.label
        free = begin + size + 2
    for first, last in overlaps:
        if last < span.start or first > span.end:
            continue
        begin, stop = frame.col(first), frame.col(last)
        rule[begin : stop + 1] = [(REWRITTEN, "overlap")] + [("═", "overlap")] * (stop - begin)
    if cursor is not None and span.start <= cursor <= span.end:
        rule[frame.col(cursor)] = ("┴", "cursor")
    margin = " " * (frame.left - 1)
    return [
        [(f"{margin}└", "axis"), *merge_runs(rule)],
        [(f"{margin} ", "label"), ("".join(labels)[: frame.cols], "label")],
    ]


def _cut_parts(parts: list[StyledText], width: int) -> list[StyledText]:
    """Return the whole parts that fit in `width` cells, then an ellipsis if some do not."""
    free = width
    for count, (text, _) in enumerate(parts):
        if cell_len(text) > free:
            return [*parts[:count], ("…", "label")] if free else parts[:count]
        free -= cell_len(text)
    return parts


def _write_caption(layers: Sequence[_Layer], frame: Frame, unit: str) -> str:
    """Describe what a column of cells covers, and whether a column of dots has several points."""
    span = frame.window
    most = max(layer.columns.most for layer in layers)
    if unit == "step" and not span.log_x and span.end - span.start < frame.cols and most:
        return ""  # a column is less than a step: all points are seen
    if span.log_x:
        column = f"× {frame.x_at(1 / frame.cols) / span.start:.3g}"
    else:
        column = format_amount((span.end - span.start) / frame.cols, unit)
    how = "min–max" if most > 1 else "every point" if most else "no points here"
    return f"1 column = {column}, {how}"


# --- Growing curves: options, and state between drawings -------------------------------------


def _look(values: tuple[int, bool] | Look | None) -> Look | None:
    return values if values is None or isinstance(values, Look) else Look(*values)


_NO_LOOKS: Mapping[str, tuple[int, bool] | Look] = MappingProxyType({})


class Curves:
    """Series with their moving averages and the last window, which the next drawing reuses."""

    def __init__(self) -> None:
        self.traces: list[ChartLine] = []
        self._smoothed: dict[str, tuple[tuple[float, float], ChartLine]] = {}  # by name
        self._window: Window | None = None
        self._right: Window | None = None  # of the values of the series that are over others

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind],
        looks: Mapping[str, tuple[int, bool] | Look] = _NO_LOOKS,
    ) -> None:
        """Replace the series: name → (x [N], values [N]); those without a look get a hue each."""
        if not series:
            self._window = self._right = None
        self._smoothed = {name: one for name, one in self._smoothed.items() if name in series}
        self.traces = [
            replace(
                sort_points(name, x, values, kinds.get(name, "line")), look=_look(looks.get(name))
            )
            for name, (x, values) in series.items()
        ]

    def chart(self, width: int, height: int, options: ChartOptions) -> Chart | None:
        """Draw the chart in `width` × `height` cells; None if there is no point or no room."""
        traces = self._smooth(options)
        self._window, self._right = self._choose_windows(traces, options)
        return draw_chart(
            traces,
            width,
            height,
            cursor=options.cursor,
            with_legend=options.legend,
            within=self._window,
            unit=options.unit,
            overlaps=options.overlaps,
            readings=self._read_cursor(options),
            right=self._right,
            guides=options.guides,
        )

    def values_at(self, x: float) -> dict[str, tuple[float, float]]:
        """Return the (x, value) nearest to `x`, not smoothed, of each series that has points."""
        points = {trace.name: find_nearest(trace.steps, trace.values, x) for trace in self.traces}
        return {name: point for name, point in points.items() if point is not None}

    def window(self, options: ChartOptions) -> Window | None:
        """Return the visible range; None if there is no point."""
        return self._choose_window(self._smooth(options), options, self._window)

    def extent(self, positive: bool) -> VisibleRange | None:
        """Return the first and last x; with `positive`, of those above zero."""
        filled = [trace for trace in self.traces if len(trace.steps)]
        return measure_extent(filled, positive) if filled else None

    def _choose_window(
        self, traces: Sequence[ChartLine], options: ChartOptions, before: Window | None
    ) -> Window | None:
        lines = list_lines(traces)
        if not lines:
            return None
        return choose_window(lines, options.log_y, before, log_x=options.log_x, view=options.view)

    def _choose_windows(
        self, traces: Sequence[ChartLine], options: ChartOptions
    ) -> tuple[Window | None, Window | None]:
        """Choose the visible range, and a second range for the series drawn over others if they
        need their own value axis."""
        whole = self._choose_window(traces, options, self._window)
        over, below = _split_over(traces)
        right = self._choose_window(over, options, self._right)
        left = self._choose_window(below, options, self._window)
        if whole is None or left is None or right is None or not needs_two_axes(left, right):
            return whole, None
        return replace(whole, low=left.low, high=left.high), right

    def _smooth(self, options: ChartOptions) -> list[ChartLine]:
        """Return the series; those of kind "smoothed" have their moving averages."""
        noisy = [trace for trace in self.traces if trace.kind == "smoothed"]
        if options.smoothing <= 0 or not any(len(trace.steps) for trace in noisy):
            return self.traces
        start, end = measure_extent([trace for trace in self.traces if len(trace.steps)])
        traces = []
        for trace in self.traces:
            if trace.kind == "smoothed" and len(trace.steps):
                trace = self._average(trace, options.smoothing, end - start)
            traces.append(trace)
        return traces

    def _average(self, trace: ChartLine, smoothing: float, span: float) -> ChartLine:
        """Return a series with its moving average, which is kept until its points change."""
        how = smoothing, round_span(span)
        known, before = self._smoothed.get(trace.name, (None, trace))
        same = how == known and all(
            new is old or np.array_equal(new, old, equal_nan=True)
            for new, old in ((trace.steps, before.steps), (trace.values, before.values))
        )
        if not same:
            average = smooth(trace.steps, trace.values, smoothing, span)
            before = replace(trace, smoothed=average)
            self._smoothed[trace.name] = how, before
        return replace(trace, smoothed=before.smoothed)

    def _read_cursor(self, options: ChartOptions) -> dict[str, float] | None:
        if not options.readout or options.cursor is None:
            return None
        return {name: value for name, (_, value) in self.values_at(options.cursor).items()}
