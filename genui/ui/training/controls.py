"""What can be asked of a run, and how it is known that it was obeyed."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.runs.control import HIGHEST_RATE, Command, Event, Order, read_events, steer
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.ui import messages
from genui.ui.training import model
from genui.ui.training.curves import CurveGrid, RunList
from genui.ui.training.model import Board, following, pattern, showing
from genui.ui.training.panels import Pointed, SideColumn
from genui.ui.watcher import RunView, Watcher, ring
from genui.ui.widgets.base import LineInput, Row
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import ChooseScreen, ConfirmScreen, ValueScreen

if TYPE_CHECKING:
    from genui.render.series import View
    from genui.runs.alerts import Alert, Alerts
    from genui.ui.training.model import Plot

ASKED: dict[Command, str] = {
    "pause": "asked to pause: it holds after this step",
    "resume": "asked to go on",
    "stop": "asked to stop: it writes a checkpoint and ends; u resumes it",
    "checkpoint": "asked for a checkpoint after this step",
    "evaluate": "asked to evaluate after this step",
    "rate": "asked to train on at {:g}",
}
SLOW = 10.0  # seconds after which it is said that nothing has happened yet
PATIENCE = 120.0  # seconds until nothing more is expected: an evaluation may take that long

_RATE_SAID = re.compile(r"learning rate \S+ → ([\d.e+-]+)")


def trains_here(view: RunView) -> bool:
    """Whether genui started it: then it has checkpoints that can be read."""
    return view.summary.format == "genui" and view.summary.info.kind != "script"


def asked(order: Order) -> str:
    """What is said as soon as the order is given."""
    return ASKED[order.command].format(order.value)


def refusal(view: RunView, command: Command) -> str:
    """Why a run cannot be asked this, with what can be done instead; "" where it can."""
    summary = view.summary
    if summary.format != "genui":
        return "a log of another tool is only read: steer its script where you started it"
    script = summary.info.kind == "script"
    if not summary.alive:
        after = "n starts another from its checkpoint"
        if script:
            after = "start its script again yourself"
        elif summary.state != "finished":
            after = "u resumes it"
        return f"this run is {summary.state}: {after}"
    if script and command != "stop":
        return (
            "this run is a script's own: only x (stop), which it obeys where it looks at "
            "run.stop_requested"
        )
    return ""


def stop_question(view: RunView) -> str:
    """What is asked before a run is stopped."""
    name = clean_line(view.summary.info.name, 40)
    if view.summary.info.kind == "script":
        return f"Stop {name}? Its script is asked to, and ends where it looks."
    return f"Stop {name}? It writes a checkpoint first; u resumes it later."


class Answer(NamedTuple):
    """How an order fared: `line` for a person, `last` where nothing more will come."""

    line: str
    last: bool


class Waiting:
    """Looks, on a thread, whether an order was obeyed."""

    def __init__(self, run: RunDir, order: Order) -> None:
        """Made before the order is given: what is there now is no answer to it."""
        self._run, self._order = run, order
        self._known = len(_answers(run, order.command))
        self._since = time.monotonic()
        self._slow = False

    def look(self) -> Answer | None:
        """What is new, if anything is. Touches the disk; never raises."""
        fresh = _answers(self._run, self._order.command)[self._known :]
        summary = summarise(self._run)
        if fresh:
            return Answer(_obeyed(fresh[-1]), True)
        if not summary.alive:
            return Answer(_ended(summary, self._order.command), True)
        waited = time.monotonic() - self._since
        if waited > PATIENCE:
            return Answer(f"no answer to {self._order.command} in {PATIENCE:.0f} s", True)
        if waited > SLOW and not self._slow:
            self._slow = True
            return Answer("not yet: it obeys between two steps, once it gets there", False)
        return None


def _answers(run: RunDir, command: Command) -> Sequence[Event]:
    try:
        return [event for event in read_events(run) if event.event == command]
    except GenuiError:
        return ()


def _obeyed(event: Event) -> str:
    return f"step {event.step:,}: {event.text}"


def _ended(summary: RunSummary, command: Command) -> str:
    step = summary.status.step
    if command == "stop" and summary.state in ("stopped", "finished"):
        return f"{summary.state} at step {step:,}"
    why = summary.status.error or summary.fault
    return f"{summary.state} at step {step:,} before it could {_verb(command)}" + (
        f": {why}" if why else ""
    )


def _verb(command: Command) -> str:
    return {"rate": "change its rate", "checkpoint": "write the checkpoint"}.get(command, command)


def base_rate(view: RunView) -> float | None:
    """The learning rate that the schedule takes a share of: as last changed, or as in the recipe.

    Touches the disk; never raises.
    """
    for event in reversed(_answers(view.summary.run, "rate")):
        if (said := _RATE_SAID.search(event.text)) is not None:
            return float(said[1])
    rate = view.summary.info.recipe.get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def typed_rate(text: str) -> Order:
    """The order for a learning rate as typed. Raises MisuseError, one line."""
    try:
        value = float(text.strip())
    except ValueError:
        raise MisuseError(
            f"'{text.strip()[:40]}' is no number: above 0 and at most {HIGHEST_RATE:g}, as in 3e-4"
        ) from None
    return Order("rate", value)


# --- Steering one run by keys: what it is asked, and what it answers --------------------------

LOOK = 0.25  # seconds between looks for an answer
ORDERS: tuple[Command, ...] = ("pause", "checkpoint", "rate", "stop")  # that keys give


class _Asked(NamedTuple):
    """The last pause or resume: of which run, the state it was seen in, and the one wanted."""

    run: RunDir | None = None
    seen: str = ""
    wanted: str = ""


class Steering(MessagePump):
    """Actions for `steered`, mixed into a widget or screen. Each says what was asked, then what
    the run did."""

    NO_RUN = "no training here yet: nothing to steer"
    _asked = _Asked()

    @property
    def steered(self) -> RunView | None:
        """The run that the keys are about, as last seen."""
        raise NotImplementedError

    def say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        """One line above the footer."""
        raise NotImplementedError

    def refused_commands(self) -> set[str]:
        """The orders to which the run would only answer why not."""
        view = self.steered
        return {order for order in ORDERS if view is None or refusal(view, order)}

    # --- orders -------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on."""
        view = self.steered
        seen = state = view.summary.state if view is not None else ""
        if view is not None and self._asked.run == view.summary.run and self._asked.seen == seen:
            state = self._asked.wanted  # the last press was not obeyed, or not seen so, yet
        wanted = "running" if state == "paused" else "paused"
        if self._order("resume" if state == "paused" else "pause") and view is not None:
            self._asked = _Asked(view.summary.run, seen, wanted)

    def action_checkpoint(self) -> None:
        """Write a checkpoint now."""
        self._order("checkpoint")

    def action_stop(self) -> None:
        """Stop the run, once the user has said yes."""
        view = self._may("stop")
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._give(view.summary.run, Order("stop"))

        self.app.push_screen(ConfirmScreen(stop_question(view), "stop"), answered)

    def action_resume(self) -> None:
        """Start a trainer on it again, from its newest checkpoint."""
        view = self._needed()
        if view is None:
            return
        summary = view.summary
        if summary.state == "paused":
            self._order("resume")
        elif not trains_here(view):
            self.say("genui did not start this run: start its script again yourself", "note")
        else:
            self._resume(summary.run)

    def action_generate(self) -> None:
        """Generate from the newest checkpoint, also while it trains."""
        view = self._trained_here("generate from")
        if view is not None:
            self.post_message(messages.Generate(view.summary.run))

    # --- what they share ------------------------------------------------------------------

    def _needed(self) -> RunView | None:
        """The run to steer; where there is none, that is said."""
        if self.steered is None:
            self.say(self.NO_RUN, "note")
        return self.steered

    def _may(self, command: Command) -> RunView | None:
        """The run, where it can be asked that; else why not is said."""
        view = self._needed()
        if view is not None and (line := refusal(view, command)):
            self.say(clean_line(line), "note")
            return None
        return view

    def _trained_here(self, verb: str) -> RunView | None:
        """The run, where it is a training of ours, with checkpoints that can be read."""
        view = self._needed()
        if view is not None and not trains_here(view):
            self.say(f"this run has no checkpoint of genui's to {verb}", "note")
            return None
        return view

    def _order(self, command: Command) -> bool:
        """Whether it was given."""
        view = self._may(command)
        if view is not None:
            self._give(view.summary.run, Order(command))
        return view is not None

    @work(group="orders", exit_on_error=False)
    async def _give(self, run: RunDir, order: Order) -> None:
        """Leave the order for the trainer, and look until it has answered."""
        waiting = await asyncio.to_thread(Waiting, run, order)
        try:
            await asyncio.to_thread(steer, run, order.command, order.value)
        except GenuiError as error:
            self.say(clean_line(str(error)))
            return
        self.say(asked(order), "note")
        last = False
        while not last:
            await asyncio.sleep(LOOK)
            answer = await asyncio.to_thread(waiting.look)
            if answer is not None:
                last = answer.last
                self.say(clean_line(answer.line), "note")

    @work(group="orders", exit_on_error=False)
    async def _resume(self, run: RunDir) -> None:
        from genui.runs.launch import resume  # with all recipes: not before it is asked for

        try:
            await asyncio.to_thread(resume, run)
        except GenuiError as error:
            self.say(clean_line(str(error)))
        else:
            self.say("resuming from the newest checkpoint", "note")


