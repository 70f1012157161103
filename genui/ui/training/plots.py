"""The plots of the Training screen: which metrics share one, their order, and their lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genui.base.text import clean_line
from genui.render.series import Look
from genui.runs.definitions import is_hidden
from genui.runs.layout import RunDir
from genui.ui.training.axes import Places, pair
from genui.ui.training.shown import MAX_RUNS, ShownRuns
from genui.ui.training.state import AS_DEFINED, METRIC, ViewState, XAxis, metric_of, pattern
from genui.ui.watcher import RunView

if TYPE_CHECKING:
    from genui.render.series import Kind
    from genui.ui.watcher import Points

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
    name: str = ""  # that of metrics which differ in a number alone

    @property
    def key(self) -> str:
        return self.metrics[0]

    @property
    def is_named(self) -> bool:
        """Whether its lines are told apart by names, and are not of training and held-out data."""
        return bool(self.over or self.name)

    def name_part(self, metric: str) -> str:
        """What tells the line of a metric from the others in this plot."""
        if self.over:
            return clean_line(metric)
        if self.name:
            return metric.removeprefix(f"{self.name}/")
        if len(self.metrics) == 1:
            return ""
        return "train" if metric == self.key else "val"


_NUMBERED = re.compile(r"(.+)/\d{1,6}")
_MOST_NUMBERED = 8  # lines that a plot can tell apart
_ENERGY = frozenset({"joules", "joules_estimate"})
"""Metrics that rise evenly."""


def make_plots(names: Collection[str]) -> list[Plot]:
    """A plot for each metric, in the order of `names`; a validation metric joins its training
    metric: `val_loss` joins `loss`, `eval/acc` joins `acc`, `train_acc` or `train/acc`. A few that
    differ in a number share one: `exposure/1` and `exposure/64`.
    """
    groups: dict[str, list[str]] = {name: [name] for name in names}
    for name in names:
        if (partner := _training_metric(name, groups)) is not None:
            groups[partner] += groups.pop(name)
    numbered: dict[str, list[str]] = {}
    for name, metrics in groups.items():
        if (match := _NUMBERED.fullmatch(name)) and len(metrics) == 1:
            numbered.setdefault(match[1], []).append(name)
    shared = {}
    for name, (first, *others) in numbered.items():
        if 0 < len(others) < _MOST_NUMBERED:
            groups[first] += [groups.pop(other)[0] for other in others]
            shared[first] = name
    return [Plot(tuple(group), name=shared.get(key, "")) for key, group in groups.items()]


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
    other losses, then the rest in their order, and the energy last.
    """
    matches = [plot for plot in plots if any(map(filter.search, plot.metrics))]
    pin_order = {key: at for at, key in enumerate(pins)}

    def rank(plot: Plot) -> tuple[int, bool, bool, bool]:
        pin = pin_order.get(plot.key, len(pin_order))
        return pin, len(plot.metrics) == 1, "loss" not in plot.key.lower(), plot.key in _ENERGY

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


# --- The lines of a plot ----------------------------------------------------------------------

_MAX_MARKS = 400  # points that are drawn as single marks beside a metric with many more
_MIN_GROWTH = 8  # new points after which the noise of a short series is measured again


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


class Curves:
    """The plots of the runs that a ViewState shows, and the lines of each."""

    def __init__(self, runs: ShownRuns, places: Places) -> None:
        self._runs, self._places = runs, places
        self._noisy: dict[tuple[RunDir, str], tuple[int, bool]] = {}
        self._every: tuple[object, list[Plot]] = (None, [])
        self._selected: tuple[object, list[Plot]] = (None, [])

    def every(self, state: ViewState) -> list[Plot]:
        """The plots of the metrics of all runs: without a filter of those that are not hidden."""
        views = self._runs.views
        runs = tuple(
            (view.summary.run, len(view.series), view.summary.info.metrics) for view in views
        )
        key = (runs, state.overlays, bool(state.filter))
        if key != self._every[0]:
            names = {
                name: None
                for view in views
                for name in view.series
                if state.filter or not is_hidden(view.summary.info.metrics, name)
            }
            self._every = key, overlay_plots(make_plots(names), state.overlays)
        return self._every[1]

    def selected(self, state: ViewState) -> list[Plot]:
        """The plots that match the filter, in the order in which they are shown."""
        plots = self.every(state)
        key = (id(plots), state.filter, state.pins)
        if key != self._selected[0]:
            self._selected = key, select_plots(plots, pattern(state.filter), state.pins)
        return self._selected[1]

    def axis_of(self, plot: Plot, state: ViewState) -> XAxis:
        """The x axis of a plot: the chosen one or, if curves have the axes that tools defined, the
        metric that those of all its runs defined for all its metrics."""
        if state.axis != AS_DEFINED:
            return state.axis
        defined = {
            view.extras.axes.get(metric, "")
            for view in self._runs.views
            for metric in plot.metrics
            if metric in view.series
        }
        return METRIC + defined.pop() if len(defined) == 1 and any(defined) else state.base_axis

    def lines(self, plot: Plot, axis: XAxis) -> list[SeriesLine]:
        """The lines of a plot: its metrics of every run, if the axis is known for them.

        A run has the same colour and sign in every curve; its line on held-out data is dashed.
        Metrics drawn over each other, or that differ in a number, have the colours of several runs
        if there is one run, and else are dashed.
        """
        lines: list[SeriesLine] = []
        names, views = self._runs.names(), self._runs.views
        order = {run: number for number, run in enumerate(names)}
        alone = len(names) == 1
        for metric in plot.metrics:
            for view in views:
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
                part = plot.name_part(metric)
                dashed = part == "val"
                if plot.is_named and alone:
                    hue = plot.metrics.index(metric) % MAX_RUNS
                elif plot.is_named:
                    dashed = metric != plot.key
                look = Look(hue, dashed=dashed, over=metric in plot.over)
                unit = unit_of(view, metric)
                run = "" if alone else names[view.summary.run]
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
        return self._places.of(view, name, points, axis), points[1]

    def _kind(self, run: RunDir, metric: str, values: np.ndarray) -> Kind:
        """Whether to smooth a series; its noise is measured again once it has grown."""
        known = self._noisy.get((run, metric))
        if known is None or not known[0] <= len(values) < 1.5 * known[0] + _MIN_GROWTH:
            known = self._noisy[run, metric] = (len(values), is_noisy(values))
        return "smoothed" if known[1] else "line"
