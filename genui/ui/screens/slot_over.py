"""The panes that share the Canvas's place on the main screen: one is seen, others are made when
a model needs them."""

from collections.abc import Callable
from typing import Any

from textual import work
from textual.screen import Screen

from genui.runs.catalog import ModelInfo
from genui.ui.key import PaneName
from genui.ui.media import classifiers, pane_of
from genui.ui.messages import ViewName
from genui.ui.panes.slot import SLOT, make_pane
from genui.ui.panes.trace_pane import TracePane
from genui.ui.session import Session

Use = Callable[[TracePane[Any, Any]], object]
"""What is done with a pane once it is there."""


class SlotOver(Screen[None]):
    """A screen with a place that several panes share; `slot` names the one that is in it."""

    _session: Session
    models: tuple[ModelInfo, ...]
    view: ViewName
    current: PaneName
    slot: PaneName = "canvas"

    def action_show_pane(self, pane: PaneName) -> None:
        """Give a pane the focus."""
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    def _in_pane(self, name: PaneName, use: Use) -> None:
        """Give a pane the focus and use it; one that is not there yet is made."""
        if self.query(f"#{name}"):
            self._focus_pane(name, use)
        else:
            self._make_pane(name, use)

    @work(group="slot", exclusive=True, exit_on_error=False)
    async def _make_pane(self, name: PaneName, use: Use) -> None:
        pane = make_pane(name, self._session)
        pane.add_class("-hidden")
        await self.query_one("#lower").mount(pane)
        self._tell_models(pane)
        self._focus_pane(name, use)

    def _tell_models(self, pane: TracePane[Any, Any]) -> None:
        """Which models there are for it now, and which label what they make."""
        pane.set_catalogue([model for model in self.models if pane_of(model) == pane.pane])
        pane.set_classifiers(classifiers(self.models))

    def _focus_pane(self, name: PaneName, use: Use) -> None:
        if name in SLOT and name != self.slot:
            self.slot = name
            if self.view in SLOT:
                self.view = name
            self.current = name
            self._show()
        self.action_show_pane(name)
        use(self.query_one(f"#{name}", TracePane))
