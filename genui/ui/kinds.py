"""The functions of a kind of model for the app."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widget import Widget

from genui.protocol.kinds import KINDS, Kind, open_face

if TYPE_CHECKING:
    from genui.ui.generate.pane import PaneKind
    from genui.ui.screens import PaneScreen
    from genui.ui.session import Session
    from genui.ui.traces.export import Format


@dataclass(frozen=True, kw_only=True)
class Shows:
    """How its traces are shown and exported."""

    pane: "PaneKind"
    view: Callable[[], Widget]
    """Makes the widget, a `TraceView`, that shows its trace beside others."""
    exports: "Sequence[Format]"
    """The formats that the pane exports."""
    screen: "Callable[[Session], PaneScreen] | None" = None
    """The screen of a pane that is not on Home."""


def styles_of_kinds() -> list[Path]:
    """The style sheets of kinds, which style their panes."""
    folders = dict.fromkeys(kind.folder for kind in KINDS.values() if kind.folder is not None)
    return [path for folder in folders if (path := folder / "styles.tcss").is_file()]


def shows_of(kind: Kind) -> Shows:
    shows = open_face(kind.shows, Shows)
    assert shows is not None  # each kind that generates has it
    return shows
