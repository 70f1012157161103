"""The panes that share one place on the main screen, each for its kinds of models.

The Canvas is there from the start; another is made when a model is opened that needs it.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, cast

from genui.ui.key import PaneName
from genui.ui.panes.trace_pane import TracePane
from genui.ui.session import Session

SLOT: Mapping[PaneName, str] = MappingProxyType(
    {
        "canvas": "genui.ui.panes.canvas:CanvasPane",
        "roll": "genui.ui.panes.roll:RollPane",
        "walk": "genui.ui.panes.walk:LatentPane",
    }
)
"""The id of each pane that may stand there, and its class as `module:class`."""


def make_pane(name: PaneName, session: Session) -> TracePane[Any, Any]:
    """A new pane of that id, its module imported with the first."""
    module, _, kind = SLOT[name].partition(":")
    pane = cast("TracePane[Any, Any]", getattr(import_module(module), kind)(session))
    pane.add_class("slot")
    return pane


def tab_of(pane: PaneName) -> PaneName:
    """The tab a pane is under: all that share the place are under the Canvas's."""
    return "canvas" if pane in SLOT else pane
