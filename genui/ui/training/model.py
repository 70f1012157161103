"""The Training screen without a screen: which runs and metrics are shown, and how.

`Board` holds the runs, the newest look at each and a `ViewState`: axes, smoothing, zoom, cursor,
filter, pins, the chosen curve and the panel beside the curves. The keys of the screen are its
methods. Nothing here knows Textual.
"""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write
from genui.base.text import clean_line
from genui.render.axis import AXES, UNITS, Axis, compute_x
from genui.render.series import View, pan, zoom
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.ui.watcher import RunView

if TYPE_CHECKING:
    from genui.render.series import Kind
    from genui.ui.watcher import Points

# --- The x axes of a run's points -------------------------------------------------------------

_COUNTERS = {
    "tokens": ("tokens", "num_tokens", "tokens_seen", "num_input_tokens_seen"),
    "epochs": ("epoch", "epochs", "train/epoch"),
}
"""Metrics that count tokens or epochs, by the names that tools give them."""


def known_axes(view: RunView) -> list[Axis]:
    """The axes on which this run's points have a place."""
    return [axis for axis in AXES if axis == "step" or _is_known(view, axis)]


def x_positions(
    axis: Axis, view: RunView, points: Points, since: float | None
) -> np.ndarray | None:
    """Where the points are on the axis, ascending, float64 [N]; None where that is not known.

    `since` is the unix time at which the run began.
    """
    if axis == "step":
        return points[0]
    per_step = _per_step(view, axis) or None
    return compute_x(points, axis, since=since, per_step=per_step, counts=_counter(view, axis))


def start_time(view: RunView) -> float | None:
    """The unix time of the run's first record; None where none is known."""
    firsts = [float(points[2][0]) for points in view.series.values() if len(points[2])]
    return min((first for first in firsts if first == first), default=None)


def _is_known(view: RunView, axis: Axis) -> bool:
    if axis == "time":
        return start_time(view) is not None
    return _per_step(view, axis) > 0 or _counter(view, axis) is not None


def _counter(view: RunView, axis: Axis) -> Points | None:
    names = _COUNTERS.get(axis, ())
    return next((view.series[name] for name in names if name in view.series), None)


def _per_step(view: RunView, axis: Axis) -> float:
    """Tokens or epochs of one step; 0 where they are not known."""
    scale = view.summary.info.scale
    units, whole = _positive(scale.get("units_per_step")), _positive(scale.get("units_per_epoch"))
    if axis == "tokens":
        return units if str(scale.get("unit", "")).startswith("tok") else 0.0
    return units / whole if axis == "epochs" and whole > 0 else 0.0


