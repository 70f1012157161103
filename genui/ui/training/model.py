"""The model of the Training screen: which runs and metrics are shown, and how.

`Board` holds the runs, the newest view of each and a `ViewState`: axes, smoothing, zoom, cursor,
filter, pins, the chosen curve and the panel beside the curves. Each key of the screen calls one of
its methods. Nothing here imports Textual.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np
from msgspec import Meta

from genui.base import files, paths
from genui.base.errors import MisuseError, did_you_mean
from genui.base.schema import about, next_of, settings_of
from genui.base.text import clean_line
from genui.render.axis import AXES, UNITS, compute_x
from genui.render.series import Look, View, pan, zoom
from genui.runs.definitions import is_hidden
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.runs.table import RunFilter, TableState
from genui.ui.training.snapshot import (
    Snapshot,
    XAxis,
    all_without_samples,
    neighbours,
    pattern,
    sample_steps,
)
from genui.ui.watcher import RunView

if TYPE_CHECKING:
    from genui.render.series import Kind
    from genui.ui.watcher import Points

# --- The x axes of a run's points -------------------------------------------------------------

_COUNTERS = {
    "tokens": ("tokens", "num_tokens", "tokens_seen", "num_input_tokens_seen"),
    "epochs": ("epoch", "epochs", "train/epoch"),
}
"""The names that tools give to metrics that count tokens or epochs."""


METRIC = "metric:"

AS_DEFINED = "as defined"
"""What the user chooses to have each curve over the metric that its tool defined as its x axis,
as W&B's `define_metric` does, and the others over steps."""


def metric_of(axis: XAxis) -> str:
    """The metric that is the x axis; "" if it is none."""
    return axis.removeprefix(METRIC) if axis.startswith(METRIC) else ""


def unit_of_axis(axis: XAxis) -> str:
    """The unit of an x axis, as `Curve.unit` takes it: of a metric its name."""
    return next((UNITS[one] for one in AXES if one == axis), clean_line(metric_of(axis), 24))


def known_axes(view: RunView) -> list[XAxis]:
    """The x axes that this run's log allows, and those that its tool asks for."""
    own = dict.fromkeys(METRIC + name for name in view.extras.axes.values() if name in view.series)
    return [*(axis for axis in AXES if axis == "step" or _is_known(view, axis)), *own]


def x_positions(
    axis: XAxis, view: RunView, points: Points, since: float | None
) -> np.ndarray | None:
    """The x of each point, float64 [N], ascending; None if the axis is not known.

    `since` is the unix time of the run's first record. A metric counts by its greatest value so
    far.
    """
    if axis == "step":
        return points[0]
    if name := metric_of(axis):
        counts = view.series.get(name)
        return None if counts is None else compute_x(points, "tokens", counts=counts)
    per_step = _per_step(view, axis) or None
    known = AXES[AXES.index(axis)]
    return compute_x(points, known, since=since, per_step=per_step, counts=_counter(view, axis))


def pair(points: Points, others: Points) -> tuple[np.ndarray, np.ndarray]:
    """The values of `others` and of `points` at the steps that both have, float64 [N] each, in
    ascending order of the first, without NaN and infinities there."""
    _, own, at = np.intersect1d(points[0], others[0], assume_unique=True, return_indices=True)
    x, values = others[1][at], points[1][own]
    finite = np.isfinite(x)
    order = np.argsort(x[finite], kind="stable")
    return x[finite][order], values[finite][order]


def start_time(view: RunView) -> float | None:
    """The unix time of the run's first record; None if no record has one."""
    firsts = [float(points[2][0]) for points in view.series.values() if len(points[2])]
    return min((first for first in firsts if first == first), default=None)


def _is_known(view: RunView, axis: XAxis) -> bool:
    if axis == "time":
        return start_time(view) is not None
    return _per_step(view, axis) > 0 or _counter(view, axis) is not None


def _counter(view: RunView, axis: XAxis) -> Points | None:
    names = _COUNTERS.get(axis, ())
    return next((view.series[name] for name in names if name in view.series), None)


def _per_step(view: RunView, axis: XAxis) -> float:
    """Tokens or epochs per step; 0 if not known."""
    scale = view.summary.info.scale
    units, whole = _positive(scale.get("units_per_step")), _positive(scale.get("units_per_epoch"))
    if axis == "tokens":
        return units if str(scale.get("unit", "")).startswith("tok") else 0.0
    return units / whole if axis == "epochs" and whole > 0 else 0.0