# --- What the mixins of the Training screen, each some of its keys, ask of it -----------------


class BoardActions(Screen[Any]):
    """A screen that owns a Board, changes it, paints it, and has a line to speak in."""

    board: Board

    def change(self, **fields: Any) -> None:
        """Take another view: fields of ViewState by name, painted at once."""
        raise NotImplementedError

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """One line above the footer."""
        raise NotImplementedError


# --- The keys that steer the first run of the Training screen: more than the Training pane has


class SteeringActions(BoardActions, Steering):
    """Besides what any run is steered by: evaluate, the learning rate, another run from here."""

    @property
    def steered(self) -> RunView | None:
        return self.board.first

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys to which the first run would only answer why not."""
        view = self.board.first
        refused = {f"board.{command}" for command in self.refused_commands()}
        if view is None or not trains_here(view):
            refused.add("board.branch")
        return frozenset(refused)

    def action_evaluate(self) -> None:
        """Measure on held-out data now, and make a sample."""
        self._order("evaluate")

    def action_rate(self) -> None:
        """Train on with another learning rate."""
        view = self._may("rate")
        if view is not None:
            self._ask_rate(view)

    @work(group="rate", exclusive=True, exit_on_error=False)
    async def _ask_rate(self, view: RunView) -> None:
        rate = await asyncio.to_thread(base_rate, view)
        hint = f"above 0, at most {HIGHEST_RATE:g}; the schedule keeps its shape"
        if "lr" in view.series:
            hint += f"; {float(view.series['lr'][1][-1]):.2g} is due at this step"

        def typed(order: Order | None) -> None:
            if order is not None:
                self._give(view.summary.run, order)

        value = "" if rate is None else f"{rate:g}"
        self.app.push_screen(ValueScreen("Learning rate", value, hint, typed_rate), typed)

    def action_branch(self) -> None:
        """Start another run from a checkpoint of this one, with changed settings."""
        view = self._trained_here("start from")
        if view is not None:
            cursor = self.board.state.cursor
            self._branch(view, None if cursor is None else self.board.step_at(cursor))

    @work(group="branch", exclusive=True, exit_on_error=False)
    async def _branch(self, view: RunView, step: float | None) -> None:
        # Only this needs the recipes: imported at the top, they would hold up the first curve.
        from genui.recipes import recipe_from_dict
        from genui.runs.models import checkpoint_steps
        from genui.ui.windows import NewRunScreen, Source

        run, name = view.summary.run, view.summary.info.name
        try:
            recipe = recipe_from_dict(view.summary.info.recipe)
            steps = await asyncio.to_thread(checkpoint_steps, run)
        except GenuiError as error:
            self.say(clean_line(str(error)))
            return
        if not steps:
            self.say("this run has no checkpoint yet: c asks for one", "note")
            return

        def started(new: RunDir | None) -> None:
            if new is not None:
                line = f"{clean_line(new.id)} is starting; it goes on when you quit"
                self.post_message(messages.OpenRun(new))
                self.call_later(self.say, line, "note")  # after that, which clears the line

        before = [one for one in steps if step is not None and one <= step]
        chosen = before[-1] if before else steps[-1]
        source = Source(run, clean_line(name, 40), recipe, tuple(steps), chosen)
        self.app.push_screen(NewRunScreen(source=source), started)


# --- The keys that choose which runs lie over each other, and which of them is steered --------

MOST_RUNS = 8  # that lie over each other: as many as there are signs


class RunChoice(BoardActions):
    """Actions for the runs of a board, and the list of all that there are."""

    known: Sequence[RunSummary]
    watcher: Watcher

    def begin_watching(self) -> None:
        """Have the watcher look at the runs that are shown, and at no other."""
        self.watcher.watch(*self.board.runs)

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """Lay these over each other; the first is the one that is steered."""
        self.board.set_runs(runs)
        self.begin_watching()
        self.query_one(RunList).show(self.known, self.board.runs)
        self.change()

    def action_runs(self) -> None:
        """Open the list of runs, or close it."""
        listed = self.query_one(RunList)
        listed.display = not listed.display
        if listed.display:
            listed.show(self.known, self.board.runs)
            listed.focus_rows()
        else:
            self.set_focus(None)

    @on(RunList.Closed)
    def _list_closed(self) -> None:
        self.query_one(RunList).display = False
        self.set_focus(None)

    @on(RunList.Toggled)
    def _toggled(self, event: RunList.Toggled) -> None:
        self.toggle(event.run)

    def toggle(self, run: RunSummary) -> None:
        """Lay this run over the others, or take it away."""
        runs = [one for one in self.board.runs if one.run != run.run]
        if len(runs) == len(self.board.runs):
            runs.append(run)
        if not runs:
            self.say("one run stays: show another first", "note")
        elif len(runs) > MOST_RUNS:
            self.say(f"{MOST_RUNS} runs at most lie over each other: take one away first", "note")
        else:
            self.show_runs(runs)

    def action_turn(self, by: int) -> None:
        """Steer another of the runs that are shown."""
        if len(self.board.runs) < 2:
            shown = "only one run" if self.board.runs else "no run"
            self.say(f"{shown} is shown: o adds others", "note")
            return
        self.board.turn(by)
        self.show_runs(self.board.runs)

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        """A run that was just started from one of these: it comes first, the others under it.

        It begins at step 0, so all of the axis is shown.
        """
        event.stop()
        self.watcher.refresh()
        self.show_runs([summarise(event.run), *self.board.runs][:MOST_RUNS])
        self.change(view=None, follow=True, cursor=None)


# --- The line that asks which metrics are wanted ----------------------------------------------


class FilterLine(LineInput):
    """Where the regular expression is typed."""

    def __init__(self) -> None:
        super().__init__(
            placeholder="metrics that match a regular expression, as in loss|lr; esc takes it back",
            id="metric-filter",
            compact=True,
        )


class FilterActions(BoardActions):
    """Opens the line; what is typed is applied at once, and Esc takes it back."""

    _before = ""  # the filter when the line was opened

    def action_filter(self) -> None:
        """Ask which metrics are wanted; what is typed is applied at once."""
        line = self.query_one(FilterLine)
        self._before = line.value = self.board.state.filter
        self.add_class("-filtering")
        self.set_focus(line)

    @on(Input.Changed, "#metric-filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            pattern(event.value)
        except MisuseError as error:
            self.say(str(error))
        else:
            self.change(filter=event.value)

    @on(LineInput.Submitted, "#metric-filter")
    def _filter_done(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._close_filter()

    @on(LineInput.Cancelled, "#metric-filter")
    def _filter_cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        self.change(filter=self._before)
        self._close_filter()

    def _close_filter(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(None)


# --- The keys that move about in the curves: cursor, zoom, pan, axes, smoothing, which curve --

SMOOTHINGS = (0.0, 0.5, 0.9, 0.97, 0.99)
_COUNTS = {"step": "steps", "time": "the time since the first record", "tokens": "tokens",
           "epochs": "epochs"}  # fmt: skip
_ZOOM = 2.0  # a key: so many times wider, or narrower
_PAN = 0.25  # a key: this share of what is in sight


class Navigation(BoardActions):
    """Actions that change the view of a board; the screen that has them paints it."""

    @property
    def grid(self) -> CurveGrid:
        return self.query_one(CurveGrid)

    def _curve(self) -> tuple[Curve, View] | None:
        """The chosen curve and the first and last x it has; None, and said so, without points."""
        cell = self.grid.chosen
        extent = cell.curve.extent() if cell is not None else None
        if cell is None or extent is None:
            self.say("there are no points yet", "note")
            return None
        return cell.curve, extent

    def _plots(self) -> Sequence[Plot]:
        """Those to choose from; where there is none, that is said."""
        plots = self.board.plots()
        if not plots:
            self.say("there are no curves yet", "note")
        return plots

    # --- the cursor -------------------------------------------------------------------

    def action_cursor(self, columns: int) -> None:
        """Move the cursor; the first move puts it on the newest."""
        if (found := self._curve()) is None:
            return
        curve, (first, last) = found
        x = self.board.state.cursor
        if x is None:
            x = min(curve.span()[1], last)
        x += columns * curve.column()
        if self.board.state.axis == "step":  # a column may be less than a step
            x = round(x) if abs(curve.column()) >= 1 else self._next_step(x, columns)
        self._point(min(max(x, first), last))

    def _next_step(self, x: float, columns: int) -> float:
        return math.ceil(x) if columns > 0 else math.floor(x)

    def action_ends(self, direction: int) -> None:
        """The cursor to the first or the last point in sight."""
        if (found := self._curve()) is not None:
            curve, (first, last) = found
            start, end = curve.span()
            self._point(max(start, first) if direction < 0 else min(end, last))

    def _point(self, x: float) -> None:
        view = self.board.state.view
        if view is not None and not view[0] <= x <= view[1]:
            self.change(cursor=x, view=showing(view, x), follow=False)
        else:
            self.change(cursor=x)

    @on(Curve.Picked)
    def _picked(self, event: Curve.Picked) -> None:
        event.stop()
        self._point(event.x)

    @on(Pointed)
    def _pointed(self, event: Pointed) -> None:
        event.stop()
        x = self.board.place_of(event.step) if event.step is not None else None
        if x is None:
            self.change(cursor=None)
        else:
            self._point(x)

    def action_sample(self, by: int) -> None:
        """The cursor to the sample before, or after; from the last the newest is followed."""
        cursor = self.board.state.cursor
        at = self.board.step_at(cursor) if cursor is not None else None
        steps = model.frames(self.board.shown) if self.board.shown else []
        before, after = model.beside(steps, at)
        step = before if by < 0 else after
        if step is not None:
            self.post_message(Pointed(None if step == steps[-1] else step))
        elif not steps:
            self.say("this run has no samples yet", "note")

    # --- zoom and pan -----------------------------------------------------------------

    def action_zoom(self, direction: int) -> None:
        """Closer, or further away, about the cursor or else the newest in sight."""
        from genui.render.series import zoomed

        if (found := self._curve()) is not None:
            curve, extent = found
            state = self.board.state
            about = state.cursor if state.cursor is not None else min(curve.span()[1], extent[1])
            factor = _ZOOM**-direction
            view = zoomed(state.view, extent, factor, about, log_x=state.log_x)
            follow = view is None or (state.follow and state.cursor is None)
            self.change(view=view, follow=follow)

    def action_pan(self, direction: int) -> None:
        """Earlier, or later."""
        from genui.render.series import panned

        if (found := self._curve()) is not None:
            state = self.board.state
            if state.view is None:
                self.say("everything is in sight: + zooms in", "note")
                return
            view = panned(state.view, found[1], _PAN * direction, log_x=state.log_x)
            self.change(view=view, follow=view is None)

    def action_everything(self) -> None:
        """All of the x axis in sight."""
        self.change(view=None, follow=True)

    def action_follow(self) -> None:
        """Without a cursor at the newest, as close as it is."""
        self.board.change(follow=True)
        self.follow()
        self.change(cursor=None)
        self.say("following the newest", "note")

    def follow(self) -> None:
        """Move the view on where it follows and the newest has left it."""
        state = self.board.state
        plots = self.board.plots()
        if state.view is None or not state.follow or not plots:
            return
        ends = [float(line.x[-1]) for line in self.board.lines(plots[self.board.chosen()])]
        if ends:
            self.board.change(view=following(state.view, max(ends)))

    @on(Curve.Viewed)
    def _viewed(self, event: Curve.Viewed) -> None:
        event.stop()
        self.change(view=event.view, follow=event.view is None)

    # --- axes and smoothing -----------------------------------------------------------

    def action_axis(self) -> None:
        """The next of the x axes that are known; the cursor stays at its step."""
        board = self.board
        axes = board.axes()
        if len(axes) < 2:
            self.say("only steps are known of this run", "note")
            return
        now = board.state.axis
        cursor = board.state.cursor
        step = board.step_at(cursor) if cursor is not None else None
        axis = axes[(axes.index(now) + 1) % len(axes)] if now in axes else axes[0]
        board.change(axis=axis, view=None, follow=True)
        self.change(cursor=board.place_of(step) if step is not None else None)
        self.say(f"the x axis counts {_COUNTS[axis]}", "note")

    def action_log(self, axis: Literal["x", "y"]) -> None:
        """A logarithmic axis, or back."""
        state = self.board.state
        if axis == "y":
            self.change(log_y=not state.log_y)
        else:
            self.change(log_x=not state.log_x, view=None, follow=True)

    def action_smooth(self) -> None:
        """The next of the usual smoothings."""
        now = self.board.state.smoothing
        self._smooth(next((one for one in SMOOTHINGS if one > now + 1e-9), SMOOTHINGS[0]))

    def action_smooth_by(self) -> None:
        """Ask for a smoothing."""
        from genui.ui.widgets.dialogs import ValueScreen

        def given(value: float | None) -> None:
            if value is not None:
                self._smooth(value)

        hint = "0 is off, towards 1 is smoother: as W&B's time-weighted average"
        now = f"{self.board.state.smoothing:g}"
        self.app.push_screen(ValueScreen("Smoothing", now, hint, _smoothing), given)

    def _smooth(self, value: float) -> None:
        self.change(smoothing=value)
        self.say(f"smoothing {value:g}" if value else "smoothing off", "note")

    # --- which curve ------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """The next curve, or the one before, on the next page after the last of this."""
        if plots := self._plots():
            self.change(chosen=plots[(self.board.chosen() + by) % len(plots)].key)

    def action_page(self, by: int) -> None:
        """The next page of curves, or the one before."""
        if plots := self._plots():
            each = 1 if self.board.state.alone else self.grid.room.capacity
            first = self.board.chosen() // each * each + by * each
            if 0 <= first < len(plots):
                self.change(chosen=plots[first].key)

    def action_open(self) -> None:
        """The chosen curve alone, or all of them again."""
        if self._plots():
            self.change(alone=not self.board.state.alone)

    def action_pin(self) -> None:
        """Pin the chosen curve to the front, or let it go."""
        if plots := self._plots():
            key, pins = plots[self.board.chosen()].key, self.board.state.pins
            kept = tuple(pin for pin in pins if pin != key)
            self.change(pins=kept if key in pins else (*pins, key), chosen=key)


def _smoothing(text: str) -> float:
    """Raises MisuseError for what is no smoothing."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise MisuseError(f"'{text.strip()[:20]}' is no smoothing: from 0, off, to below 1")
    return value


