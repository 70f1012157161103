"""What is beside the curves: one panel at a time, by tabs, and the list of runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.runs.listing import RunSummary
from genui.ui import messages
from genui.ui.training.config import ConfigPanel
from genui.ui.training.console import ConsolePanel
from genui.ui.training.model import SIDE_TABS, SideTab, Snapshot, pattern
from genui.ui.training.rows import SEARCH_KEY, SearchLine, SidePanel
from genui.ui.training.samples import SamplesPanel
from genui.ui.training.system import SystemPanel
from genui.ui.watcher import MARKS, progress
from genui.ui.widgets.base import Framed, LifecycleGuard, Line, Row, RowList, clickable, set_border

_PANELS: dict[SideTab, type[SidePanel]] = {
    "sample": SamplesPanel,
    "console": ConsolePanel,
    "config": ConfigPanel,
    "system": SystemPanel,
}


class SideColumn(LifecycleGuard, Vertical):
    """Makes a panel when it is first shown; hidden panels get no updates."""

    def __init__(self) -> None:
        super().__init__(classes="side")
        self._panels: dict[SideTab, SidePanel] = {}
        self._tab: SideTab = "sample"
        self._shown = Snapshot()
        self._call: Callable[[SidePanel], object] | None = None

    def compose(self) -> ComposeResult:
        yield Line(classes="side-tabs")

    def show(self, tab: SideTab, shown: Snapshot) -> None:
        """That panel, with these runs."""
        self._tab, self._shown = tab, shown
        self.query_one(".side-tabs", Line).show(_tabs(tab))
        if tab not in self._panels:
            self._panels[tab] = _PANELS[tab]()
            self.call_later(self._add, self._panels[tab])
        for name, panel in self._panels.items():
            panel.display = name == tab
        self._fill()

    async def _add(self, panel: SidePanel) -> None:
        if self.is_attached and self.usable:  # else the screen was left meanwhile
            await self.mount(panel)
            self._fill()

    def enter(self) -> None:
        """Focus the panel, as soon as it shows its runs."""
        self._when_filled(lambda panel: panel.enter())

    def play(self) -> None:
        """Play the history of the samples, or stop it."""
        # Through the panel's own queue: Textual does not bubble a message past its sender.
        self._when_filled(lambda panel: panel.call_later(panel.play))

    def _when_filled(self, call: Callable[[SidePanel], object]) -> None:
        self._call = call
        self._fill()

    def _fill(self) -> None:
        panel = self._panels.get(self._tab)
        if panel is None or not panel.usable or not self._shown.views:
            return
        panel.show(self._shown)
        if self._call is not None:
            call, self._call = self._call, None
            call(panel)


def _tabs(current: SideTab) -> Content:
    parts = []
    for tab in SIDE_TABS:
        style = "bold $background on $primary" if tab == current else "$text-muted"
        parts.append(clickable(f" {tab.title()} ", style, f"screen.side('{tab}')"))
    return Content.assemble(*parts, ("  t next", "$text-disabled"))


# --- Which runs lie over each other -----------------------------------------------------------


class RunList(LifecycleGuard, Framed, Vertical):
    """Every run there is, newest first; those that are shown are numbered in their order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "toggle_run", "Show it, or not", show=False),
        SEARCH_KEY,
        Binding("escape,o", "close", "Close", show=False),
    ]

    @dataclass(eq=False)
    class Toggled(Message):
        """Show this run with the others, or no longer."""

        run: RunSummary

    class Closed(Message):
        """The list is no longer wanted."""

    def __init__(self) -> None:
        super().__init__(classes="box runs")
        self._runs: Sequence[RunSummary] = ()
        self._shown: Sequence[RunSummary] = ()
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield SearchLine("filter")
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
        filter = pattern(self._filter)
        rows = [
            Row(
                str(one.run.path),
                one.info.name,
                progress(one),
                *MARKS.get(one.state, ("·", "dim")),
                lead=f"{order[one.run]} " if one.run in order else "  ",
            )
            for one in self._runs
            if filter.search(one.info.name) or filter.search(str(one.run.path))
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

    def action_search(self) -> None:
        """Ask for a regular expression."""
        self.query_one(SearchLine).open(self._filter)

    @on(SearchLine.Typed)
    def _search_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        try:
            pattern(event.text)
        except MisuseError as error:
            self.post_message(messages.Say(str(error)))
            return
        self._filter = event.text
        self._fill()