def _positive(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0.0


# --- Whether a series is noisy, so that its moving average shows more than it does ------------

_BLOCKS, _BLOCK = 8, 64  # stretches that are looked at, and how many values each has
_TURNS = 0.2  # share of steps that turn back: of noise two in three, of a schedule none


def is_noisy(values: np.ndarray) -> bool:
    """Whether the values, float64 [N], often turn back.

    A learning rate or a held-out loss that falls steadily does not: its average would only be
    late. Looks at a few stretches of a long series.
    """
    starts = np.linspace(0, max(len(values) - _BLOCK, 0), _BLOCKS).astype(int)
    turns = steps = 0
    for start in np.unique(starts):
        with np.errstate(invalid="ignore"):
            signs = np.sign(np.diff(values[start : start + _BLOCK]))
        signs = signs[np.isfinite(signs) & (signs != 0)]
        turns += int(np.count_nonzero(signs[1:] != signs[:-1]))
        steps += max(len(signs) - 1, 0)
    return turns > _TURNS * steps


# --- Which metrics share a curve, which are shown, and in which order -------------------------

_HELD_OUT_PREFIXES = ("val_", "val/", "valid_", "valid/", "validation/", "eval_", "eval/")
_TRAIN_PREFIXES = ("", "train_", "train/")


@dataclass(frozen=True)
class Plot:
    """The metrics of one curve; its `key` is the first of them, on the training data."""

    metrics: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.metrics[0]


def pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a filter, blind to case.

    Raises MisuseError, one line, for one that cannot be read.
    """
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        word = clean_line(text, 40)
        reason = clean_line(str(error), 60)
        raise MisuseError(
            f"'{word}' is not a regular expression ({reason}): e.g. loss|lr"
        ) from None


def plots(names: Collection[str]) -> list[Plot]:
    """One a metric, in the order of `names`; a validation metric shares its training metric's.

    `val_loss` goes with `loss`, `eval/acc` with `acc`, `train_acc` or `train/acc`.
    """
    groups: dict[str, list[str]] = {name: [name] for name in names}
    for name in names:
        partner = _training_metric(name, groups)
        if partner is not None:
            groups[partner] += groups.pop(name)
    return [Plot(tuple(metrics)) for metrics in groups.values()]


def _training_metric(name: str, names: Collection[str]) -> str | None:
    """The training metric that this one is the validation of."""
    for prefix in _HELD_OUT_PREFIXES:
        if name.startswith(prefix):
            stem = name[len(prefix) :]
            return next(
                (t + stem for t in _TRAIN_PREFIXES if t + stem in names and t + stem != name), None
            )
    return None


def select_plots(every: Iterable[Plot], filter: re.Pattern[str], pins: Sequence[str]) -> list[Plot]:
    """Those of which a metric matches.

    The pinned come first, in the order of the pins; then those with a validation metric, then
    other losses, then the rest as they are.
    """
    kept = [plot for plot in every if any(map(filter.search, plot.metrics))]
    place = {key: at for at, key in enumerate(pins)}

    def rank(plot: Plot) -> tuple[int, bool, bool]:
        validated = len(plot.metrics) > 1
        return place.get(plot.key, len(place)), not validated, "loss" not in plot.key.lower()

    return sorted(kept, key=rank)


# --- The steps at which runs made samples -----------------------------------------------------


def sample_steps(views: Sequence[RunView]) -> list[int]:
    """The steps at which any of the runs made a sample, ascending."""
    if len(views) == 1:
        return list(views[0].sample_files)
    return sorted(set().union(*(view.sample_files for view in views)))


def at_or_before(steps: Sequence[int], cursor: float | None) -> int | None:
    """The last of the ascending steps that is not after the cursor; None where none is."""
    if not steps:
        return None
    if cursor is None:
        return steps[-1]
    place = bisect_right(steps, cursor)
    return steps[place - 1] if place else None


def beside(steps: Sequence[int], cursor: float | None) -> tuple[int | None, int | None]:
    """The step before the one that belongs to the cursor, and the one after it."""
    shown = at_or_before(steps, cursor)
    place = -1 if shown is None else bisect_right(steps, shown) - 1
    before = steps[place - 1] if place > 0 else None
    return before, steps[place + 1] if place + 1 < len(steps) else None


# --- How the curves are looked at, remembered for each thing that is watched ------------------
# One small file each in the state folder, so that two apps never write the same one unless
# they watch the same.

FOLDER = "views"
MOST_VIEW_FILES = 200  # files that are kept: the ones used last

SideTab = Literal["sample", "console", "config", "system"]
SIDE_TABS: tuple[SideTab, ...] = get_args(SideTab)


class ViewState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a person has chosen. `view` and `cursor` are places on the x axis."""

    runs: tuple[str, ...] = ()  # their folders or files; the first is the one that is steered
    filter: str = ""  # a regular expression
    pins: tuple[str, ...] = ()
    axis: Axis = "step"
    smoothing: float = 0.9  # 0 off, below 1
    log_y: bool = False
    log_x: bool = False
    view: tuple[float, float] | None = None  # None: everything, following the newest
    follow: bool = True  # the view moves with the newest
    cursor: float | None = None
    chosen: str = ""  # the key of a plot
    alone: bool = False  # the chosen plot has all the room
    side: SideTab = "sample"
    side_shown: bool = False  # in place of the curves, where there is no room for both


def curve_settings(state: ViewState) -> dict[str, Any]:
    """How curves are drawn for it, by the names of the reactives of a Curve."""
    return {
        "unit": UNITS[state.axis],
        "smoothing": state.smoothing,
        "log_x": state.log_x,
        "log_y": state.log_y,
        "view": state.view,
        "cursor": state.cursor,
    }


def recall(key: str) -> ViewState:
    """How it was left; the defaults where it never was, or the file is damaged."""
    with suppress(OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        state = msgspec.json.decode(_path(key).read_bytes(), type=ViewState)
        if _is_sane(state):
            return state
    return ViewState()


def remember(key: str, state: ViewState) -> None:
    """Save it. Raises nothing: where the folder cannot be written, only the view is lost."""
    path = _path(key)
    with suppress(OSError, GenuiError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, msgspec.json.encode(state), durable=False)
        _remove_oldest(path.parent)


def _path(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return paths.state_dir() / FOLDER / f"{name}.json"


def _is_sane(state: ViewState) -> bool:
    """Whether it is one that this version could have written."""
    numbers = [*(state.view or (0.0, 1.0)), state.cursor or 0.0]
    try:
        re.compile(state.filter)
    except (re.error, RecursionError, OverflowError):
        return False
    ascending = state.view is None or state.view[0] < state.view[1]
    return ascending and all(map(math.isfinite, numbers)) and 0 <= state.smoothing < 1


def _remove_oldest(folder: Path) -> None:
    files = list(folder.glob("*.json"))
    if len(files) > MOST_VIEW_FILES:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-MOST_VIEW_FILES]:
            path.unlink(missing_ok=True)


# --- A view that is moved to keep something in sight ------------------------------------------

_AHEAD = 0.1  # of its width: how far a following view is ahead of the newest


def following(view: View, newest: float) -> View:
    """The view at the newest: moved on once that has left it, or lies far from its end.

    Every move of an edge redraws the whole chart, so it moves in leaps.
    """
    width = view[1] - view[0]
    if view[1] - 2 * _AHEAD * width <= newest <= view[1]:
        return view
    return newest - (1 - _AHEAD) * width, newest + _AHEAD * width


def showing(view: View, x: float) -> View:
    """The view moved as little as it takes for `x` to be in it."""
    width = view[1] - view[0]
    first = min(max(view[0], x - width), x)
    return first, first + width


class Sight(NamedTuple):
    """What the chosen curve shows: places on the x axis, and the width of a column there."""

    span: View  # the first and the last x in sight
    extent: View  # the first and the last x there is
    column: float


def parse_smoothing(text: str) -> float:
    """A smoothing as typed. Raises MisuseError, one line."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise MisuseError(
            f"'{text.strip()[:20]}' is not a smoothing: a number from 0 (off) to below 1"
        )
    return value


# --- The runs that lie over each other, and what each key does to the view of them ------------

MOST_RUNS = 8  # that lie over each other: as many as there are signs
SMOOTHINGS = (0.0, 0.5, 0.9, 0.97, 0.99)
NO_POINTS = "there are no points yet"
NO_CURVES = "there are no curves yet"

_AXIS_UNITS = {"step": "steps", "time": "the time since the first record", "tokens": "tokens",
               "epochs": "epochs"}  # fmt: skip
_ZOOM = 2.0  # a key: so many times wider, or narrower
_PAN = 0.25  # a key: this share of what is in sight
_FEW = 400  # points that are drawn one by one, where another metric beside them has many
_FEWEST = 8  # points more after which a short series is looked at again
_NAME = 24  # cells of a run's name in a legend


class Snapshot(NamedTuple):
    """What a panel beside the curves shows: the runs, the steered one first, and where."""

    views: Sequence[RunView] = ()
    cursor: float | None = None  # a step; None for the newest
    axis: Axis = "step"
    span: View | None = None  # the stretch of the axis in sight; None for all of it


@dataclass(frozen=True)
class SeriesLine:
    """One metric of one run, as a curve draws it."""

    label: str  # its run, where there are several, and its part
    part: str  # "train" or "val", where it shares the plot
    x: np.ndarray
    values: np.ndarray
    kind: Kind
    points: Points  # the arrays they are from: the same object while nothing is new


def curve_series(
    lines: Sequence[SeriesLine],
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Kind]]:
    """The lines as curves take them: their points and their kinds, by label."""
    points = {line.label: (line.x, line.values) for line in lines}
    return points, {line.label: line.kind for line in lines}


class Board:
    """The runs that lie over each other, the newest look at each, and the view of them.

    Where an action of the user has something to say, it returns that line; "" otherwise.
    """

    def __init__(self, runs: Sequence[RunSummary], state: ViewState) -> None:
        self.runs: list[RunSummary] = list(runs)
        self.state = state
        self.views: dict[RunDir, RunView] = {}
        self._start_times: dict[RunDir, float | None] = {}
        self._places: dict[tuple[RunDir, str, Axis], tuple[Points, np.ndarray | None]] = {}
        self._noisy: dict[tuple[RunDir, str], tuple[int, bool]] = {}
        self._every: tuple[object, list[Plot]] = (None, [])
        self._selected: tuple[object, list[Plot]] = (None, [])

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

    def toggle(self, run: RunSummary) -> str:
        """Lay this run over the others, or take it away."""
        runs = [one for one in self.runs if one.run != run.run]
        if len(runs) == len(self.runs):
            runs.append(run)
        if not runs:
            return "one run must be shown: add another first"
        if len(runs) > MOST_RUNS:
            return f"{MOST_RUNS} runs are the most that can be shown together: remove one first"
        self.set_runs(runs)
        return ""

    def turn(self, by: int) -> str:
        """Make another of the runs the first."""
        if len(self.runs) < 2:
            shown = "only one run" if self.runs else "no run"
            return f"{shown} is shown: o adds others"
        by %= len(self.runs)
        self.set_runs([*self.runs[by:], *self.runs[:by]])
        return ""

    def put_first(self, run: RunSummary) -> None:
        """Lay a run that just began over the others; all of the axis is shown, as it is at 0."""
        self.set_runs([run, *self.runs][:MOST_RUNS])
        self.change(view=None, follow=True, cursor=None)

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
        """Those that the filter lets through, in the order in which they are shown."""
        every = self.every_plot()
        key = (id(every), self.state.filter, self.state.pins)
        if key != self._selected[0]:
            self._selected = key, select_plots(every, pattern(self.state.filter), self.state.pins)
        return self._selected[1]

    def chosen(self) -> int:
        """The index of the chosen plot among those shown; the first where it is not one."""
        keys = (at for at, plot in enumerate(self.plots()) if plot.key == self.state.chosen)
        return next(keys, 0)

    def lines(self, plot: Plot) -> list[SeriesLine]:
        """The plot's metrics of every run, each where the axis has places for its points.

        The runs come in their order for each metric, so that the first metric of a run looks
        the same in every curve.
        """
        lines: list[SeriesLine] = []
        names, shown = self.run_names(), self.shown
        most = [  # of each run by itself: a young one beside an old one is a line as well
            max((len(view.series[name][0]) for name in plot.metrics if name in view.series),
                default=0)
            for view in shown
        ]  # fmt: skip
        for metric in plot.metrics:
            for view, longest in zip(shown, most, strict=True):
                points = view.series.get(metric)
                x = self._positions(view, metric, points) if points is not None else None
                if points is None or x is None or not len(x):
                    continue
                few = len(x) <= _FEW and len(x) * 4 <= longest
                kind: Kind = "marks" if few else self._kind(view.summary.run, metric, points[1])
                part = ""
                if len(plot.metrics) > 1:
                    part = "train" if metric == plot.key else "val"
                run = names[view.summary.run] if len(self.runs) > 1 else ""
                label = f"{run} {part}".strip() or clean_line(metric, 60)
                lines.append(SeriesLine(label, part, x, points[1], kind, points))
        return lines

    def _kind(self, run: RunDir, metric: str, values: np.ndarray) -> Kind:
        """As a noisy series or as one that is smooth by itself; asked again once it has grown."""
        known = self._noisy.get((run, metric))
        if known is None or not known[0] <= len(values) < 1.5 * known[0] + _FEWEST:
            known = self._noisy[run, metric] = (len(values), is_noisy(values))
        return "smoothed" if known[1] else "line"

    # --- the x axis -------------------------------------------------------------------

    def axes(self) -> list[Axis]:
        """Those that the first run's points have places on."""
        return known_axes(self.first) if self.first is not None else ["step"]

    @property
    def cursor_step(self) -> float | None:
        """The step of the cursor; None for the newest."""
        return None if self.state.cursor is None else self.step_at(self.state.cursor)

    def step_at(self, x: float) -> float:
        """The first run's newest step at or before that place on the axis."""
        reference = self._reference()
        if reference is None or self.state.axis == "step":
            return x
        steps, places = reference
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
        return tuple((self.place_of(first), self.place_of(last)) for first, last in written)

    def place_of(self, step: float) -> float:
        """Where the axis has that step of the first run."""
        reference = self._reference()
        if reference is None or self.state.axis == "step":
            return step
        steps, places = reference
        at = int(steps.searchsorted(step, side="right")) - 1
        return float(places[max(at, 0)])

    def _reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps of the first run's longest series, and their places on the axis."""
        view = self.first
        if view is None or not view.series:
            return None
        name, points = max(view.series.items(), key=lambda item: len(item[1][0]))
        places = self._positions(view, name, points)
        return None if places is None or not len(places) else (points[0], places)

    def _positions(self, view: RunView, name: str, points: Points) -> np.ndarray | None:
        """The places of the points of a metric, computed once for each that is new."""
        run, axis = view.summary.run, self.state.axis
        if axis == "step":
            return points[0]
        if self._start_times.get(run) is None:
            self._start_times[run] = start_time(view)
        known = self._places.get((run, name, axis))
        if known is None or known[0] is not points:
            known = (points, x_positions(axis, view, points, self._start_times[run]))
            self._places[run, name, axis] = known
        return known[1]

    # --- the cursor -------------------------------------------------------------------

    def move_cursor(self, columns: int, sight: Sight) -> None:
        """So many columns to the right; the first move puts it on the newest."""
        first, last = sight.extent
        x = self.state.cursor
        if x is None:
            x = min(sight.span[1], last)
        x += columns * sight.column
        if self.state.axis == "step":  # a column may be less than a step
            if abs(sight.column) >= 1:
                x = round(x)
            else:
                x = math.ceil(x) if columns > 0 else math.floor(x)
        self.point(min(max(x, first), last))

    def move_to_end(self, direction: int, sight: Sight) -> None:
        """To the first or the last point in sight."""
        (start, end), (first, last) = sight.span, sight.extent
        self.point(max(start, first) if direction < 0 else min(end, last))

    def point(self, x: float) -> None:
        """Put the cursor there; a view that it would leave is moved along."""
        view = self.state.view
        if view is not None and not view[0] <= x <= view[1]:
            self.change(cursor=x, view=showing(view, x), follow=False)
        else:
            self.change(cursor=x)

    def point_at_step(self, step: float | None) -> None:
        """Put the cursor on a step of the first run; None takes it away."""
        if step is None:
            self.change(cursor=None)
        else:
            self.point(self.place_of(step))

    def move_to_sample(self, by: int) -> str:
        """To the sample before, or after; from the last the newest is followed."""
        steps = sample_steps(self.shown)
        if not steps:
            return "this run has no samples yet"
        before, after = beside(steps, self.cursor_step)
        step = before if by < 0 else after
        if step is not None:
            self.point_at_step(None if step == steps[-1] else step)
        return ""

    # --- zoom and pan -----------------------------------------------------------------

    def zoom(self, direction: int, sight: Sight) -> None:
        """Closer, or further away, about the cursor or else the newest in sight."""
        state = self.state
        about = state.cursor
        if about is None:
            about = min(sight.span[1], sight.extent[1])
        view = zoom(state.view, sight.extent, _ZOOM**-direction, about, log_x=state.log_x)
        follow = view is None or (state.follow and state.cursor is None)
        self.change(view=view, follow=follow)

    def pan(self, direction: int, sight: Sight) -> str:
        """Earlier, or later."""
        state = self.state
        if state.view is None:
            return "all of it is shown: + zooms in"
        view = pan(state.view, sight.extent, _PAN * direction, log_x=state.log_x)
        self.look_at(view)
        return ""

    def look_at(self, view: View | None) -> None:
        """This stretch of the x axis; None for all of it, which follows the newest."""
        self.change(view=view, follow=view is None)

    def follow_newest(self) -> str:
        """Without a cursor at the newest, as close as it is."""
        self.change(follow=True, cursor=None)
        self.follow()
        return "following the newest step"

    def follow(self) -> None:
        """Move the view on where it follows and the newest has left it."""
        state, plots = self.state, self.plots()
        if state.view is None or not state.follow or not plots:
            return
        ends = [float(line.x[-1]) for line in self.lines(plots[self.chosen()])]
        if ends:
            self.change(view=following(state.view, max(ends)))

    # --- axes and smoothing -----------------------------------------------------------

    def next_axis(self) -> str:
        """The next of the x axes that are known; the cursor stays at its step."""
        axes, now = self.axes(), self.state.axis
        if len(axes) < 2:
            return "this run has steps only"
        step = self.cursor_step
        axis = axes[(axes.index(now) + 1) % len(axes)] if now in axes else axes[0]
        self.change(axis=axis, view=None, follow=True)
        self.change(cursor=None if step is None else self.place_of(step))
        return f"the x axis counts {_AXIS_UNITS[axis]}"

    def toggle_log(self, axis: Literal["x", "y"]) -> None:
        """A logarithmic axis, or back."""
        if axis == "y":
            self.change(log_y=not self.state.log_y)
        else:
            self.change(log_x=not self.state.log_x, view=None, follow=True)

    def smooth(self, value: float | None = None) -> str:
        """This smoothing; without one the next of the usual ones."""
        if value is None:
            now = self.state.smoothing
            value = next((one for one in SMOOTHINGS if one > now + 1e-9), SMOOTHINGS[0])
        self.change(smoothing=value)
        return f"smoothing {value:g}" if value else "smoothing off"

    # --- which curve ------------------------------------------------------------------

    def choose(self, by: int) -> str:
        """The next curve, or the one before, on the next page after the last of this."""
        if not (plots := self.plots()):
            return NO_CURVES
        self.change(chosen=plots[(self.chosen() + by) % len(plots)].key)
        return ""

    def turn_page(self, by: int, capacity: int) -> str:
        """The next page of so many curves, or the one before."""
        if not (plots := self.plots()):
            return NO_CURVES
        each = 1 if self.state.alone else capacity
        first = self.chosen() // each * each + by * each
        if 0 <= first < len(plots):
            self.change(chosen=plots[first].key)
        return ""

    def toggle_alone(self) -> str:
        """The chosen curve alone, or all of them again."""
        if not self.plots():
            return NO_CURVES
        self.change(alone=not self.state.alone)
        return ""

    def toggle_pin(self) -> str:
        """Pin the chosen curve to the front, or unpin it."""
        if not (plots := self.plots()):
            return NO_CURVES
        key, pins = plots[self.chosen()].key, self.state.pins
        kept = tuple(pin for pin in pins if pin != key)
        self.change(pins=kept if key in pins else (*pins, key), chosen=key)
        return ""

    # --- the panel beside the curves --------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """What the panel shows now."""
        return Snapshot(self.shown, self.cursor_step, self.state.axis, self.state.view)

    def next_side(self, wide: bool) -> None:
        """The next panel; where there is no room beside the curves, in their place, and back."""
        state = self.state
        after = SIDE_TABS[(SIDE_TABS.index(state.side) + 1) % len(SIDE_TABS)]
        if wide:
            self.change(side=after)
        elif not state.side_shown:
            self.change(side_shown=True, side=SIDE_TABS[0])
        elif state.side == SIDE_TABS[-1]:
            self.change(side_shown=False)
        else:
            self.change(side=after)
