"""The list of runs beside the curves: which of them lie over each other."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from genui.errors import MisuseError
from genui.render import numbers
from genui.runs.listing import RunSummary
from genui.ui import messages
from genui.ui.board.plots import pattern
from genui.ui.frame import Framed, set_border
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.marks import MARKS, progress
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.rows import Row, RowList


class RunList(DeafWhenLeaving, Framed, Vertical):
    """Every run there is, newest first; those that are shown are numbered in their order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "toggle_run", "Show it, or not", show=False),
        Binding("slash", "filter", "Filter", show=False),
        Binding("escape,o", "close", "Close", show=False),
    ]

    class Toggled(Message):
        """Lay this run over the others, or take it away."""

        def __init__(self, run: RunSummary) -> None:
            super().__init__()
            self.run = run

    class Closed(Message):
        """The list is no longer wanted."""

    def __init__(self) -> None:
        super().__init__(classes="box runs")
        self._runs: Sequence[RunSummary] = ()
        self._shown: Sequence[RunSummary] = ()
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield LineInput(placeholder="filter", compact=True)
        yield RowList(empty="no runs")

    def on_mount(self) -> None:
        set_border(self, title="Runs", subtitle="space show · / filter · esc")

    def show(self, runs: Sequence[RunSummary], shown: Sequence[RunSummary]) -> None:
        """What there is, and which of them are shown, in their order."""
        self._runs, self._shown = runs, shown
        self._fill()

    def focus_rows(self) -> None:
        """Give the rows the keys."""
        self.query_one(RowList).focus()

    def _fill(self) -> None:
        order = {one.run: at for at, one in enumerate(self._shown, 1)}
        wanted = pattern(self._filter)
        rows = [
            Row(
                str(one.run.path),
                one.info.name,
                progress(one),
                *MARKS.get(one.state, ("·", "dim")),
                lead=f"{order[one.run]} " if one.run in order else "  ",
            )
            for one in self._runs
            if wanted.search(one.info.name) or wanted.search(str(one.run.path))
        ]
        self.query_one(RowList).set_rows(rows, "no run matches" if self._filter else "no runs")
        count = numbers.count(len(rows))
        set_border(self, title=f"Runs  {count}" + (f"  /{self._filter}" if self._filter else ""))

    @on(RowList.Opened)
    def action_toggle_run(self) -> None:
        """Show the chosen run, or not."""
        key = self.query_one(RowList).chosen
        run = next((one for one in self._runs if str(one.run.path) == key), None)
        if run is not None:
            self.post_message(self.Toggled(run))

    def action_close(self) -> None:
        """Give the room back to the curves."""
        self.post_message(self.Closed())

    def action_filter(self) -> None:
        """Ask for a regular expression."""
        line = self.query_one(LineInput)
        line.value = self._filter
        self.add_class("-editing")
        self.screen.set_focus(line)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            pattern(event.value)
        except MisuseError as error:
            self.post_message(messages.Say(str(error)))
            return
        self._filter = event.value
        self._fill()

    @on(LineInput.Cancelled)
    def _cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        self.query_one(LineInput).value = ""
        self._done()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._done()

    def _done(self) -> None:
        self.remove_class("-editing")
        self.focus_rows()
