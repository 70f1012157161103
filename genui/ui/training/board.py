"""The model of the Training screen: the runs, their curves, and the user's choices.

`Board` joins the runs (`shown`), where their points are (`axes`), their plots (`plots`) and a
`ViewState`, which `moves` changes too. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from genui.base.errors import MisuseError, did_you_mean
from genui.base.schema import Setting, next_of
from genui.base.text import clean_line
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.ui.training import moves
from genui.ui.training.axes import Places, known_axes
from genui.ui.training.moves import ChartRange
from genui.ui.training.plots import Curves, Plot, SeriesLine
from genui.ui.training.shown import MAX_RUNS, ShownRuns
from genui.ui.training.snapshot import Snapshot, all_without_samples, sample_steps, step_beside
from genui.ui.training.state import (
    AS_DEFINED,
    MAX_GRID,
    METRIC,
    SIDE_TABS,
    VIEW_SETTINGS,
    SideTab,
    ViewState,
    XAxis,
    format_grid,
    metric_of,
    parse_grid,
)
from genui.ui.watcher import RunView

NO_POINTS = "there are no points yet"
NO_CURVES = "there are no curves yet"

_AXIS_UNITS = {"step": "steps", "time": "the time since the first record", "tokens": "tokens",
               "epochs": "epochs"}  # fmt: skip


class Board:
    """The model of the Training screen.

    The methods for keys return a line for the user, or "", and raise MisuseError, one line, if they
    can do nothing.
    """

    def __init__(
        self,
        runs: Sequence[RunSummary],
        state: ViewState,
        tabs: Sequence[SideTab] = SIDE_TABS,
        views: Mapping[RunDir, RunView] | None = None,
    ) -> None:
        self.state = state
        self.tabs = tabs
        self.wide = True  # whether the panel has room beside the curves
        self.capacity = 1  # the curves that have room on a page
        self.runs = ShownRuns(runs, views)
        self.places = Places(self.runs)
        self.curves = Curves(self.runs, self.places)

    def change(self, **fields: Any) -> None:
        """Change fields of the state; on another x axis the cursor stays at its step."""
        state, step = self.state, self.cursor_step
        new_axis = fields.get("axis", state.axis) != state.axis
        if new_axis or fields.get("log_x", state.log_x) != state.log_x:
            fields |= {"view": None, "follow": True}
        self.state = replace(state, **fields)
        if new_axis:
            self.places.forget()
            self.point_at_step(step)

    def show_runs(self, act: Callable[..., str | None], *values: Any) -> str:
        """Change the runs with a method of ShownRuns; returns a line for the user."""
        line = act(self.runs, *values)
        self.change(runs=tuple(str(one.run.path) for one in self.runs.listed))
        return line or ""

    def put_first(self, run: RunSummary) -> None:
        """Show a run first, with the others. The view covers the whole axis: the run may have just
        started."""
        others = [one for one in self.runs.listed if one.run != run.run]
        self.show_runs(ShownRuns.set, [run, *others][:MAX_RUNS])
        self.change(view=None, follow=True, cursor=None)

    # --- the settings -----------------------------------------------------------------

    @property
    def values(self) -> ViewState:
        """The state with what holds where the user has chosen nothing."""
        return replace(self.state, axis=self.axis, side=self.side)

    def settings(self) -> dict[str, Setting]:
        """The settings of the curves, with the choices that these runs allow."""
        axes = dict.fromkeys([*self.axes(), self.axis])
        columns, rows = self.state.grid
        grids = [((columns + more) % (MAX_GRID + 1), rows) for more in range(MAX_GRID + 1)]
        own: dict[str, dict[str, Any]] = {
            "axis": {
                "choices": {axis: metric_of(axis) or axis for axis in axes},
                "read": self.parse_axis,
            },
            "grid": {"choices": {grid: format_grid(grid) for grid in grids}, "read": parse_grid},
            "side": {"choices": {tab: tab for tab in self.tabs}},
        }
        return {name: replace(one, **own.get(name, {})) for name, one in VIEW_SETTINGS.items()}

    def set(self, name: str, value: Any) -> str:
        """Set a field that is a setting."""
        if name == "axis":
            return self._set_axis(value)
        self.change(**{name: value})
        one = VIEW_SETTINGS[name]
        return f"{one.title} {one.show(value)}" if one.adjustable and one.choices is None else ""

    def nudge(self, name: str, by: int = 1) -> str:
        """Set a field that is a setting to its next value, or the one before."""
        return self.set(name, self.settings()[name].nudge(getattr(self.values, name), by))

    # --- plots ------------------------------------------------------------------------

    def plots(self) -> list[Plot]:
        """The plots that match the filter, in the order in which they are shown."""
        return self.curves.selected(self.state)

    def lines(self, plot: Plot) -> list[SeriesLine]:
        return self.curves.lines(plot, self.curves.axis_of(plot, self.state))

    def chosen(self) -> int:
        """The index of the chosen plot in `plots`; 0 if it is not among them."""
        matches = (at for at, plot in enumerate(self.plots()) if plot.key == self.state.chosen)
        return next(matches, 0)

    def chosen_plot(self) -> Plot:
        """The chosen plot. Raises MisuseError if there is none."""
        if not (plots := self.plots()):
            raise MisuseError(NO_CURVES)
        return plots[self.chosen()]

    # --- the x axis -------------------------------------------------------------------

    def axes(self) -> list[XAxis]:
        """The x axes that are known for the first run, after AS_DEFINED if its tool has one."""
        known = known_axes(self.runs.first) if self.runs.first is not None else ["step"]
        return [AS_DEFINED, *known] if self._has_defined else known

    @property
    def _has_defined(self) -> bool:
        return any(view.extras.axes for view in self.runs.views)

    @property
    def axis(self) -> XAxis:
        """The x axis that the user has chosen, one of `axes` or a metric."""
        return self.state.axis if self._has_defined else self.state.base_axis

    def _set_axis(self, axis: XAxis) -> str:
        """Show another x axis. Raises MisuseError if there is none."""
        if self.axes() == [axis] == [self.axis]:
            raise MisuseError("this run's x axis can only be steps")
        # Steps of a run without axes of its own are no choice against those of other runs.
        chosen = AS_DEFINED if axis == "step" and not self._has_defined else axis
        self.change(axis=chosen, view=None, follow=True)
        if axis == AS_DEFINED:
            return "curves use the x axis defined for their metric, the others steps"
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
        names = {name for view in self.runs.views for name in view.series}
        if word not in names:
            near = did_you_mean(word, [*others, *names])
            raise MisuseError(f"no metric '{clean_line(word, 40)}': {clean_line(near, 100)}")
        return word

    def state_of(self, plot: Plot) -> ViewState:
        """The state for a plot: view and cursor are on its own axis, if it has one."""
        state, axis = self.state, self.curves.axis_of(plot, self.state)
        known = self.places.steps_and_x(axis) if axis != state.base_axis else None
        if known is None:
            return state
        steps, x = known
        view = state.view and tuple(np.interp(state.view, steps, x).tolist())
        cursor = None if state.cursor is None else float(np.interp(state.cursor, steps, x))
        if view is not None and view[0] >= view[1]:
            view = None  # it has no points there
        return replace(state, axis=axis, view=view, cursor=cursor)

    def from_plot(self, plot: Plot, *places: float) -> tuple[float, ...]:
        """The places on the chosen axis of places on the axis of a plot."""
        axis = self.curves.axis_of(plot, self.state)
        known = self.places.steps_and_x(axis) if axis != self.state.base_axis else None
        return places if known is None else tuple(np.interp(places, known[1], known[0]).tolist())

    @property
    def cursor_step(self) -> float | None:
        """The step of the cursor; None for the newest."""
        cursor = self.state.cursor
        return None if cursor is None else self.places.step_at(cursor, self.state.base_axis)

    def place_of(self, step: float) -> float:
        """The x of a step of the first run."""
        return self.places.place_of(step, self.state.base_axis)

    def overlaps(self) -> tuple[tuple[float, float], ...]:
        """The ranges of x in which the first run logged steps a second time."""
        overlaps = self.runs.first.overlaps if self.runs.first is not None else ()
        return tuple((self.place_of(first), self.place_of(last)) for first, last in overlaps)

    # --- the cursor and the view ------------------------------------------------------

    def take(self, state: ViewState) -> None:
        """Take a state in which the cursor or the view is elsewhere."""
        self.state = state

    def move(
        self, move: Callable[[ViewState, int, ChartRange], ViewState], by: int, chart: ChartRange
    ) -> str:
        """Move the cursor or the view; without a cursor any more, follow the newest point."""
        had_cursor = self.state.cursor is not None
        self.state = move(self.state, by, chart)
        return self.follow_newest() if had_cursor and self.state.cursor is None else ""

    def point_at_step(self, step: float | None) -> None:
        """Put the cursor on a step of the first run; None removes it."""
        if step is None:
            self.change(cursor=None)
        else:
            self.state = moves.point(self.state, self.place_of(step))

    def move_to_sample(self, by: int) -> None:
        """Move the cursor to the sample before or after; at the last one, follow the newest."""
        self.point_at_step(step_beside(sample_steps(self.runs.views), self.cursor_step, by))

    def show_everything(self) -> None:
        self.state = moves.look_at(self.state, None)

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
            self.change(view=moves.follow_x(state.view, newest))

    # --- which curve ------------------------------------------------------------------

    def overlay(self, text: str) -> str:
        """Draw the metric that was typed over the chosen curve; without one, only the curve."""
        below, word = self.chosen_plot(), text.strip()
        others = tuple(one for one in self.state.overlays if below.key not in one)
        if not word:
            self.change(overlays=others, chosen=below.key)
            return f"{clean_line(below.key, 40)} has a curve of its own"
        name = self._metric(word)
        plots = self.curves.every(self.state)
        over = next((plot.key for plot in plots if name in plot.metrics), name)
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

    def choose(self, by: int) -> None:
        """Choose the next or previous curve, across pages."""
        self.chosen_plot()
        plots = self.plots()
        self.change(chosen=plots[(self.chosen() + by) % len(plots)].key)

    def turn_page(self, by: int) -> str:
        """Turn to the next or previous page of curves."""
        self.chosen_plot()
        plots = self.plots()
        size = 1 if self.state.alone else self.capacity
        first = (self.chosen() // size + by) * size
        if not 0 <= first < len(plots):
            return f"this is the {'first' if by < 0 else 'last'} page"
        self.change(chosen=plots[first].key)
        return ""

    def toggle_alone(self) -> None:
        """Show only the chosen curve, or all again."""
        self.chosen_plot()
        self.change(alone=not self.state.alone)

    def toggle_pin(self) -> None:
        """Pin the chosen curve to the front, or unpin it."""
        key, pins = self.chosen_plot().key, self.state.pins
        others = tuple(pin for pin in pins if pin != key)
        self.change(pins=others if key in pins else (*pins, key), chosen=key)

    # --- the panel beside the curves --------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        state, step = self.state, self.cursor_step
        x = None if step is None else self.place_of(step)
        return Snapshot(self.runs.views, step, state.base_axis, state.view, x, state.norm)

    @property
    def side(self) -> SideTab:
        """The panel beside the curves: the chosen one or, until one is chosen, the samples; of runs
        that make none, the console."""
        if self.state.side is not None:
            return self.state.side
        return "console" if all_without_samples(self.runs.views) else "sample"

    def resize_side(self, share: float) -> None:
        """Give the panel this share of the width, 0 to 1, as far as it and the curves have room."""
        width = VIEW_SETTINGS["panel_width"]
        least, most = int(width.ge or 0), int(width.le or 100)
        self.change(panel_width=min(max(round(100 * share), least), most))

    def show_side(self, tab: SideTab) -> None:
        self.change(side=tab)

    def next_side(self, by: int) -> None:
        """Show the next panel, or the one before; if the screen is not wide, in place of the
        curves, which come between the last panel and the first."""
        state, tabs, side, wide = self.state, self.tabs, self.side, self.wide
        ends = tabs[0], tabs[-1]
        if not wide and not state.side_shown:
            self.change(side_shown=True, side=ends[0] if by > 0 else ends[1])
        elif not wide and side == (ends[1] if by > 0 else ends[0]):
            self.change(side_shown=False)
        else:
            self.change(side=next_of(tabs, side, by))
