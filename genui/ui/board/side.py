"""The column beside the curves: one panel at a time, by tabs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from genui.ui.board.view_state import SIDE_TABS, SideTab
from genui.ui.chrome import Line, clickable
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.looking import RunView

if TYPE_CHECKING:
    from genui.render.axis_names import Axis
    from genui.render.window import View
    from genui.ui.board.system_panel import SystemPanel


class Panel(Protocol):
    """What is shown of some runs at a place of the cursor."""

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The runs, the steered one first, and the step of the cursor; None is the newest."""


class SideColumn(DeafWhenLeaving, Vertical):
    """Makes a panel when it is first asked for; those that are not seen are given nothing."""

    def __init__(self) -> None:
        super().__init__(classes="side")
        self._panels: dict[SideTab, Widget] = {}
        self._wanted: tuple[SideTab, Sequence[RunView], float | None] | None = None
        self._along: tuple[Axis, View | None] = ("step", None)
        self._asked: Callable[[Widget], None] | None = None

    def compose(self) -> ComposeResult:
        yield Line(classes="side-tabs")

    def show(self, tab: SideTab, views: Sequence[RunView], cursor: float | None) -> None:
        """That panel, of these runs."""
        self._wanted = tab, views, cursor
        self.query_one(".side-tabs", Line).show(_tabs(tab))
        if tab not in self._panels:
            self._panels[tab] = _panel(tab)
            self.call_later(self._add, self._panels[tab])
        for name, panel in self._panels.items():
            panel.display = name == tab
        self._fill()

    async def _add(self, panel: Widget) -> None:
        await self.mount(panel)
        self._fill()

    def look_along(self, axis: "Axis", span: "View | None") -> None:
        """The axis of the curves and what of it is in sight, for a panel with curves of its own."""
        self._along = axis, span

    def ask(self, call: Callable[[Widget], None]) -> None:
        """Do something with the panel that is shown, as soon as it shows its runs."""
        self._asked = call
        self._fill()

    def _fill(self) -> None:
        if self._wanted is None:
            return
        tab, views, cursor = self._wanted
        panel = self._panels[tab]
        if not views or not panel.is_mounted:
            return
        if tab == "system":
            cast("SystemPanel", panel).look_along(*self._along)
        cast("Panel", panel).show(views, cursor)
        if self._asked is not None:
            call, self._asked = self._asked, None
            call(panel)


def _tabs(current: SideTab) -> Content:
    parts = []
    for tab in SIDE_TABS:
        style = "bold $background on $primary" if tab == current else "$text-muted"
        parts.append(clickable(f" {tab.title()} ", style, f"screen.side('{tab}')"))
    return Content.assemble(*parts, ("  t next", "$text-disabled"))


def _panel(tab: SideTab) -> Widget:
    """Imported when it is first shown: no first chart waits for the others."""
    match tab:
        case "sample":
            from genui.ui.board.samples_panel import SamplesPanel

            return SamplesPanel(classes="box")
        case "console":
            from genui.ui.board.console_panel import ConsolePanel

            return ConsolePanel(classes="box")
        case "config":
            from genui.ui.board.config_panel import ConfigPanel

            return ConfigPanel(classes="box")
        case "system":
            from genui.ui.board.system_panel import SystemPanel

            return SystemPanel(classes="box")
