"""The panels beside the curves, one at a time, and the list of runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.runs.listing import RunSummary
from genui.ui import keys, messages
from genui.ui.training.config import ConfigPanel
from genui.ui.training.console import ConsolePanel
from genui.ui.training.model import SIDE_TABS, SideTab, Snapshot, pattern
from genui.ui.training.rows import SidePanel
from genui.ui.training.samples import SamplesPanel
from genui.ui.training.system import SystemPanel
from genui.ui.watcher import MARKS, progress
from genui.ui.widgets.base import (
    Framed,
    LifecycleGuard,
    Line,
    Row,
    RowList,
    SearchLine,
    clickable,
    set_border,
)

_PANELS: dict[SideTab, type[SidePanel]] = {
    "sample": SamplesPanel,
    "console": ConsolePanel,
    "config": ConfigPanel,
    "system": SystemPanel,
}


class SideColumn(LifecycleGuard, Vertical):
    """Shows one panel at a time. A panel is made when it is first shown; a hidden one gets no
    updates."""

    def __init__(self) -> None:
        super().__init__(classes="side")
        self._panels: dict[SideTab, SidePanel] = {}
        self._tab: SideTab = "sample"
        self._snapshot = Snapshot()
        self._call: Callable[[SidePanel], object] | None = None  # once the panel shows its runs

    def compose(self) -> ComposeResult:
        yield Line(classes="side-tabs")

    def show(self, tab: SideTab, snapshot: Snapshot) -> None:
        """Show a panel with these runs."""
        self._tab, self._snapshot = tab, snapshot
        self.query_one(".side-tabs", Line).show(_tabs(tab))
        if tab not in self._panels:
            self._panels[tab] = _PANELS[tab]()
            self.call_later(self._mount_panel, self._panels[tab])
        for name, panel in self._panels.items():
            panel.display = name == tab
        self._fill()

    async def _mount_panel(self, panel: SidePanel) -> None:
        if self.is_attached and self.usable:  # not if the screen was closed in the meantime
            await self.mount(panel)
            self._fill()

    def enter(self) -> None:
        """Focus the panel, as soon as it shows its runs."""
        self._when_filled(lambda panel: panel.enter())

    def play(self) -> None:
        """Play the history of the samples, or stop."""
        # In the panel's own queue: Textual does not bubble a message past its sender.
        self._when_filled(lambda panel: panel.call_later(panel.play))

    def _when_filled(self, call: Callable[[SidePanel], object]) -> None:
        self._call = call
        self._fill()

    def _fill(self) -> None:
        panel = self._panels.get(self._tab)
        if panel is None or not panel.usable or not self._snapshot.views:
            return
        panel.show(self._snapshot)
        if self._call is not None:
            call, self._call = self._call, None
            call(panel)


def _tabs(current: SideTab) -> Content:
    parts = []
    for tab in SIDE_TABS:
        style = "bold $background on $primary" if tab == current else "$text-muted"
        parts.append(clickable(f" {tab.title()} ", style, f"screen.side('{tab}')"))
    return Content.assemble(*parts, ("  tab next", "$text-disabled"))


# --- The list of runs -------------------------------------------------------------------------


class RunList(LifecycleGuard, Framed, Vertical):
    """Lists all runs, newest first; those that are shown are numbered in their order."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("runs")]

    @dataclass(eq=False)
    class Toggled(Message):
        """Show this run with the others, or remove it."""

        run: RunSummary

    class Closed(Message):
        """Close the list."""

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
        """List these runs; `shown` are those that are shown, in order."""
        self._runs, self._shown = runs, shown
        self._fill()

    def focus_rows(self) -> None:
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

    @property
    def _chosen(self) -> RunSummary | None:
        key = self.query_one(RowList).chosen
        return next((one for one in self._runs if str(one.run.path) == key), None)

    @on(RowList.Opened)
    def action_toggle_run(self) -> None:
        """Show the chosen run, or remove it."""
        if (run := self._chosen) is not None:
            self.post_message(self.Toggled(run))

    def action_edit_run(self) -> None:
        """Edit the name, tags and note of the chosen run."""
        if (run := self._organisable()) is not None:
            self.post_message(messages.EditRun(run))

    def action_delete_run(self) -> None:
        """Delete the chosen run, if the user confirms it."""
        if (run := self._organisable()) is not None:
            self.post_message(messages.DeleteRun(run))

    def _organisable(self) -> RunSummary | None:
        """The chosen run; None, with a line for the user, if it is another tool's log."""
        run = self._chosen
        if run is not None and not run.native:
            self.post_message(messages.Say("this is a log of another tool: genui reads it", "note"))
            return None
        return run

    def action_close(self) -> None:
        self.post_message(self.Closed())

    def action_search(self) -> None:
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