def _positive(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0.0


# --- Noisy series, which are drawn with a moving average --------------------------------------

_BLOCKS, _BLOCK_SIZE = 8, 64  # samples of a long series
_MAX_TURNS = 0.2  # share of steps that change direction: two in three of noise, none of a schedule


def is_noisy(values: np.ndarray) -> bool:
    """Whether the values, float64 [N], change direction often; only a sample is checked.

    A learning rate or a held-out loss that falls steadily is not noisy: a moving average would
    only delay it.
    """
    starts = np.linspace(0, max(len(values) - _BLOCK_SIZE, 0), _BLOCKS).astype(int)
    turns = steps = 0
    for start in np.unique(starts):
        with np.errstate(invalid="ignore"):
            signs = np.sign(np.diff(values[start : start + _BLOCK_SIZE]))
        signs = signs[np.isfinite(signs) & (signs != 0)]
        turns += int(np.count_nonzero(signs[1:] != signs[:-1]))
        steps += max(len(signs) - 1, 0)
    return turns > _MAX_TURNS * steps


# --- Plots: which metrics share a curve, which are shown, in which order ----------------------

_HELD_OUT_PREFIXES = ("val_", "val/", "valid_", "valid/", "validation/", "eval_", "eval/")
_TRAIN_PREFIXES = ("", "train_", "train/")


@dataclass(frozen=True)
class Plot:
    """The metrics of one curve; its `key` is the first, the one on the training data."""

    metrics: tuple[str, ...]
    over: frozenset[str] = frozenset()  # those that the user has put over the others

    @property
    def key(self) -> str:
        return self.metrics[0]


def make_plots(names: Collection[str]) -> list[Plot]:
    """A plot for each metric, in the order of `names`; a validation metric joins its training
    metric: `val_loss` joins `loss`, `eval/acc` joins `acc`, `train_acc` or `train/acc`.
    """
    groups: dict[str, list[str]] = {name: [name] for name in names}
    for name in names:
        if (partner := _training_metric(name, groups)) is not None:
            groups[partner] += groups.pop(name)
    return [Plot(tuple(metrics)) for metrics in groups.values()]


def overlay_plots(plots: Sequence[Plot], overlays: Iterable[tuple[str, str]]) -> list[Plot]:
    """The plots with others over them; `overlays` are the keys of a plot and of one over it."""
    by_key = {plot.key: plot for plot in plots}
    for below, over in overlays:
        if below in by_key and over in by_key and below != over:
            first, second = by_key[below], by_key.pop(over)
            metrics = (*first.metrics, *second.metrics)
            by_key[below] = Plot(metrics, first.over.union(second.metrics))
    return list(by_key.values())


def _training_metric(name: str, names: Collection[str]) -> str | None:
    """The training metric of a validation metric; None if there is none."""
    for prefix in _HELD_OUT_PREFIXES:
        if name.startswith(prefix):
            candidates = [train + name[len(prefix) :] for train in _TRAIN_PREFIXES]
            return next((one for one in candidates if one in names and one != name), None)
    return None


def select_plots(plots: Iterable[Plot], filter: re.Pattern[str], pins: Sequence[str]) -> list[Plot]:
    """The plots with a metric that matches the filter, sorted.

    The pinned ones come first, in the order of `pins`, then those with a validation metric, then
    other losses, then the rest in their order.
    """
    matches = [plot for plot in plots if any(map(filter.search, plot.metrics))]
    pin_order = {key: at for at, key in enumerate(pins)}

    def rank(plot: Plot) -> tuple[int, bool, bool]:
        pin = pin_order.get(plot.key, len(pin_order))
        return pin, len(plot.metrics) == 1, "loss" not in plot.key.lower()

    return sorted(matches, key=rank)


_UNITS = {"lr": "learning rate", "step_seconds": "s a step", "batch_seconds": "s a batch"}


def unit_of(view: RunView, metric: str) -> str:
    """The unit of a metric, or its full name; "" if it is not known."""
    if metric == "rate" and view.summary.native:
        return clean_line(view.summary.status.unit, 20)
    if metric in _UNITS:
        return _UNITS[metric]
    printed = view.config.get("printed units")
    if not isinstance(printed, dict):
        return ""
    of_rank_0 = re.sub(r"^(?:rank\d+/|ranks/spread )", "", metric)
    return clean_line(str(printed.get(of_rank_0, "")), 20)


# --- The view of the curves, remembered for each thing that is watched ------------------------
# One small file each in the state folder: two apps write the same file only if they watch the
# same thing.

FOLDER = "views"
MAX_VIEW_FILES = 200  # the ones that were used last are kept

SideTab = Literal["sample", "console", "config", "system", "layers"]
SIDE_TABS: tuple[SideTab, ...] = get_args(SideTab)
WATCH_TABS: tuple[SideTab, ...] = tuple(tab for tab in SIDE_TABS if tab != "layers")
"""Those of `genui watch`, which runs no model."""


MAX_GRID = 9

GridSide = Annotated[int, Meta(ge=0, le=MAX_GRID)]
Grid = tuple[GridSide, GridSide]
"""The columns and rows of a page of curves, if they fit; 0 is as many as suit."""


def parse_grid(text: str) -> Grid:
    """Parse `2x3` (columns × rows), `2` (columns), or "auto". Raises MisuseError."""
    match = re.fullmatch(r"([1-9])\s*(?:[x×,]\s*([1-9]))?|auto|", text.strip().lower())
    if match is None:
        raise MisuseError(f"'{clean_line(text, 20)}' is not columns x rows: e.g. 2x3, 2, or auto")
    return int(match[1] or 0), int(match[2] or 0)


def format_grid(grid: Grid) -> str:
    return "×".join(str(number) for number in grid if number) or "auto"


SIDE_SHARES = range(20, 71)
"""Per cent of the width that the panel beside the curves can have."""

USUAL_SHARE = 38  # as in app.tcss
SHARE_STEP = 5


def parse_share(text: str) -> int:
    """Parse the per cent of the width for the panel; 0 for "auto". Raises MisuseError."""
    word = text.strip().removesuffix("%").strip()
    if word.lower() in ("auto", ""):
        return 0
    if not word.isdecimal() or int(word[:4]) not in SIDE_SHARES:
        least, most = SIDE_SHARES[0], SIDE_SHARES[-1]
        raise MisuseError(f"'{clean_line(text, 20)}' is not a width: {least} to {most} %, or auto")
    return int(word)


_SCALES = {False: "linear", True: "logarithmic"}
_LINES = {False: "off", True: "on"}


class ViewState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the user has chosen. `view` and `cursor` are in units of the x axis."""

    runs: tuple[str, ...] = ()  # their folders or files; keys control the first
    filter: str = ""  # a regular expression or a glob
    pins: tuple[str, ...] = ()
    axis: XAxis = "step"
    as_defined: bool = True  # instead of steps, curves have the x axis that their tool defined
    overlays: tuple[tuple[str, str], ...] = ()  # keys of plots: one, and another drawn over it
    smoothing: Annotated[
        float,
        Meta(ge=0, lt=1),
        about(
            "0 is off, nearer 1 is smoother: W&B's time-weighted average",
            step=(0.0, 0.5, 0.9, 0.97, 0.99),
            wraps=True,
            off=0.0,
        ),
    ] = 0.9
    log_y: Annotated[bool, about("Linear or logarithmic", "y scale", choices=_SCALES)] = False
    log_x: Annotated[bool, about("Linear or logarithmic", "x scale", choices=_SCALES)] = False
    guides: Annotated[
        bool, about("Lines across the curves at the labels of the values", choices=_LINES)
    ] = False
    grid: Grid = (0, 0)
    view: tuple[float, float] | None = None  # None: everything, following the newest point
    follow: bool = True  # the view moves with the newest point
    cursor: float | None = None
    chosen: str = ""  # the key of a plot
    alone: bool = False  # only the chosen plot is shown
    side: SideTab | None = None  # None until one is chosen: see `Board.side`
    side_shown: bool = False  # in place of the curves, if there is no room for both
    side_share: int = 0  # per cent of the width, one of SIDE_SHARES; 0 is the usual width
    table: TableState = TableState()


VIEW_SETTINGS = {name: one for name, one in settings_of(ViewState).items() if one.description}
"""The fields that the Settings panel changes, and that a Curve has too."""


def curve_settings(state: ViewState) -> dict[str, Any]:
    """The values of a Curve's reactives, by name."""
    values = {name: getattr(state, name) for name in (*VIEW_SETTINGS, "view", "cursor")}
    return {"unit": unit_of_axis(state.axis)} | values


def recall(key: str) -> ViewState:
    """Load the view saved under `key`; the defaults if there is none or the file is damaged."""
    state = files.recall(_path(key), ViewState)
    return state if state is not None and _is_sane(state) else ViewState()


def remember(key: str, state: ViewState) -> None:
    """Save the view under `key`. Never raises: if it cannot be written, only the view is lost."""
    path = _path(key)
    files.remember(path, state)
    with suppress(OSError):
        _remove_oldest(path.parent)


def _path(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return paths.state_dir() / FOLDER / f"{name}.json"


def _is_sane(state: ViewState) -> bool:
    """Whether this version could have written it."""
    numbers = [*(state.view or (0.0, 1.0)), state.cursor or 0.0]
    try:
        pattern(state.filter)
        RunFilter(state.table.filter)
    except MisuseError:
        return False
    if state.axis not in AXES and not metric_of(state.axis):
        return False
    if state.side_share and state.side_share not in SIDE_SHARES:
        return False
    ascending = state.view is None or state.view[0] < state.view[1]
    return ascending and all(map(math.isfinite, numbers))


def _remove_oldest(folder: Path) -> None:
    views = list(folder.glob("*.json"))
    if len(views) > MAX_VIEW_FILES:
        for path in sorted(views, key=lambda path: path.stat().st_mtime)[:-MAX_VIEW_FILES]:
            path.unlink(missing_ok=True)


# --- Moving the view --------------------------------------------------------------------------

_AHEAD = 0.1  # of its width: how far a following view extends beyond the newest point


def follow_x(view: View, newest: float) -> View:
    """Move the view to the newest point once that is outside, or far from the view's end.

    Each move redraws the whole chart, so the view moves in leaps.
    """
    width = view[1] - view[0]
    if view[1] - 2 * _AHEAD * width <= newest <= view[1]:
        return view
    return newest - (1 - _AHEAD) * width, newest + _AHEAD * width


def bring_into_view(view: View, x: float) -> View:
    """Move the view as little as possible so that it contains `x`."""
    width = view[1] - view[0]
    first = min(max(view[0], x - width), x)
    return first, first + width


class ChartRange(NamedTuple):
    """What the chosen curve shows, in units of the x axis."""

    visible: View  # the first and last visible x
    extent: View  # the first and last x of the data
    column: float  # the width of a terminal column


# --- The runs that are shown, and what each key does to the view of them ----------------------

MAX_RUNS = 200  # that are shown together
NO_POINTS = "there are no points yet"
NO_CURVES = "there are no curves yet"

_AXIS_UNITS = {"step": "steps", "time": "the time since the first record", "tokens": "tokens",
               "epochs": "epochs"}  # fmt: skip
_ZOOM_FACTOR = 2.0
_PAN_SHARE = 0.25  # of the visible range
_MAX_MARKS = 400  # points that are drawn as single marks beside a metric with many more
_MIN_GROWTH = 8  # new points after which the noise of a short series is measured again
_MAX_NAME = 24  # cells of a run's name in a legend


@dataclass(frozen=True)
class SeriesLine:
    """One metric of one run in a curve."""

    label: str  # the run, if there are several, and the part
    part: str  # "train" or "val", if the plot has both
    x: np.ndarray
    values: np.ndarray
    kind: Kind
    look: Look
    unit: str  # of its values, or what it measures
    points: Points  # the source arrays: the same object while nothing is new


def curve_series(
    lines: Sequence[SeriesLine],
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Kind], dict[str, Look]]:
    """Points, kinds and looks of the lines, by label: the arguments of `Curve.set_series`."""
    points = {line.label: (line.x, line.values) for line in lines}
    kinds: dict[str, Kind] = {line.label: line.kind for line in lines}
    return points, kinds, {line.label: line.look for line in lines}


class Board:
    """The runs that are shown together, the newest view of each, and what the user has chosen.

    The methods for keys return a line for the user, or "".
    """

    def __init__(
        self,
        runs: Sequence[RunSummary],
        state: ViewState,
        tabs: Sequence[SideTab] = SIDE_TABS,
    ) -> None:
        self.runs: list[RunSummary] = list(runs)
        self.state = state
        self.tabs = tabs
        self.views: dict[RunDir, RunView] = {}
        self._start_times: dict[RunDir, float | None] = {}
        # By run, metric and axis: the points of the metric and of the axis, and the x.
        self._places: dict[
            tuple[RunDir, str, XAxis], tuple[tuple[Points, Points | None], np.ndarray | None]
        ] = {}
        self._noisy: dict[tuple[RunDir, str], tuple[int, bool]] = {}
        self._all_plots: tuple[object, list[Plot]] = (None, [])
        self._plots: tuple[object, list[Plot]] = (None, [])

    def change(self, **fields: Any) -> None:
        if fields.get("axis", self.state.axis) != self.state.axis:
            self._places.clear()
        if fields.get("log_x", self.state.log_x) != self.state.log_x:
            fields |= {"view": None, "follow": True}
        self.state = msgspec.structs.replace(self.state, **fields)

    def set(self, name: str, value: Any) -> str:
        """Set a field that is a setting."""
        self.change(**{name: value})
        one = VIEW_SETTINGS[name]
        return f"{one.title} {one.show(value)}" if one.choices is None else ""

    def nudge(self, name: str, by: int = 1) -> str:
        """Set a field that is a setting to its next value, or the one before."""
        return self.set(name, VIEW_SETTINGS[name].nudge(getattr(self.state, name), by))

    # --- runs -------------------------------------------------------------------------

    @property
    def first(self) -> RunView | None:
        """The run that the keys control; None until it has been read."""
        return self.views.get(self.runs[0].run) if self.runs else None

    @property
    def shown(self) -> list[RunView]:
        """The runs that have been read, the controlled one first."""
        return [self.views[one.run] for one in self.runs if one.run in self.views]

    def receive(self, view: RunView) -> bool:
        """Take a new view of one of the runs; False if that run is no longer shown."""
        if all(one.run != view.summary.run for one in self.runs):
            return False
        self.views[view.summary.run] = view
        return True

    def set_runs(self, runs: Sequence[RunSummary]) -> None:
        """Show these runs; those that were already shown keep their views."""
        self.runs = list(runs)
        self.views = {one.run: self.views[one.run] for one in runs if one.run in self.views}
        self.change(runs=tuple(str(one.run.path) for one in runs))

    def toggle(self, run: RunSummary) -> str:
        """Show this run with the others, or remove it."""
        runs = [one for one in self.runs if one.run != run.run]
        if len(runs) == len(self.runs):
            runs.append(run)
        if not runs:
            return "one run must be shown: add another first"
        if len(runs) > MAX_RUNS:
            return f"{MAX_RUNS} runs are the most that can be shown together: remove one first"
        self.set_runs(runs)
        return ""

    def pick(self, runs: Sequence[RunSummary]) -> str:
        """Show these runs in place of the others, the first in front."""
        if not runs:
            return ""
        self.set_runs(runs[:MAX_RUNS])
        if len(runs) > MAX_RUNS:
            return f"the first {MAX_RUNS} of {len(runs):,} runs are shown together"
        return ""

    def turn(self, by: int) -> str:
        """Make another of the runs the first, which the keys control."""
        if len(self.runs) < 2:
            return f"{'only one' if self.runs else 'no'} run is shown: o adds others"
        by %= len(self.runs)
        self.set_runs([*self.runs[by:], *self.runs[:by]])
        return ""

    def put_first(self, run: RunSummary) -> None:
        """Show a run that was just started first; the view covers the whole axis, as it is at 0."""
        self.set_runs([run, *self.runs][:MAX_RUNS])
        self.change(view=None, follow=True, cursor=None)

    def run_names(self) -> dict[RunDir, str]:
        """The names of the runs, with the end of the id if two have the same name."""
        names = [one.info.name for one in self.runs]

        def label(name: str, run: RunDir) -> str:
            unique = names.count(name) == 1
            return name if unique else f"{name[: _MAX_NAME - 5]} {run.id[-4:]}"

        return {one.run: clean_line(label(one.info.name, one.run), _MAX_NAME) for one in self.runs}

    # --- plots ------------------------------------------------------------------------

    def all_plots(self) -> list[Plot]:
        """The plots of the metrics of all runs: without a filter of those that are not hidden."""
        runs = tuple(
            (view.summary.run, len(view.series), view.summary.info.metrics) for view in self.shown
        )
        key = (runs, self.state.overlays, bool(self.state.filter))
        if key != self._all_plots[0]:
            names = {
                name: None
                for view in self.shown
                for name in view.series
                if self.state.filter or not is_hidden(view.summary.info.metrics, name)
            }
            self._all_plots = key, overlay_plots(make_plots(names), self.state.overlays)
        return self._all_plots[1]

    def plots(self) -> list[Plot]:
        """The plots that match the filter, in the order in which they are shown."""
        plots = self.all_plots()
        key = (id(plots), self.state.filter, self.state.pins)
        if key != self._plots[0]:
            self._plots = key, select_plots(plots, pattern(self.state.filter), self.state.pins)
        return self._plots[1]

    def chosen(self) -> int:
        """The index of the chosen plot in `plots`; 0 if it is not among them."""
        matches = (at for at, plot in enumerate(self.plots()) if plot.key == self.state.chosen)
        return next(matches, 0)

    def lines(self, plot: Plot) -> list[SeriesLine]:
        """The lines of a plot: its metrics of every run, if the axis is known for them.

        A run has the same colour and sign in every curve; its line on held-out data is dashed.
        Metrics drawn over each other have the colours of several runs if there is one run, and
        else are dashed.
        """
        lines: list[SeriesLine] = []
        names = self.run_names()
        order = {one.run: number for number, one in enumerate(self.runs)}
        axis = self.axis_of(plot)
        for metric in plot.metrics:
            for view in self.shown:
                hue = order[view.summary.run]
                points = view.series.get(metric)
                if points is None:
                    continue
                x, values = self._place(view, metric, points, axis)
                if x is None or not len(x):
                    continue
                # Compared within a run: a new run beside an old one is a line too.
                known = [view.series[name] for name in plot.metrics if name in view.series]
                longest = max(len(one[0]) for one in known)
                few = len(x) <= _MAX_MARKS and len(x) * 4 <= longest
                kind: Kind = "marks" if few else self._kind(view.summary.run, metric, values)
                part = ""
                if plot.over:
                    part = clean_line(metric, _MAX_NAME)
                elif len(plot.metrics) > 1:
                    part = "train" if metric == plot.key else "val"
                dashed = part == "val"
                if plot.over and len(self.runs) == 1:
                    hue = plot.metrics.index(metric) % MAX_RUNS
                elif plot.over:
                    dashed = metric != plot.key
                look = Look(hue, dashed=dashed, over=metric in plot.over)
                unit = unit_of(view, metric)
                run = names[view.summary.run] if len(self.runs) > 1 else ""
                label = f"{run} {part}".strip() or clean_line(metric, 60)
                lines.append(SeriesLine(label, part, x, values, kind, look, unit, points))
        return lines

    def _place(
        self, view: RunView, name: str, points: Points, axis: XAxis
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """The x and the values of the points of a metric. On the axis of a metric that also falls,
        they are paired and in order of x."""
        counts = view.series.get(metric_of(axis))
        if counts is not None and (np.diff(counts[1]) < 0).any():
            return pair(points, counts)
        return self._positions(view, name, points, axis), points[1]

    def _kind(self, run: RunDir, metric: str, values: np.ndarray) -> Kind:
        """Whether to smooth a series; its noise is measured again once it has grown."""
        known = self._noisy.get((run, metric))
        if known is None or not known[0] <= len(values) < 1.5 * known[0] + _MIN_GROWTH:
            known = self._noisy[run, metric] = (len(values), is_noisy(values))
        return "smoothed" if known[1] else "line"

    # --- the x axis -------------------------------------------------------------------

    def axes(self) -> list[XAxis]:
        """The x axes that are known for the first run, after AS_DEFINED if its tool has one."""
        known = known_axes(self.first) if self.first is not None else ["step"]
        return [AS_DEFINED, *known] if self._has_defined else known

    @property
    def _has_defined(self) -> bool:
        return any(view.extras.axes for view in self.shown)

    @property
    def axis_name(self) -> str:
        """The x axis as the user chooses it: one of `axes`, or the name of a metric."""
        axis = self.state.axis
        if axis == "step" and self.state.as_defined and self._has_defined:
            return AS_DEFINED
        return metric_of(axis) or axis

    def axis_of(self, plot: Plot) -> XAxis:
        """The x axis of a plot: the chosen one or, if the user has chosen none, the metric that
        the tools of all its runs defined for all its metrics."""
        state = self.state
        if state.axis != "step" or not state.as_defined:
            return state.axis
        defined = {
            view.extras.axes.get(metric, "")
            for view in self.shown
            for metric in plot.metrics
            if metric in view.series
        }
        return METRIC + defined.pop() if len(defined) == 1 and any(defined) else state.axis

    def state_of(self, plot: Plot) -> ViewState:
        """The state for a plot: if its axis is its own, the view and the cursor are on that."""
        state, axis = self.state, self.axis_of(plot)
        known = self._steps_and_x(axis) if axis != state.axis else None
        if known is None:
            return state
        steps, x = known
        view = state.view and tuple(np.interp(state.view, steps, x).tolist())
        cursor = None if state.cursor is None else float(np.interp(state.cursor, steps, x))
        if view is not None and view[0] >= view[1]:
            view = None  # it has no points there
        return msgspec.structs.replace(state, axis=axis, view=view, cursor=cursor)

    def from_plot(self, plot: Plot, *places: float) -> tuple[float, ...]:
        """The places on the chosen axis of places on the axis of a plot."""
        axis = self.axis_of(plot)
        known = self._steps_and_x(axis) if axis != self.state.axis else None
        return places if known is None else tuple(np.interp(places, known[1], known[0]).tolist())

    def _steps_and_x(self, axis: XAxis) -> tuple[np.ndarray, np.ndarray] | None:
        """The steps of the metric that is an axis and its greatest values up to them, of the first
        run that has it."""
        name = metric_of(axis)
        for view in self.shown:
            if name in view.series:
                steps, values, _ = view.series[name]
                finite = np.isfinite(values)
                if finite.any():
                    return steps[finite], np.maximum.accumulate(values[finite])
        return None

    @property
    def cursor_step(self) -> float | None:
        """The step of the cursor; None for the newest."""
        return None if self.state.cursor is None else self.step_at(self.state.cursor)

    def step_at(self, x: float) -> float:
        """The first run's last step at or before `x`."""
        reference = self._reference()
        if reference is None or self.state.axis == "step":
            return x
        steps, places = reference
        at = int(places.searchsorted(x, side="right")) - 1
        return float(steps[max(at, 0)])

    def newest_step(self) -> int:
        """The last step that the first run has logged; 0 if there is none."""
        view = self.first
        steps = [points[0] for points in view.series.values()] if view is not None else []
        return max((int(one[-1]) for one in steps if len(one)), default=0)

    def overlaps(self) -> tuple[tuple[float, float], ...]:
        """The ranges of x in which the first run logged steps a second time."""
        overlaps = self.first.overlaps if self.first is not None else ()
        return tuple((self.place_of(first), self.place_of(last)) for first, last in overlaps)

    def place_of(self, step: float) -> float:
        """The x of a step of the first run."""
        reference = self._reference()
        if reference is None or self.state.axis == "step":
            return step
        steps, places = reference
        at = int(steps.searchsorted(step, side="right")) - 1
        return float(places[max(at, 0)])

    def _reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The steps of the first run's longest series, and their x."""
        view = self.first
        if view is None or not view.series:
            return None
        name, points = max(view.series.items(), key=lambda item: len(item[1][0]))
        places = self._positions(view, name, points, self.state.axis)
        return None if places is None or not len(places) else (points[0], places)

    def _positions(
        self, view: RunView, name: str, points: Points, axis: XAxis
    ) -> np.ndarray | None:
        """The x of the points of a metric, cached until there are new points."""
        run = view.summary.run
        if axis == "step":
            return points[0]
        if self._start_times.get(run) is None:
            self._start_times[run] = start_time(view)
        source = (points, view.series.get(metric_of(axis)))
        known = self._places.get((run, name, axis))
        if known is None or known[0][0] is not points or known[0][1] is not source[1]:
            known = (source, x_positions(axis, view, points, self._start_times[run]))
            self._places[run, name, axis] = known
        return known[1]

    # --- the cursor -------------------------------------------------------------------

    def move_cursor(self, columns: int, chart: ChartRange) -> None:
        """Move the cursor by columns, starting at the newest visible point."""
        first, last = chart.extent
        x = self.state.cursor
        if x is None:
            x = min(chart.visible[1], last)
        x += columns * chart.column
        if self.state.axis == "step":  # a column may be narrower than a step
            if abs(chart.column) >= 1:
                x = round(x)
            else:
                x = math.ceil(x) if columns > 0 else math.floor(x)
        self.point(min(max(x, first), last))

    def move_to_end(self, direction: int, chart: ChartRange) -> str:
        """Move the cursor to the first or the last visible point; from the last, follow the
        newest."""
        (start, end), (first, last) = chart.visible, chart.extent
        point = max(start, first) if direction < 0 else min(end, last)
        if direction > 0 and self.state.cursor == point:
            return self.follow_newest()
        self.point(point)
        return ""

    def point(self, x: float) -> None:
        """Put the cursor at `x`, and move the view if that is outside."""
        view = self.state.view
        if view is not None and not view[0] <= x <= view[1]:
            self.change(cursor=x, view=bring_into_view(view, x), follow=False)
        else:
            self.change(cursor=x)

    def point_at_step(self, step: float | None) -> None:
        """Put the cursor on a step of the first run; None removes it."""
        if step is None:
            self.change(cursor=None)
        else:
            self.point(self.place_of(step))

    def move_to_sample(self, by: int) -> str:
        """Move the cursor to the sample before or after; at the last one, follow the newest."""
        steps = sample_steps(self.shown)
        if not steps:
            return "this run has no samples yet"
        before, after = neighbours(steps, self.cursor_step)
        step = before if by < 0 else after
        if step is not None:
            self.point_at_step(None if step == steps[-1] else step)
        return ""

    # --- zoom and pan -----------------------------------------------------------------

    def zoom(self, direction: int, chart: ChartRange) -> None:
        """Zoom in or out about the cursor, or else about the newest visible point."""
        state = self.state
        center = state.cursor
        if center is None:
            center = min(chart.visible[1], chart.extent[1])
        factor = _ZOOM_FACTOR**-direction
        view = zoom(state.view, chart.extent, factor, center, log_x=state.log_x)
        follow = view is None or (state.follow and state.cursor is None)
        self.change(view=view, follow=follow)

    def pan(self, direction: int, chart: ChartRange) -> str:
        """Move the view to earlier or later points."""
        state = self.state
        if state.view is None:
            return "all of it is shown: + zooms in"
        view = pan(state.view, chart.extent, _PAN_SHARE * direction, log_x=state.log_x)
        self.look_at(view)
        return ""

    def look_at(self, view: View | None) -> None:
        """Show this part of the x axis; None for all of it, following the newest point."""
        self.change(view=view, follow=view is None)

    def show_everything(self) -> None:
        self.look_at(None)

    def follow_newest(self) -> str:
        """Remove the cursor and follow the newest point at the current zoom."""
        self.change(follow=True, cursor=None)
        self.follow()
        return "following the newest step"

    def follow(self) -> None:
        """Move a view that follows to the newest point."""
        state, plots = self.state, self.plots()
        if state.view is None or not state.follow or not plots:
            return
        plot = plots[self.chosen()]
        if ends := [float(line.x[-1]) for line in self.lines(plot)]:
            (newest,) = self.from_plot(plot, max(ends))
            self.change(view=follow_x(state.view, newest))

    # --- axes -------------------------------------------------------------------------

    def next_axis(self, by: int = 1) -> str:
        """Switch to the next known x axis or the one before; the cursor stays at its step."""
        axes = self.axes()
        current = AS_DEFINED if self.axis_name == AS_DEFINED else self.state.axis
        if len(axes) < 2 and current in axes:
            return "this run has steps only"
        return self.set_axis(next_of(axes, current, by) if current in axes else axes[0])

    def set_axis(self, axis: XAxis) -> str:
        """Show another x axis; the cursor stays at its step."""
        step, as_defined = self.cursor_step, axis == AS_DEFINED
        self.change(
            axis="step" if as_defined else axis,
            as_defined=as_defined or not self._has_defined,
            view=None,
            follow=True,
        )
        self.change(cursor=None if step is None else self.place_of(step))
        if as_defined:
            return "curves have the x axis that their metric was defined with, the others steps"
        if name := metric_of(axis):
            return f"the x axis is {clean_line(name, 40)}"
        return f"the x axis counts {_AXIS_UNITS[axis]}"

    def parse_axis(self, text: str) -> XAxis:
        """The x axis that was typed: one that is known, or a metric. Raises MisuseError."""
        word, axes = text.strip(), self.axes()
        if word in axes:
            return word
        return METRIC + self._metric(word, [one for one in axes if not metric_of(one)])

    def _metric(self, word: str, others: Sequence[str] = ()) -> str:
        """A metric of any run. Raises MisuseError, one line with the nearest names."""
        names = {name for view in self.shown for name in view.series}
        if word not in names:
            near = did_you_mean(word, [*others, *names])
            raise MisuseError(f"no metric '{clean_line(word, 40)}': {clean_line(near, 100)}")
        return word

    def overlay(self, text: str) -> str:
        """Draw the metric that was typed over the chosen curve; without one, only the curve.
        Raises MisuseError."""
        if not (plots := self.plots()):
            return NO_CURVES
        below, word = plots[self.chosen()], text.strip()
        others = tuple(one for one in self.state.overlays if below.key not in one)
        if not word:
            self.change(overlays=others, chosen=below.key)
            return f"{clean_line(below.key, 40)} has a curve of its own"
        name = self._metric(word)
        over = next((plot.key for plot in self.all_plots() if name in plot.metrics), name)
        if over == below.key:
            return f"{clean_line(name, 40)} is in this curve"
        kept = tuple(one for one in self.state.overlays if over not in one)
        self.change(overlays=(*kept, (below.key, over)), chosen=below.key)
        return f"{clean_line(over, 40)} is over {clean_line(below.key, 40)}"

    def overlaid(self) -> str:
        """The metrics over the chosen curve."""
        plots = self.plots()
        plot = plots[self.chosen()] if plots else None
        if plot is None or not plot.over:
            return ""
        return ", ".join(over for below, over in self.state.overlays if below == plot.key)

    def add_columns(self, by: int) -> None:
        """One more column of curves, or one less; after the last is automatic."""
        columns, rows = self.state.grid
        self.change(grid=((columns + by) % (MAX_GRID + 1), rows))

    # --- which curve ------------------------------------------------------------------

    def choose(self, by: int) -> str:
        """Choose the next or previous curve, across pages."""
        if not (plots := self.plots()):
            return NO_CURVES
        self.change(chosen=plots[(self.chosen() + by) % len(plots)].key)
        return ""

    def turn_page(self, by: int, capacity: int) -> str:
        """Turn to the next or previous page of `capacity` curves."""
        if not (plots := self.plots()):
            return NO_CURVES
        size = 1 if self.state.alone else capacity
        first = (self.chosen() // size + by) * size
        if 0 <= first < len(plots):
            self.change(chosen=plots[first].key)
        return ""

    def toggle_alone(self) -> str:
        """Show only the chosen curve, or all again."""
        if not self.plots():
            return NO_CURVES
        self.change(alone=not self.state.alone)
        return ""

    def toggle_pin(self) -> str:
        """Pin the chosen curve to the front, or unpin it."""
        if not (plots := self.plots()):
            return NO_CURVES
        key, pins = plots[self.chosen()].key, self.state.pins
        others = tuple(pin for pin in pins if pin != key)
        self.change(pins=others if key in pins else (*pins, key), chosen=key)
        return ""

    # --- the panel beside the curves --------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.shown, self.cursor_step, self.state.axis, self.state.view)

    @property
    def side(self) -> SideTab:
        """The panel beside the curves: the chosen one or, until one is chosen, the samples; of runs
        that make none, the console."""
        return self.state.side or ("console" if all_without_samples(self.shown) else "sample")

    def resize_side(self, share: float) -> None:
        """Give the panel this share of the width, 0 to 1, as far as it and the curves have room."""
        self.change(side_share=min(max(round(100 * share), SIDE_SHARES[0]), SIDE_SHARES[-1]))

    def widen_side(self, by: int) -> None:
        """Make the panel wider by SHARE_STEP, or narrower."""
        share = self.state.side_share or USUAL_SHARE
        self.resize_side((share // SHARE_STEP + by) * SHARE_STEP / 100)

    def next_side(self, wide: bool, by: int = 1) -> None:
        """Show the next panel, or the one before; if the screen is not wide, in place of the
        curves, which come between the last panel and the first."""
        state, tabs, side = self.state, self.tabs, self.side
        ends = tabs[0], tabs[-1]
        if not wide and not state.side_shown:
            self.change(side_shown=True, side=ends[0] if by > 0 else ends[1])
        elif not wide and side == (ends[1] if by > 0 else ends[0]):
            self.change(side_shown=False)
        else:
            self.change(side=next_of(tabs, side, by))