# --- The keys that go into the panel beside the curves, or let it play ------------------------


class SideActions(BoardActions):
    """Actions for the panels of a board's side."""

    def action_into(self) -> None:
        """Give the panel the keys; where it has no use for them, show the console."""
        tab = self.board.state.side
        self.change(side=tab if tab in {"console", "config"} else "console", side_shown=True)
        self.query_one(SideColumn).ask(_enter)

    def action_play(self) -> None:
        """Play the history of the samples, or stop it."""
        self.change(side="sample", side_shown=True)
        self.query_one(SideColumn).ask(_play)


def _enter(panel: Widget) -> None:
    # As in side.py: no first chart waits for a panel.
    from genui.ui.training.panels import ConfigPanel, ConsolePanel

    if isinstance(panel, ConsolePanel | ConfigPanel):
        panel.enter()


def _play(panel: Widget) -> None:
    from genui.ui.training.panels import SamplesPanel

    if isinstance(panel, SamplesPanel):
        # By the panel itself: Textual lets no message rise beyond who had it sent.
        panel.call_later(panel.play)


# --- What happens to the runs that are watched is told once: in a line, by bell, and in a list

GATHER = 1.0  # seconds between looks at runs that log all the time
LOOK_AGAIN = 5.0  # seconds after which a run that says nothing is looked at for a stall
MOST = 500  # alerts that are kept
RING_GAP = 2.0  # seconds between two bells: of many runs that end at once one is enough

