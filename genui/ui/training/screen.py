"""The Training screen: all curves of a run, or several over each other, and what is beside them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.timer import Timer

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.ui import keys, messages
from genui.ui.keys import Scope
from genui.ui.messages import ViewName
from genui.ui.screens import AppScreen, Command
from genui.ui.terminal import may_animate
from genui.ui.training import model
from genui.ui.training.curves import CurveGrid, room_for
from genui.ui.training.head import BoardHead, waiting_text
from genui.ui.training.model import Board, SideTab, Sight, parse_smoothing, pattern
from genui.ui.training.panels import RunList, SideColumn
from genui.ui.training.rows import SearchLine
from genui.ui.training.steering import Steering
from genui.ui.watcher import RunView, Watcher
from genui.ui.widgets.base import FooterLine, HeaderLine, StatusLine
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import ValueScreen

REPAINT = 0.2  # seconds between paints of what flows in; the first is at once
WHILE_READING = 0.8  # the same while a log is read: each paint holds the reading up
TICK = 1.0  # seconds between looks at the clock
FLOWING = 0.6  # seconds since the last paint within which more data are one flow
MOST_ALONE = 0.3  # seconds for which what is beside the curves waits for them
SAVE_AFTER = 1.0  # seconds after which another view is written
WIDE = 110  # columns that have room for the side beside the curves
EMPTY = "No training yet: press 1, then n to start one"
NO_LOG = "No log yet: waiting for one; q quits"


class Left(NamedTuple):
    """How the screen was left: for which view of the main screen, and with which run."""

    view: ViewName
    first: RunView | None  # as last seen
    generate: bool = False


class TrainingScreen(AppScreen[Left]):
    """Owns a Board, the model of what is shown; everything on the screen is painted from that.

    `key` names what is watched: how it was looked at is remembered under it. With `home` there
    is a main screen to go back to, which gets a Left.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("board")]

    def __init__(
        self,
        watcher: Watcher,
        key: str,
        runs: Sequence[RunSummary] = (),
        *,
        known: Sequence[RunSummary] = (),
        views: Mapping[RunDir, RunView] | None = None,
        home: bool = True,
        listing: bool = False,
    ) -> None:
        super().__init__()
        self.watcher = watcher
        self._home = home
        self._listing = listing
        self.known = known
        self._open(key, runs)
        self.board.views.update(views or {})
        self.steering = Steering(self, lambda: self.board.first)
        self._saved_state = self.board.state  # the view that is written, or about to be
        self._early_line: tuple[str, Literal["error", "note", "hint"]] | None = None  # until then
        self._curves_painted = False
        self._painted_at = 0.0
        self._reading = False  # a long log, of which more will come at once
        self._flow_painted_at = 0.0  # the last paint of what had flowed in
        self._footer_shown: tuple[object, ...] = ()  # what the footer was written for
        self._due: Timer | None = None
        self._rest: Timer | None = None
        self._unsaved: Timer | None = None

    def _open(self, key: str, runs: Sequence[RunSummary]) -> None:
        """Begin with these runs, or with those that were shown when `key` was watched last."""
        self._key = key
        state = model.recall(key)
        there = {str(one.run.path): one for one in [*runs, *self.known]}
        again = [there[path] for path in state.runs if path in there]
        self.board = Board(again or runs, state)

    def compose(self) -> ComposeResult:
        size = self.app.size
        self.set_class(size.width >= WIDE, "-wide")
        room = room_for(size).capacity
        yield HeaderLine()
        yield BoardHead()
        with Horizontal(id="board"):
            yield RunList()
            yield CurveGrid(min(room, max(len(self.board.plots()), 3)))
            yield SideColumn()
        yield SearchLine(
            "metrics that match a regular expression, e.g. loss|lr; esc cancels",
            restores=True,
            id="metric-filter",
        )
        yield StatusLine()
        yield FooterLine()

    def on_mount(self) -> None:
        self.query_one(RunList).display = False
        self.begin_watching()
        self.paint()
        self.refresh_chrome()
        self.set_timer(MOST_ALONE, self._curves_shown)
        self.set_interval(TICK, self._tick)
        if self._early_line is not None:
            self.say(*self._early_line)
        if self._listing:
            self.action_runs()

    def on_unmount(self) -> None:
        if self._unsaved is not None:
            model.remember(self._key, self.board.state)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")
        self.call_after_refresh(self.paint)

    @property
    def grid(self) -> CurveGrid:
        return self.query_one(CurveGrid)

    @on(CurveGrid.Resized)
    def _grid_resized(self) -> None:
        self.paint()

    # --- what is watched --------------------------------------------------------------

    def show_run(self, view: RunView) -> None:
        """A new look at one of the runs: painted at once if the last paint is a while ago."""
        is_first = view.summary.run not in self.board.views
        if not self.board.receive(view) or not self.usable:
            return
        reading, self._reading = self._reading, view.progress < 1
        if self._due is not None:
            if self._reading or not reading:
                return
            self._due.stop()  # the last of a long log has come: that waits no longer
            self._due = None
        pause = WHILE_READING if self._reading else REPAINT
        wait = 0.0 if is_first else self._flow_painted_at + pause - time.monotonic()
        if wait <= 0 and may_animate(self.app, self._painted_at):
            self._repaint()
        else:
            self._due = self.set_timer(max(wait, REPAINT / 4), self._repaint)

    def _repaint(self) -> None:
        self._due = None
        if may_animate(self.app, self._painted_at):
            self.board.follow()
            # Once data have stopped, one paint more takes in what did not show yet.
            now = time.monotonic()
            flowing, self._flow_painted_at = now - self._flow_painted_at < FLOWING, now
            self.paint(flowing)
            if self._rest is not None:
                self._rest.stop()
            self._rest = self.set_timer(FLOWING, self.paint) if flowing else None
        else:
            self._due = self.set_timer(REPAINT / 4, self._repaint)

    def set_lists(self, runs: Sequence[RunSummary]) -> None:
        """Every run there is now, newest first."""
        self.known = runs
        if runs and not self.board.runs:
            self._open(self._key or runs[0].run.id, runs[:1])
            self.begin_watching()
            self.paint()
        if self.usable:
            self.query_one(RunList).show(runs, self.board.runs)
            self.refresh_chrome()

    # --- painting ---------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Take another view: fields of ViewState by name."""
        self.board.change(**fields)
        self.acted()

    def acted(self, line: str | None = None) -> None:
        """After an action: paint what it changed, write that down a little later, say the line."""
        if self.board.state is not self._saved_state:
            self._saved_state = self.board.state
            if self._unsaved is None:
                self._unsaved = self.set_timer(SAVE_AFTER, self._save)
        self.clear_line()
        self.paint()
        if line:
            self.say(line, "note")

    def _save(self) -> None:
        self._unsaved = None
        key, state = self._key, self.board.state
        self.run_worker(lambda: model.remember(key, state), thread=True, group="views")

    def paint(self, flowing: bool = False) -> None:
        """Everything, from the board; only what is new is drawn, `flowing` once that shows."""
        if not self.usable:
            return
        self._painted_at = time.monotonic()
        if self._footer_state() != self._footer_shown:
            self.refresh_chrome()
        board, state = self.board, self.board.state
        wide = self.has_class("-wide")
        side = wide or state.side_shown
        self.query_one(SideColumn).display = side
        self.grid.display = wide or not state.side_shown
        plots, chosen = board.plots(), board.chosen()
        if plots and not self._curves_painted:
            self.call_after_refresh(self._curves_shown)
        if plots:
            runs, again = len(board.runs), board.overlaps()
            self.grid.show(plots, chosen, state, board.lines, runs, again, flowing)
        else:
            self.grid.say(self._why_empty())
        self.query_one(BoardHead).show(
            board, self.grid.words(len(plots), chosen, state), self.grid.look
        )
        if side and self._curves_painted:
            self.query_one(SideColumn).show(state.side, board.snapshot)

    def _curves_shown(self) -> None:
        """The first curves wait for nothing beside them, nor for the rest of the log."""
        if not self._curves_painted:
            self._curves_painted = True
            self.watcher.hurry()
            self.paint()

    def _why_empty(self) -> str:
        view = self.board.first
        if self.board.state.filter and self.board.every_plot():
            return f"no metric matches {clean_line(self.board.state.filter, 40)}: / changes it"
        if view is not None:
            return waiting_text(view)
        if self.board.runs:
            return "reading …"
        return EMPTY if self._home else NO_LOG

    def _tick(self) -> None:
        """The age of the data goes on, and nothing else."""
        if time.monotonic() - self._painted_at > TICK / 2:  # a paint has just said it
            self.query_one(BoardHead).update_stats()

    # --- the lines around -------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return "board"

    def refresh_chrome(self) -> None:
        """Header and footer as things stand."""
        if not self.usable:
            return
        live = sum(run.alive for run in self.known)
        header = self.query_one(HeaderLine)
        header.set("training", live, self.machine, self.traffic, alone=not self._home)
        self._footer_shown = self._footer_state()
        self.query_one(FooterLine).set("board", False, self.user_keys, self.refused_keys())

    def _footer_state(self) -> tuple[object, ...]:
        """What decides which keys the footer offers."""
        view = self.board.first
        return () if view is None else (view.summary.run, view.summary.state)

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """One line above the footer; before there is one, as soon as it is there."""
        if self.usable:
            super().say(line, kind)
        else:
            self._early_line = line, kind

    # --- which runs are shown ---------------------------------------------------------

    def begin_watching(self) -> None:
        """Have the watcher look at the runs that are shown, and at no other."""
        self.watcher.watch(*self.board.runs)

    def _runs_changed(self, line: str = "") -> None:
        """Other runs lie over each other, unless the line says why not."""
        if not line:
            self.begin_watching()
            self.query_one(RunList).show(self.known, self.board.runs)
        self.acted(line)

    def toggle(self, run: RunSummary) -> None:
        """Lay this run over the others, or take it away."""
        self._runs_changed(self.board.toggle(run))

    def action_turn(self, by: int) -> None:
        """Steer another of the runs that are shown."""
        self._runs_changed(self.board.turn(by))

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        """A run was just started from one of these: it comes first, the others under it."""
        event.stop()
        self.watcher.refresh()
        self.board.put_first(summarise(event.run))
        self._runs_changed()

    def action_runs(self) -> None:
        """Open the list of runs, or close it."""
        runs = self.query_one(RunList)
        runs.display = not runs.display
        if runs.display:
            runs.show(self.known, self.board.runs)
            runs.focus_rows()
        else:
            self.set_focus(None)

    @on(RunList.Closed)
    def _list_closed(self, event: RunList.Closed) -> None:
        event.stop()
        self.query_one(RunList).display = False
        self.set_focus(None)

    @on(RunList.Toggled)
    def _toggled(self, event: RunList.Toggled) -> None:
        event.stop()
        self.toggle(event.run)

    # --- which curves are shown -------------------------------------------------------

    def action_filter(self) -> None:
        """Ask which metrics to show; what is typed is applied at once."""
        self.query_one("#metric-filter", SearchLine).open(self.board.state.filter)

    @on(SearchLine.Typed)
    def _filter_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        try:
            pattern(event.text)
        except MisuseError as error:
            self.say(str(error))
        else:
            self.change(filter=event.text)

    def action_choose(self, by: int) -> None:
        """The next curve, or the one before."""
        self.acted(self.board.choose(by))

    def action_page(self, by: int) -> None:
        """The next page of curves, or the one before."""
        self.acted(self.board.turn_page(by, self.grid.room.capacity))

    def action_open(self) -> None:
        """The chosen curve alone, or all of them again."""
        self.acted(self.board.toggle_alone())

    def action_pin(self) -> None:
        """Pin the chosen curve to the front, or unpin it."""
        self.acted(self.board.toggle_pin())

    # --- the cursor, zoom and axes ----------------------------------------------------

    def _sight(self) -> Sight | None:
        """What the chosen curve shows; None, and said so, without points."""
        cell = self.grid.chosen
        extent = cell.curve.extent() if cell is not None else None
        if cell is None or extent is None:
            self.acted(model.NO_POINTS)
            return None
        return Sight(cell.curve.span(), extent, cell.curve.column())

    def action_cursor(self, columns: int) -> None:
        """Move the cursor; the first move puts it on the newest."""
        if (sight := self._sight()) is not None:
            self.acted(self.board.move_cursor(columns, sight))

    def action_ends(self, direction: int) -> None:
        """The cursor to the first or the last point in sight."""
        if (sight := self._sight()) is not None:
            self.acted(self.board.move_to_end(direction, sight))

    def action_zoom(self, direction: int) -> None:
        """Closer, or further away, about the cursor or else the newest in sight."""
        if (sight := self._sight()) is not None:
            self.acted(self.board.zoom(direction, sight))

    def action_pan(self, direction: int) -> None:
        """Earlier, or later."""
        if (sight := self._sight()) is not None:
            self.acted(self.board.pan(direction, sight))

    def action_everything(self) -> None:
        """All of the x axis in sight."""
        self.acted(self.board.look_at(None))

    def action_follow(self) -> None:
        """Without a cursor at the newest, as close as it is."""
        self.acted(self.board.follow_newest())

    def action_sample(self, by: int) -> None:
        """The cursor to the sample before, or after; from the last the newest is followed."""
        self.acted(self.board.move_to_sample(by))

    def action_axis(self) -> None:
        """The next of the x axes that are known."""
        self.acted(self.board.next_axis())

    def action_log(self, axis: Literal["x", "y"]) -> None:
        """A logarithmic axis, or back."""
        self.acted(self.board.toggle_log(axis))

    def action_smooth(self) -> None:
        """The next of the usual smoothings."""
        self.acted(self.board.smooth())

    def action_smooth_by(self) -> None:
        """Ask for a smoothing."""

        def typed(value: float | None) -> None:
            if value is not None:
                self.acted(self.board.smooth(value))

        hint = "0 is off, nearer 1 is smoother: W&B's time-weighted average"
        now = f"{self.board.state.smoothing:g}"
        self.app.push_screen(ValueScreen("Smoothing", now, hint, parse_smoothing), typed)

    @on(Curve.Picked)
    def _picked(self, event: Curve.Picked) -> None:
        event.stop()
        self.acted(self.board.point(event.x))

    @on(Curve.Viewed)
    def _viewed(self, event: Curve.Viewed) -> None:
        event.stop()
        self.acted(self.board.look_at(event.view))

    @on(messages.Pointed)
    def _pointed(self, event: messages.Pointed) -> None:
        event.stop()
        self.acted(self.board.point_at_step(event.step))

    # --- the panel beside the curves --------------------------------------------------

    def action_next_side(self) -> None:
        """The next panel; where there is no room beside the curves, in their place, and back."""
        self.acted(self.board.next_side(self.has_class("-wide")))

    def action_side(self, tab: SideTab) -> None:
        """That panel."""
        self.change(side=tab)

    def action_into(self) -> None:
        """Give the panel the keys; where it has no use for them, show the console."""
        tab = self.board.state.side
        self.change(side=tab if tab in {"console", "config"} else "console", side_shown=True)
        self.query_one(SideColumn).enter()

    def action_play(self) -> None:
        """Play the history of the samples, or stop it."""
        self.change(side="sample", side_shown=True)
        self.query_one(SideColumn).play()

    # --- steering the first run -------------------------------------------------------

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys to which the first run would only answer why not."""
        return frozenset(self.steering.refused_keys("board"))

    def action_branch(self) -> None:
        """Start another run from a checkpoint of this one, with changed settings."""
        self.steering.branch(self.board.cursor_step)

    # --- leaving ----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing before all is there; without a main screen there is no other view to go to."""
        return (self._home or action != "view") and super().check_action(action, parameters)

    def action_view(self, view: ViewName) -> None:
        """Back to the main screen."""
        if view != "training":
            self._leave(view)

    def action_back(self) -> None:
        """From the side to the curves, from one curve to all of them, from here to home."""
        if self.focused is not None:
            self.set_focus(None)
        elif self.board.state.side_shown and not self.has_class("-wide"):
            self.change(side_shown=False)
        elif self.board.state.alone:
            self.change(alone=False)
        elif self.query_one(RunList).display:
            self.action_runs()
        elif self._home:
            self._leave("home")
        else:
            self.clear_line()

    def _leave(self, view: ViewName, generate: bool = False) -> None:
        if self.is_active:
            self.dismiss(Left(view, self.board.first, generate))

    @on(messages.Generate)
    def _generate(self, event: messages.Generate) -> None:
        event.stop()
        if self._home:
            self._leave("home", generate=True)
        else:
            name = clean_line(event.run.id)
            self.say(f"this window only watches: run genui generate {name}", "note")

    # --- the palette ------------------------------------------------------------------

    def commands(self) -> Iterator[Command]:
        refused = self.refused_keys()
        own = [key for key in keys.of_pane("board") if key.id not in refused]
        yield from self.list_key_commands("board", own)
        rows = keys.common("board")
        offered = [key for key in rows if self.check_action(key.action.partition("(")[0], ())]
        yield from self.list_key_commands("app", offered)
        for run in self.known:
            yield Command(
                f"Show run {clean_line(run.info.name)}",
                clean_line(f"{run.state}, {run.run.id}: with the others, or no longer"),
                partial(self.toggle, run),
            )
        yield from self.theme_commands()
