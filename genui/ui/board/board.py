"""What is watched and how it is looked at: the state of the Training screen, without widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from genui.render.sanitise import clean_line
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.ui.board.axes import along, began, known_axes
from genui.ui.board.plots import Plot, pattern, plots, wanted
from genui.ui.board.view_state import ViewState
from genui.ui.looking import RunView

# What computes is imported with the first points: a screen that has none yet is there sooner.
if TYPE_CHECKING:
    import numpy as np

    from genui.render.axis_names import Axis
    from genui.render.series import Kind
    from genui.render.xaxis import Points

_FEW = 400  # points that are drawn one by one, where another metric beside them has many
_FEWEST = 8  # points more after which a short series is looked at again
_NAME = 24  # cells of a run's name in a legend


@dataclass(frozen=True)
class Line:
    """One metric of one run, as a curve draws it."""

    label: str  # its run, where there are several, and its part
    part: str  # "train" or "val", where it shares the plot
    x: np.ndarray
    values: np.ndarray
    kind: Kind
    points: Points  # the arrays they are from: the same object while nothing is new


def series_of(
    lines: Sequence[Line],
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Kind]]:
    """The lines as curves take them: their points and their kinds, by label."""
    points = {line.label: (line.x, line.values) for line in lines}
    return points, {line.label: line.kind for line in lines}


class Board:
    """The runs that lie over each other, the newest look at each, and the view of them."""

    def __init__(self, runs: Sequence[RunSummary], state: ViewState) -> None:
        self.runs: list[RunSummary] = list(runs)
        self.state = state
        self.views: dict[RunDir, RunView] = {}
        self._began: dict[RunDir, float | None] = {}
        self._places: dict[tuple[RunDir, str, Axis], tuple[Points, np.ndarray | None]] = {}
        self._noisy: dict[tuple[RunDir, str], tuple[int, bool]] = {}
        self._every: tuple[object, list[Plot]] = (None, [])
        self._wanted: tuple[object, list[Plot]] = (None, [])

    def change(self, **fields: Any) -> None:
        """Another view: fields of ViewState by name."""
        if fields.get("axis", self.state.axis) != self.state.axis:
            self._places.clear()
        self.state = msgspec.structs.replace(self.state, **fields)

    # --- runs -------------------------------------------------------------------------

    @property
    def first(self) -> RunView | None:
        """The run that is steered, once it has been read."""
        return self.views.get(self.runs[0].run) if self.runs else None

    @property
    def shown(self) -> list[RunView]:
        """Every run that has been read, the steered one first."""
        return [self.views[one.run] for one in self.runs if one.run in self.views]

    def receive(self, view: RunView) -> bool:
        """A new look at one of the runs; False for another, which comes late."""
        if all(one.run != view.summary.run for one in self.runs):
            return False
        self.views[view.summary.run] = view
        return True

    def set_runs(self, runs: Sequence[RunSummary]) -> None:
        """Lay these over each other; what was read of one that stays is kept."""
        self.runs = list(runs)
        kept = {one.run for one in runs}
        self.views = {run: view for run, view in self.views.items() if run in kept}
        self.change(runs=tuple(str(one.run.path) for one in runs))

    def turn(self, by: int) -> None:
        """Make another of the runs the first."""
        if self.runs:
            by %= len(self.runs)
            self.set_runs([*self.runs[by:], *self.runs[:by]])

    def run_names(self) -> dict[RunDir, str]:
        """Each run by its name, with the end of its id where two have the same."""
        names = [one.info.name for one in self.runs]
        return {
            one.run: clean_line(
                name if names.count(name) == 1 else f"{name[: _NAME - 5]} {one.run.id[-4:]}", _NAME
            )
            for one, name in zip(self.runs, names, strict=True)
        }

    # --- plots ------------------------------------------------------------------------

    def every_plot(self) -> list[Plot]:
        """One a metric of any of the runs."""
        shown = self.shown
        if len(shown) == 1:
            names: Mapping[str, object] = shown[0].series
        else:
            names = {name: None for view in shown for name in view.series}
        key = tuple((view.summary.run, len(view.series)) for view in shown)
        if key != self._every[0]:
            self._every = key, plots(names)
        return self._every[1]

    def plots(self) -> list[Plot]:
        """Those that are wanted, in the order in which they are shown."""
        every = self.every_plot()
        key = (id(every), self.state.filter, self.state.pins)
        if key != self._wanted[0]:
            self._wanted = key, wanted(every, pattern(self.state.filter), self.state.pins)
        return self._wanted[1]

    def chosen(self) -> int:
        """The index of the chosen plot among those shown; the first where it is not one."""
        keys = (at for at, plot in enumerate(self.plots()) if plot.key == self.state.chosen)
        return next(keys, 0)

    def lines(self, plot: Plot) -> list[Line]:
        """The plot's metrics of every run, each where the axis has places for its points.

        The runs come in their order for each metric, so that the first metric of a run looks
        the same in every curve.
        """
        found: list[Line] = []
        names, shown = self.run_names(), self.shown
        most = [  # of each run by itself: a young one beside an old one is a line as well
            max((len(view.series[name][0]) for name in _had(view, plot)), default=0)
            for view in shown
        ]
        for metric in plot.metrics:
            for view, longest in zip(shown, most, strict=True):
                points = view.series.get(metric)
                x = self._along(view, metric, points) if points is not None else None
                if points is None or x is None or not len(x):
                    continue
                few = len(x) <= _FEW and len(x) * 4 <= longest
                kind: Kind = "marks" if few else self._kind(view.summary.run, metric, points[1])
                part = ""
                if len(plot.metrics) > 1:
                    part = "train" if metric == plot.key else "val"
                run = names[view.summary.run] if len(self.runs) > 1 else ""
                label = f"{run} {part}".strip() or clean_line(metric, 60)
                found.append(Line(label, part, x, points[1], kind, points))
        return found

    def _kind(self, run: RunDir, metric: str, values: np.ndarray) -> Kind:
        """As a noisy series or as one that is smooth by itself; asked again once it has grown."""
        known = self._noisy.get((run, metric))
        if known is None or not known[0] <= len(values) < 1.5 * known[0] + _FEWEST:
            from genui.ui.board.noise import is_noisy

            known = self._noisy[run, metric] = (len(values), is_noisy(values))
        return "smoothed" if known[1] else "line"

    # --- the x axis -------------------------------------------------------------------

    def axes(self) -> list[Axis]:
        """Those that the first run's points have places on."""
        return known_axes(self.first) if self.first is not None else ["step"]

    def step_at(self, x: float) -> float | None:
        """The first run's newest step at or before that place on the axis."""
        found = self._reference()
        if found is None or self.state.axis == "step":
            return x
        steps, places = found
        at = int(places.searchsorted(x, side="right")) - 1
        return float(steps[max(at, 0)])

    def newest_step(self) -> int:
        """The last that the first run has logged; 0 before there is one."""
        view = self.first
        steps = [points[0] for points in view.series.values()] if view is not None else []
        return max((int(one[-1]) for one in steps if len(one)), default=0)

    def overlaps(self) -> tuple[tuple[float, float], ...]:
        """From where to where the first run wrote steps again, on the axis."""
        written = self.first.overlaps if self.first is not None else ()
        ends = ((self.place_of(first), self.place_of(last)) for first, last in written)
        return tuple((a, b) for a, b in ends if a is not None and b is not None)

    def place_of(self, step: float) -> float | None:
        """Where the axis has that step of the first run."""
        found = self._reference()
        if found is None or self.state.axis == "step":
            return step
        steps, places = found
        at = int(steps.searchsorted(step, side="right")) - 1
        return float(places[max(at, 0)])

    def _reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps of the first run's longest series, and their places on the axis."""
        view = self.first
        if view is None or not view.series:
            return None
        name, points = max(view.series.items(), key=lambda item: len(item[1][0]))
        places = self._along(view, name, points)
        return None if places is None or not len(places) else (points[0], places)

    def _along(self, view: RunView, name: str, points: Points) -> np.ndarray | None:
        """The places of the points of a metric, computed once for each that is new."""
        run, axis = view.summary.run, self.state.axis
        if axis == "step":
            return points[0]
        if self._began.get(run) is None:
            self._began[run] = began(view)
        known = self._places.get((run, name, axis))
        if known is None or known[0] is not points:
            known = (points, along(axis, view, points, self._began[run]))
            self._places[run, name, axis] = known
        return known[1]


def _had(view: RunView, plot: Plot) -> list[str]:
    """The plot's metrics that the run has."""
    return [name for name in plot.metrics if name in view.series]