_SIGNS = {
    "nan": ("✗", "bad"),
    "divergence": ("✗", "bad"),
    "collapse": ("✗", "bad"),
    "crash": ("✗", "bad"),
    "stall": ("!", "warn"),
    "finish": ("✓", "good"),
}
_RINGS = frozenset({"nan", "divergence", "collapse", "crash", "finish"})
EMPTY = "Nothing to tell so far: no NaN, divergence, collapse, stall, crash or finish"


class Told(NamedTuple):
    """An alert, of which run, and whether it happened while the app was there."""

    run: RunDir
    name: str
    alert: Alert
    fresh: bool

    @property
    def line(self) -> str:
        return clean_line(f"{self.name}: {self.alert.line}")


class AlertDesk:
    """Gets every look at a run, and tells what is new in it.

    What happened before the app was opened is kept for the list and told no other way: an old
    run that failed does not ring when it is opened.
    """

    def __init__(
        self,
        app: App[Any],
        watched: Callable[[], Iterable[RunDir]],
        quiet: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.quiet = quiet
        self.past: list[Told] = []
        self._app = app
        self._watched = watched
        self._opened = clock()  # unix time
        self._alerts: dict[RunDir, Alerts] = {}
        self._views: dict[RunDir, RunView] = {}
        self._due: dict[RunDir, None] = {}  # to be looked at, in order
        self._seen: set[RunDir] = set()  # what is new in these happens now
        self._working = False
        self._rang = -RING_GAP

    @property
    def following(self) -> frozenset[RunDir]:
        """The runs whose points are held."""
        return frozenset(self._views)

    def begin(self) -> None:
        """Look at silent runs too, from now on."""
        self._app.set_interval(LOOK_AGAIN, self._look_again)

    def take(self, view: RunView) -> None:
        """The newest look at a run; while its log is still being read, that goes first."""
        if view.progress >= 1:
            self._views[view.summary.run] = view
            self._look_at([view.summary.run])

    def _look_again(self) -> None:
        watched = set(self._watched())
        for gone in self._views.keys() - watched:  # their points are many megabytes
            del self._views[gone]
            self._alerts.pop(gone, None)
            self._seen.discard(gone)
        self._look_at(self._views)

    def _look_at(self, runs: Iterable[RunDir]) -> None:
        self._due.update(dict.fromkeys(runs))
        if self._due and not self._working:
            self._working = True
            self._app.run_worker(self._work(), group="alerts", exit_on_error=False)

    async def _work(self) -> None:
        """Go through the runs that are due, each on a thread."""
        try:
            while self._due:
                due, self._due = self._due, {}
                for run in due:
                    if (view := self._views.get(run)) is not None:
                        found = await asyncio.to_thread(self._look, view)
                        await self._tell(view, found)
                await asyncio.sleep(GATHER)
        finally:
            self._working = False

    def _look(self, view: RunView) -> list[Alert]:
        from genui.runs.alerts import Alerts  # brings numpy, which no first frame waits for

        run = view.summary.run
        return self._alerts.setdefault(run, Alerts()).look(view.summary, view.series, whole=True)

    async def _tell(self, view: RunView, found: list[Alert]) -> None:
        run, name = view.summary.run, clean_line(view.summary.info.name, 40)
        now = run in self._seen
        self._seen.add(run)
        known = {(one.run, one.alert.kind, one.alert.step) for one in self.past}
        told = [
            Told(run, name, one, now or one.time >= self._opened)
            for one in found
            if (run, one.kind, one.step) not in known  # as of a run that is looked at again
        ]
        self.past = [*self.past, *told][-MOST:]
        fresh = [one for one in told if one.fresh]
        if not fresh:
            return
        worst: Literal["error", "note"] = "note"
        if any(_SIGNS[one.alert.kind][1] == "bad" for one in fresh):
            worst = "error"
        line = " · ".join([fresh[0].line, *(one.alert.line for one in fresh[1:])])
        self._app.screen.post_message(messages.Say(line, worst))
        loud = [one for one in fresh if one.alert.kind in _RINGS]
        if loud and not self.quiet and time.monotonic() - self._rang >= RING_GAP:
            self._rang = time.monotonic()
            await ring(self._app, "genui", loud[0].line)

    def open(self) -> None:
        """The list of all that was told; choosing one moves the cursor to its step."""
        past = self.past[::-1]

        def chosen(key: str | None) -> None:
            if key is not None:
                self._app.screen.post_message(Pointed(past[int(key)].alert.step))

        self._app.push_screen(AlertsScreen(past, self), chosen)


class AlertsScreen(ChooseScreen):
    """The alerts, newest first. Dismissed with the number of the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("B", "bell", "Bell on or off", show=False)]

    def __init__(self, past: Sequence[Told], desk: AlertDesk) -> None:
        rows = [_row(number, told) for number, told in enumerate(past)]
        super().__init__(_title(desk), rows, "go there", EMPTY)
        self._desk = desk

    async def action_bell(self) -> None:
        await self.run_action("app.ringing")
        self.query_one(".window").border_title = _title(self._desk)


def _title(desk: AlertDesk) -> str:
    return "Alerts, silent (B lets them ring)" if desk.quiet else "Alerts (B silences them)"


def _row(number: int, told: Told) -> Row:
    sign, kind = _SIGNS[told.alert.kind]
    when = time.strftime("%H:%M", time.localtime(told.alert.time))
    right = when if told.fresh else f"{when}, before"
    return Row(str(number), told.line, right, sign, kind)
