"""The Training screen: the curves of one or several runs, and the panels beside them."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.logs import printed_choice
from genui.logs.printed_choice import Choice
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.ui import keys, messages
from genui.ui.jump import Target
from genui.ui.keys import Scope
from genui.ui.lifecycle import is_usable
from genui.ui.messages import ViewName
from genui.ui.organise import RunOrganiser, run_copyables
from genui.ui.screens import AppScreen, Command, Copyable
from genui.ui.terminal import may_animate
from genui.ui.training import moves, printed
from genui.ui.training.board import NO_POINTS, Board
from genui.ui.training.controls import RunControls
from genui.ui.training.curves import CurveGrid, room_for
from genui.ui.training.head import BoardHead
from genui.ui.training.moves import ChartRange
from genui.ui.training.panels import SideColumn
from genui.ui.training.shown import ShownRuns
from genui.ui.training.state import SIDE_TABS, WATCH_TABS, ViewState, pattern, recall, remember
from genui.ui.training.table import RunTable
from genui.ui.training.values import waiting_text
from genui.ui.watcher import RunView, Watcher
from genui.ui.widgets.bars import FooterLine, HeaderLine, StatusLine
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import ask
from genui.ui.widgets.inputs import SearchLine
from genui.ui.widgets.panes import Split
from genui.ui.widgets.settings import Option, SettingsPanel, option_of

PAINT_INTERVAL = 0.2  # seconds between paints of new data; the first is painted at once
READING_INTERVAL = 0.8  # the same while a log is read: each paint delays the reading
AGE_INTERVAL = 1.0  # seconds between updates of the age of the data
STREAM_GAP = 0.6  # seconds since the last paint within which new data belong to one stream
MAX_CURVES_FIRST = 0.3  # seconds for which the panels wait for the curves
SAVE_DELAY = 1.0  # seconds after a change of the view until it is saved
WIDE = 110  # columns from which the panels have room beside the curves
EMPTY = "No runs yet. Press 1, then n to start one."
NO_LOG = "No log yet: waiting for one; q quits"
USUAL_WIDTH = ViewState().panel_width  # that of the stylesheet


Views = Mapping[RunDir, RunView]

_WITH_KEYS = {"console", "config", "system", "norms"}  # panels that take keys
_COVERED = {key.action.partition("(")[0] for key in keys.of_pane("board")} - {
    *("runs", "settings", "setting"),  # the table has them too
}
"""Actions on what the table of runs covers: the curves, and the run that is shown first."""


def on_board(act: Callable[..., str | None]) -> Callable[..., None]:
    """Make an action of a method of Board."""
    return lambda screen, *values: screen.act(act, *values)


def on_runs(act: Callable[..., str | None]) -> Callable[..., None]:
    """Make an action of a method of ShownRuns."""
    return lambda screen, *values: screen.act_on_runs(act, *values)


def in_chart(move: Callable[[ViewState, int, ChartRange], ViewState]) -> Callable[..., None]:
    """Make an action that moves the cursor or the view in the chosen curve."""
    return lambda screen, by: screen.act(lambda board: board.move(move, by, screen.chart_range()))


class Exit(NamedTuple):
    """Where to go after the screen is closed, and the run that it showed."""

    view: ViewName
    first: RunView | None  # the newest view of the first run
    generate: bool = False


class TrainingScreen(AppScreen[Exit]):
    """Owns a Board, from which the screen is painted.

    `key` names what is watched; the view is saved under it. With `home` there is a main screen
    to go back to, which gets an Exit.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("board")]

    # The effects of keys on the view, by the names of their actions in the table of keys.
    action_choose = on_board(Board.choose)
    action_page = on_board(Board.turn_page)
    action_open = on_board(Board.toggle_alone)
    action_pin = on_board(Board.toggle_pin)
    action_everything = on_board(Board.show_everything)
    action_follow = on_board(Board.follow_newest)
    action_sample = on_board(Board.move_to_sample)
    action_nudge = on_board(Board.nudge)
    action_side = on_board(Board.show_side)
    action_next_side = on_board(Board.next_side)
    action_turn = on_runs(ShownRuns.turn)
    action_cursor = in_chart(moves.move_cursor)
    action_ends = in_chart(moves.move_to_end)
    action_zoom = in_chart(moves.zoom)
    action_pan = in_chart(moves.pan)

    def __init__(
        self,
        watcher: Watcher,
        key: str,
        runs: Sequence[RunSummary] = (),
        *,
        known: Sequence[RunSummary] = (),
        views: Views | None = None,
        home: bool = True,
        listing: bool = False,
    ) -> None:
        super().__init__()
        self.watcher = watcher
        self._home = home
        self._listing = listing
        self.known = known
        self._open(key, runs, views)
        self.controls = RunControls(self, lambda: self.board.runs.first)
        self._organiser = RunOrganiser(self, watcher, self._leave_run)
        self._saved_state = self.board.state  # saved, or to be saved by `_save_timer`
        self._early_line: tuple[str, Literal["error", "note", "hint"]] | None = None
        self._curves_painted = False
        self._painted_at = 0.0
        self._reading = False  # a log is being read: more data will come at once
        self._data_painted_at = 0.0  # the last paint of new data
        self._last_footer_state: tuple[object, ...] = ()
        self._panel_width = USUAL_WIDTH  # as last painted
        self._paint_timer: Timer | None = None
        self._final_paint_timer: Timer | None = None
        self._save_timer: Timer | None = None
        self._saving = threading.Lock()

    def act(self, act: Callable[..., str | None], *values: object) -> None:
        """Do something to the board, and show the result."""
        try:
            line = act(self.board, *values)
        except MisuseError as error:
            line = str(error)
        self.show_result(line)

    def act_on_runs(self, act: Callable[..., str | None], *values: object) -> None:
        """Change which runs are shown, and show the result."""
        self.act(Board.show_runs, act, *values)
        self.begin_watching()
        self._list_runs()

    def _open(self, key: str, runs: Sequence[RunSummary], views: Views | None = None) -> None:
        """Start with these runs, or with those that were shown under `key` the last time. A run
        whose id is the key is the first: it was asked for."""
        self._key = key
        recalled = recall(key)
        by_path = {str(one.run.path): one for one in [*runs, *self.known]}
        last_shown = [by_path[path] for path in recalled.runs if path in by_path]
        if runs and runs[0].run.id == key:
            others = [one for one in last_shown if one.run != runs[0].run]
            last_shown = [runs[0], *others] if len(others) < len(last_shown) else []
        tabs = SIDE_TABS if self._home else WATCH_TABS
        self.board = Board(last_shown or runs, recalled, tabs, views)

    def compose(self) -> ComposeResult:
        size = self.app.size
        self.set_class(size.width >= WIDE, "-wide")
        room = room_for(size).capacity
        yield HeaderLine()
        yield BoardHead()
        with Split(SideColumn, id="board"):
            yield RunTable()
            yield SettingsPanel("smoothing")
            yield CurveGrid(min(room, max(len(self.board.plots()), 3)))
            yield SideColumn(self.board.tabs)
        yield SearchLine(
            "type to filter metrics, e.g. loss|lr · esc cancel",
            restores=True,
            id="metric-filter",
        )
        yield StatusLine()
        yield FooterLine()

    def on_mount(self) -> None:
        self.table.display = False
        self.query_one(SettingsPanel).display = False
        self.begin_watching()
        self.paint()
        self.update_bars()
        self.set_timer(MAX_CURVES_FIRST, self._curves_shown)
        self.set_interval(AGE_INTERVAL, self._update_age)
        if self._early_line is not None:
            self.say(*self._early_line)
        if self._listing:
            self.action_runs()

    def on_unmount(self) -> None:
        if self._save_timer is not None:
            self._write()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")
        self.call_after_refresh(self.paint)

    @property
    def grid(self) -> CurveGrid:
        return self.query_one(CurveGrid)

    @on(CurveGrid.Resized)
    def _grid_resized(self) -> None:
        self.paint()

    # --- the runs and their data ------------------------------------------------------

    def show_run(self, view: RunView) -> None:
        """Paint a new view of one of the runs, at once if the last paint is a while ago."""
        runs = self.board.runs
        is_first = all(view.summary.run != known.summary.run for known in runs.views)
        if not runs.receive(view) or not is_usable(self):
            return
        was_reading, self._reading = self._reading, view.progress < 1
        if self._paint_timer is not None:
            if self._reading or not was_reading:
                return
            self._paint_timer.stop()  # the end of a long log is painted without a wait
            self._paint_timer = None
        interval = READING_INTERVAL if self._reading else PAINT_INTERVAL
        wait = 0.0 if is_first else self._data_painted_at + interval - time.monotonic()
        if wait <= 0 and may_animate(self.app, self._painted_at):
            self._paint_data()
        else:
            self._paint_timer = self.set_timer(max(wait, PAINT_INTERVAL / 4), self._paint_data)

    def _paint_data(self) -> None:
        self._paint_timer = None
        if may_animate(self.app, self._painted_at):
            self.board.follow()
            now = time.monotonic()
            streaming, self._data_painted_at = now - self._data_painted_at < STREAM_GAP, now
            self.paint(streaming)
            # After the end of a stream, a final paint shows the points that were left out.
            if self._final_paint_timer is not None:
                self._final_paint_timer.stop()
            self._final_paint_timer = self.set_timer(STREAM_GAP, self.paint) if streaming else None
        else:
            self._paint_timer = self.set_timer(PAINT_INTERVAL / 4, self._paint_data)

    def set_lists(self, runs: Sequence[RunSummary]) -> None:
        """Take the list of all runs, newest first."""
        self.known = runs
        if runs and not self.board.runs.listed:
            self._open(self._key or runs[0].run.id, runs[:1])
            self.begin_watching()
            self.paint()
        if is_usable(self):
            self._list_runs()

    # --- the table of runs ------------------------------------------------------------

    @property
    def table(self) -> RunTable:
        return self.query_one(RunTable)

    def set_table(self, event: messages.TableChanged) -> None:
        """Take the data of the runs for their table."""
        if is_usable(self) and self.table.display:
            self.table.set_rows(event)
            self._show_options()

    def _list_runs(self) -> None:
        if self.table.display:
            self.table.list_runs(self.known)
            self.table.show(self.board, self.grid.series_style)

    def action_runs(self) -> None:
        """Open the table of runs over the whole screen, or close it."""
        table = self.table
        table.display = not table.display
        self.watcher.measure(table.display)
        self.query_one(SettingsPanel).display = False
        if table.display:
            self._list_runs()
            table.focus_rows()
        else:
            self.clear_line()
            self.set_focus(None)
        self.paint()

    @on(RunTable.Toggled)
    def _toggled(self, event: RunTable.Toggled) -> None:
        event.stop()
        self.act_on_runs(ShownRuns.toggle, event.run)

    @on(RunTable.Picked)
    def _picked_runs(self, event: RunTable.Picked) -> None:
        """Close the table and show these runs."""
        event.stop()
        if self.table.display:
            self.action_runs()
        self.act_on_runs(ShownRuns.pick, event.runs)

    @on(RunTable.Changed)
    def _table_changed(self, event: RunTable.Changed) -> None:
        event.stop()
        self.board.change(table=event.state)
        self._save_later()
        self._show_options()

    # --- painting ---------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Change fields of the ViewState and show the result."""
        self.board.change(**fields)
        self.show_result()

    def show_result(self, line: str | None = None) -> None:
        """Show the result of an action: paint, save the view a little later, say the line."""
        self._save_later()
        self.clear_line()
        self.paint()
        if line:
            self.say(line, "note")

    def _save_later(self) -> None:
        if self.board.state is not self._saved_state:
            self._saved_state = self.board.state
            if self._save_timer is None:
                self._save_timer = self.set_timer(SAVE_DELAY, self._save)

    def _save(self) -> None:
        self._save_timer = None
        self.run_worker(self._write, thread=True, group="views")

    def _write(self) -> None:
        """Save the view as it is now: whichever thread is last writes the newest."""
        with self._saving:
            remember(self._key, self.board.state)

    def paint(self, streaming: bool = False) -> None:
        """Paint the board: only what has changed, and while `streaming` only visible changes."""
        if not is_usable(self):
            return
        self._painted_at = time.monotonic()
        if self._footer_state() != self._last_footer_state:
            self.update_bars()
        board, state = self.board, self.board.state
        covered = self.table.display
        self.query_one(BoardHead).display = not covered
        if covered:
            self.grid.display = self.query_one(SideColumn).display = False
            self._show_options()
            return
        wide = board.wide = self.has_class("-wide")
        side_shown = wide or state.side_shown
        self.query_one(SideColumn).display = side_shown
        self._set_panel_width(state.panel_width if wide else USUAL_WIDTH)
        self.grid.display = wide or not state.side_shown
        plots, chosen = board.plots(), board.chosen()
        if plots and not self._curves_painted:
            self.call_after_refresh(self._curves_shown)
        if plots:
            board.capacity = self.grid.room.capacity
            self.grid.show(plots, chosen, board, streaming)
        else:
            self.grid.show_text(self._empty_text())
        caption = self.grid.caption(len(plots), chosen, state)
        self.query_one(BoardHead).show(board, caption, self.grid.series_style)
        if side_shown and self._curves_painted:
            self.query_one(SideColumn).show(board.side, board.snapshot)
        self._show_options()

    def _set_panel_width(self, share: int) -> None:
        """Give the panel, and the settings over it, their share of the width."""
        if share == self._panel_width:
            return
        self._panel_width, usual = share, share == USUAL_WIDTH
        for pane in (self.query_one(SideColumn), self.query_one(SettingsPanel)):
            pane.styles.width = None if usual else f"{share}%"
            pane.styles.max_width = None if usual else "100%"

    def _show_options(self) -> None:
        if (panel := self.query_one(SettingsPanel)).display:
            panel.show(self._options())

    def _curves_shown(self) -> None:
        """After the first curves, paint the panels and read the rest of the log."""
        if not self._curves_painted:
            self._curves_painted = True
            self.watcher.hurry()
            self.paint()

    def _empty_text(self) -> str:
        board, view = self.board, self.board.runs.first
        if board.state.filter and board.curves.every(board.state):
            return f"no metric matches {clean_line(board.state.filter, 40)}: / changes it"
        if view is not None:
            return waiting_text(view)
        if board.runs.listed:
            return "reading …"
        return EMPTY if self._home else NO_LOG

    def _update_age(self) -> None:
        if time.monotonic() - self._painted_at > AGE_INTERVAL / 2:  # else a paint has just done it
            self.query_one(BoardHead).update_stats()

    # --- the lines around -------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        if is_usable(self) and self.query_one(SettingsPanel).active:
            return "settings"
        return "runs" if self.table.display else "board"

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _focus_moved(self) -> None:
        self.update_bars()

    async def press(self, key: keys.Key) -> None:
        parts = {"runs": RunTable, "settings": SettingsPanel}
        namespace = self.query_one(parts[key.pane]) if key.pane in parts else self
        await self.app.run_action(key.action, namespace)

    def update_bars(self) -> None:
        if not is_usable(self):
            return
        self.query_one(HeaderLine).set("training", alone=not self._home)
        self._last_footer_state = self._footer_state()
        names = self.controls.names_of_keys("board")
        refused = self.refused_keys()
        self.query_one(FooterLine).set(self.scope, False, refused, names)

    def _footer_state(self) -> tuple[object, ...]:
        """The state that the keys in the footer depend on."""
        view = self.board.runs.first
        return () if view is None else (view.summary.run, view.summary.state, view.has_checkpoint)

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """Show a line above the footer, or keep it until the screen is mounted."""
        if is_usable(self):
            super().say(line, kind)
        else:
            self._early_line = line, kind

    # --- which runs are shown ---------------------------------------------------------

    def begin_watching(self) -> None:
        """Make the watcher follow the runs that are shown, and no others."""
        self.watcher.watch(*self.board.runs.listed)

    def _leave_run(self, run: RunDir) -> None:
        """Stop showing a run that is deleted; if no other is shown, show the newest."""
        self.known = [one for one in self.known if one.run != run]
        runs = [one for one in self.board.runs.listed if one.run != run]
        if len(runs) < len(self.board.runs.listed):
            self.act_on_runs(ShownRuns.set, runs or self.known[:1])

    @on(messages.OrganiseRun)
    def _organise_run(self, event: messages.OrganiseRun) -> None:
        event.stop()
        self._organiser.begin(event)

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        """Show a run that was just started from a checkpoint first, with the others."""
        event.stop()
        self.watcher.refresh()
        self.act(Board.put_first, summarise(event.run))
        self.begin_watching()

    # --- which curves are shown -------------------------------------------------------

    def targets(self) -> list[Target]:
        """The curves too, which are chosen."""
        curves = [
            Target(cell.region.offset, partial(self._choose, cell.plot.key))
            for cell in (self.grid.cells if self.grid.display else [])
            if cell.plot is not None
        ]
        return [*curves, *super().targets()]

    def _choose(self, key: str) -> None:
        """Choose a curve, which has the keys."""
        self.set_focus(None)
        self.change(chosen=key)

    def action_filter(self) -> None:
        """Open the filter of the metrics, which applies while it is typed."""
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

    # --- the cursor, zoom and axes ----------------------------------------------------

    def chart_range(self) -> ChartRange:
        """The range of the chosen curve on the chosen axis. Raises MisuseError if it has no
        points."""
        cell = self.grid.chosen
        extent = cell.curve.extent() if cell is not None else None
        if cell is None or cell.plot is None or extent is None:
            raise MisuseError(NO_POINTS)
        (first, last), column = cell.curve.span(), cell.curve.column()
        start, end, *ends = self.board.from_plot(cell.plot, first, last, *extent)
        if end > start and last > first:  # of an axis of its own, the mean width of a column
            column *= (end - start) / (last - first)
        return ChartRange((start, end), (ends[0], ends[1]), column)

    def _place_in(self, curve: Curve, *places: float) -> tuple[float, ...]:
        """The places on the chosen axis of places on the axis of a curve."""
        plot = next((cell.plot for cell in self.grid.cells if cell.curve is curve), None)
        return places if plot is None else self.board.from_plot(plot, *places)

    @on(Curve.Picked)
    def _picked(self, event: Curve.Picked) -> None:
        event.stop()
        (x,) = self._place_in(event.curve, event.x)
        self.act(Board.take, moves.point(self.board.state, x))

    @on(Curve.Viewed)
    def _viewed(self, event: Curve.Viewed) -> None:
        event.stop()
        if event.view is None:
            self.act(Board.show_everything)
            return
        first, last = self._place_in(event.curve, *event.view)
        if first < last:
            self.act(Board.take, moves.look_at(self.board.state, (first, last)))

    @on(messages.Pointed)
    def _pointed(self, event: messages.Pointed) -> None:
        event.stop()
        first = self.board.runs.listed[:1]
        if event.run is not None and all(one.run != event.run for one in first):
            every = [*self.board.runs.listed, *self.known]
            run = next((one for one in every if one.run == event.run), None)
            if run is None:
                self.say("this run is no longer listed", "note")
                return
            self.act(Board.put_first, run)
            self.begin_watching()
        if self.table.display:
            self.action_runs()
        self.act(lambda board: board.point_at_step(event.step))

    # --- the settings -----------------------------------------------------------------

    def action_settings(self) -> None:
        """Open the settings of the curves, and focus them."""
        self._show_settings().enter()

    def action_setting(self, name: str) -> None:
        """Type a value of a setting, or take its next choice."""
        panel = self._show_settings()
        panel.set(name)
        panel.display = panel.active

    def _show_settings(self) -> SettingsPanel:
        panel = self.query_one(SettingsPanel)
        panel.display = True
        panel.show(self._options())
        return panel

    def _options(self) -> list[Option]:
        """The rows of the Settings panel."""
        if self.table.display:
            return self.table.options()
        board, view = self.board, self.board.runs.first
        take, values = partial(self.act, Board.set), board.values
        rows = {
            name: option_of(one, lambda: values, take) for name, one in board.settings().items()
        }
        rows["side"] = rows["side"]._replace(change=partial(self.act, Board.next_side))
        over = Option(
            *("over", "drawn over it", board.overlaid() or "–"),
            "A metric drawn over the chosen curve: Enter types its name; empty removes it",
            use=lambda text: self.show_result(board.overlay(text)),
        )
        rates = view.series.get("lr") if view is not None and view.summary.alive else None
        rate = Option(
            *("rate", "learning rate", f"{float(rates[1][-1]):.2g}" if rates is not None else "–"),
            "Enter sets a running run's peak rate",
            open=self.controls.action_rate,
        )
        fields = [*rows.values()]
        after = [*rows].index("axis") + 1
        return [*fields[:after], over, *fields[after:], rate, *self._lines_options(view)]

    def _lines_options(self, view: RunView | None) -> list[Option]:
        """The row about the printed lines from which the first run is read, if it is."""
        key = printed.key_of(view)
        if key is None:
            return []
        text = printed.describe(printed_choice.recall(key))
        about = "Enter sets the step and metrics of printed lines, if they are read wrongly"
        return [Option("lines", "steps", text, about, open=self.ask_lines)]

    def ask_lines(self) -> None:
        """Ask how the printed lines of the first run are read."""
        view = self.board.runs.first
        key = printed.key_of(view)
        if view is None or key is None:
            return
        native = view.summary.native

        def answered(choice: Choice) -> None:
            try:
                printed_choice.remember(key, choice)
            except GenuiError as error:
                self.say(str(error))
                return
            self.watcher.refresh()
            self.show_result(
                "used when the next output of this project is recorded"
                if native
                else f"read again, with steps {printed.describe(choice)}"
            )

        ask(self, printed.form(printed_choice.recall(key)), answered)

    @on(messages.KeysChanged)
    def _hide_settings(self) -> None:
        panel = self.query_one(SettingsPanel)
        if panel.display and not panel.active:
            panel.display = False

    @on(SettingsPanel.Left)
    def _settings_left(self) -> None:
        if self.table.display:
            self.query_one(SettingsPanel).display = False
            self.table.focus_rows()
        else:
            self.set_focus(None)

    # --- the panel beside the curves --------------------------------------------------

    @on(Split.Dragged)
    def _border_dragged(self, event: Split.Dragged) -> None:
        event.stop()
        self.act(Board.resize_side, event.share)

    def action_into(self) -> None:
        """Focus the panel; if it takes no keys, the console instead."""
        tab = self.board.side
        self.change(side=tab if tab in _WITH_KEYS else "console", side_shown=True)
        self.query_one(SideColumn).enter()

    def action_play(self) -> None:
        self.change(side="sample", side_shown=True)
        self.query_one(SideColumn).play()

    # --- controlling the first run ----------------------------------------------------

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys that the first run cannot obey now."""
        return frozenset(self.controls.refused_keys("board"))

    def copyables(self) -> list[Copyable]:
        if self.table.display:
            run = self.table.chosen
            offered = run_copyables(run) if run is not None else []
            return [*offered, *self.table.copyables()]
        view = self.board.runs.first
        return run_copyables(view.summary) if view is not None else []

    def action_branch(self) -> None:
        """Start a run from a checkpoint of the first one, with changed settings."""
        self.controls.branch(self.board.cursor_step)

    def action_why(self) -> None:
        """Compute the step at the cursor again, to see why its loss jumped."""
        self.controls.ask_why(self.board.cursor_step)

    # --- leaving ----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a main screen there is no other view to go to. Over the table of runs, no key
        acts on the curves below it."""
        if not self._home and action in ("home", "view"):
            return False
        allowed = super().check_action(action, parameters)
        return allowed and not (action in _COVERED and self.table.display)

    def action_home(self) -> None:
        self.action_view("home")

    def action_view(self, view: ViewName) -> None:
        """Go to a view of the main screen."""
        if view != "training":
            self._leave(view)

    def action_back(self) -> None:
        """Go back one level: from a panel or the table to the curves, from one curve or the
        filtered ones to all, to Home."""
        if self.focused is not None:
            self.set_focus(None)
        elif self.table.display:
            self.action_runs()
        elif self.board.state.side_shown and not self.has_class("-wide"):
            self.change(side_shown=False)
        elif self.board.state.alone:
            self.change(alone=False)
        elif self.board.state.filter:
            self.change(filter="")
        elif self._home:
            self._leave("home")
        else:
            self.clear_line()

    def _leave(self, view: ViewName, generate: bool = False) -> None:
        if self.is_active:
            self.dismiss(Exit(view, self.board.runs.first, generate))

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
        scope = "runs" if self.table.display else "board"
        own_keys = [key for key in keys.of_pane(scope) if key.id not in refused]
        yield from self.list_key_commands(scope, own_keys)
        app_keys = [
            key for key in keys.common(scope) if self.check_action(key.action.partition("(")[0], ())
        ]
        yield from self.list_key_commands("app", app_keys)
        if scope == "board" and printed.key_of(self.board.runs.first) is not None:
            yield Command(
                "Steps and metrics of the printed lines",
                "name them here if the lines are read wrongly",
                self.ask_lines,
            )
        for run in self.known:
            yield Command(
                f"Show run {clean_line(run.info.name)}",
                clean_line(f"{run.state}, {run.run.id}: show it with the others, or remove it"),
                partial(self.act_on_runs, ShownRuns.toggle, run),
            )
        yield from self.list_theme_commands()
