"""The panels beside the curves, one at a time."""

from collections.abc import Callable, Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from genui.ui import keys
from genui.ui.lifecycle import guard, is_usable
from genui.ui.training.config import ConfigPanel
from genui.ui.training.console import ConsolePanel
from genui.ui.training.layers import LayersPanel
from genui.ui.training.norms import NormsPanel
from genui.ui.training.rows import SidePanel
from genui.ui.training.samples import SamplesPanel
from genui.ui.training.snapshot import Snapshot
from genui.ui.training.state import SIDE_TABS, SideTab
from genui.ui.training.system import SystemPanel
from genui.ui.widgets.bars import Line, clickable

_PANELS: dict[SideTab, type[SidePanel]] = {
    "sample": SamplesPanel,
    "console": ConsolePanel,
    "config": ConfigPanel,
    "system": SystemPanel,
    "norms": NormsPanel,
    "layers": LayersPanel,
}


@guard
class SideColumn(Vertical):
    """Shows one panel at a time. A panel is made when it is first shown; a hidden one gets no
    updates."""

    def __init__(self, tabs: Sequence[SideTab] = SIDE_TABS) -> None:
        super().__init__(classes="side")
        self._tabs = tabs
        self._panels: dict[SideTab, SidePanel] = {}
        self._tab: SideTab = "sample"
        self._snapshot = Snapshot()
        self._call: Callable[[SidePanel], object] | None = None  # once the panel shows its runs

    def compose(self) -> ComposeResult:
        yield Line(classes="side-tabs")

    def show(self, tab: SideTab, snapshot: Snapshot) -> None:
        self._tab, self._snapshot = tab, snapshot
        self._show_tabs()
        if tab not in self._panels:
            self._panels[tab] = _PANELS[tab]()
            self.call_later(self._mount_panel, self._panels[tab])
        for name, panel in self._panels.items():
            panel.display = name == tab
        self._fill()

    def on_resize(self) -> None:
        self._show_tabs()

    def _show_tabs(self) -> None:
        line = self.query_one(".side-tabs", Line)
        line.show(_format_tabs(self._tabs, self._tab, self.size.width, line.keymap))

    async def _mount_panel(self, panel: SidePanel) -> None:
        if self.is_attached and is_usable(self):  # not if the screen was closed in the meantime
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
        if panel is None or not is_usable(panel):
            return
        panel.show(self._snapshot)
        if self._call is not None and self._snapshot.views:
            call, self._call = self._call, None
            call(panel)


def _format_tabs(
    tabs: Sequence[SideTab], current: SideTab, width: int, keymap: Mapping[str, str]
) -> Content:
    """The names of the panels, with the key if it fits."""
    parts, about = [], keys.explain(keys.find_key("board.side"), keymap)
    before = " " if sum(len(tab) + 2 for tab in tabs) <= width else ""
    for tab in tabs:
        style = "bold $background on $primary" if tab == current else "$text-muted"
        parts.append(clickable(f"{before}{tab.title()} ", style, f"screen.side('{tab}')", about))
    line, key = Content.assemble(*parts), Content.styled("  tab next", "$text-disabled")
    return line + key if line.cell_length + key.cell_length + 2 <= width else line
