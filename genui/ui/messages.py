"""What the parts of the app tell each other.

Messages go up: from the session, the watcher thread and the panes to whoever owns the
state. All are frozen facts; none asks for an answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from textual.message import Message

from genui import protocol
from genui.ui.keys import PaneName
from genui.ui.traces.trees import TraceReply

if TYPE_CHECKING:
    from genui.runs.layout import RunDir
    from genui.runs.listing import RunSummary
    from genui.runs.models import ModelInfo
    from genui.ui.watcher import RunView

ViewName = PaneName | Literal["home"]

# --- from the worker, by way of session.py ------------------------------------------


class WorkerReady(Message):
    """The worker said hello back."""

    def __init__(self, ready: protocol.Ready) -> None:
        super().__init__()
        self.ready = ready


class WorkerDied(Message):
    """The worker is gone; `line` says so to a person. `restarted`: another is starting."""

    def __init__(self, line: str, restarted: bool) -> None:
        super().__init__()
        self.line = line
        self.restarted = restarted


class Reply(Message, bubble=False):
    """What the worker says of a trace, for the owner of the trace alone."""

    def __init__(self, reply: TraceReply) -> None:
        super().__init__()
        self.reply = reply


# --- from the watcher thread ----------------------------------------------------------


class ListsChanged(Message):
    """Models and runs as they are on disk now."""

    def __init__(self, models: "Sequence[ModelInfo]", runs: "Sequence[RunSummary]") -> None:
        super().__init__()
        self.models = models
        self.runs = runs

    def can_replace(self, message: Message) -> bool:
        """Only the newest lists matter."""
        return isinstance(message, ListsChanged)


class RunChanged(Message):
    """Something of the watched run is new on disk."""

    def __init__(self, view: "RunView") -> None:
        super().__init__()
        self.view = view

    def can_replace(self, message: Message) -> bool:
        """Only the newest view of a run matters: a flood collapses to one."""
        return isinstance(message, RunChanged) and message.view.summary.run == self.view.summary.run


# --- from the panes -------------------------------------------------------------------


class Say(Message):
    """One plain line for the status line: a fault with its remedy, or what just happened."""

    def __init__(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        super().__init__()
        self.line = line
        self.kind: Literal["error", "note"] = kind


class OpenModel(Message):
    """Generate with this model, in the pane of its medium."""

    def __init__(self, model: "ModelInfo") -> None:
        super().__init__()
        self.model = model


class OpenRun(Message):
    """Show this run in Training."""

    def __init__(self, run: "RunDir") -> None:
        super().__init__()
        self.run = run


class RunHighlighted(Message):
    """The cursor in Models is on this run."""

    def __init__(self, run: "RunDir") -> None:
        super().__init__()
        self.run = run


class Generate(Message):
    """Generate from the newest checkpoint of this run."""

    def __init__(self, run: "RunDir") -> None:
        super().__init__()
        self.run = run


class Pointed(Message):
    """Show the run as it was at this step; None follows the newest."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.step = step


class ZoomPane(Message):
    """Fill the screen with the pane that sent this, or go back."""

    def __init__(self, view: ViewName) -> None:
        super().__init__()
        self.view: ViewName = view


class Acted(Message):
    """The user did something real: the first-run hint has done its work."""


class HintSeen(Message):
    """The first-run hint need not come again."""
