"""The messages between the parts of the app.

They go up: from the session, the watcher thread and the panes to the widget or screen that owns
the state. None of them needs an answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from textual.message import Message
from textual.message_pump import MessagePump

from genui import protocol
from genui.base.errors import GenuiError
from genui.base.text import clean_line
from genui.ui.keys import PaneName

if TYPE_CHECKING:
    from genui.runs.layout import RunDir
    from genui.runs.listing import RunSummary
    from genui.runs.models import ModelInfo
    from genui.runs.table import Survey, TableRow
    from genui.ui.traces.trees import TraceReply
    from genui.ui.watcher import RunView

ViewName = PaneName | Literal["home"]

# --- From the worker, through session.py ------------------------------------------------------


@dataclass(eq=False)
class WorkerReady(Message):
    """The worker has answered Hello."""

    ready: protocol.Ready


@dataclass(eq=False)
class WorkerDied(Message):
    """The worker has ended; `line` says why. `restarted`: another one is starting."""

    line: str
    restarted: bool


@dataclass(eq=False)
class Reply(Message, bubble=False):
    """A reply of the worker about a trace, sent only to the owner of the trace."""

    reply: "TraceReply"


# --- From the watcher thread ------------------------------------------------------------------


@dataclass(eq=False)
class ListsChanged(Message):
    """The models and runs on disk have changed."""

    models: "Sequence[ModelInfo]"
    runs: "Sequence[RunSummary]"

    def can_replace(self, message: Message) -> bool:
        """Only the newest lists matter."""
        return isinstance(message, ListsChanged)


@dataclass(eq=False)
class RunChanged(Message):
    """A watched run has changed on disk."""

    view: "RunView"

    def can_replace(self, message: Message) -> bool:
        """Only the newest view of a run matters."""
        return isinstance(message, RunChanged) and message.view.summary.run == self.view.summary.run


@dataclass(eq=False)
class TableChanged(Message):
    """More was read of the runs for their table."""

    rows: "Sequence[TableRow]"  # newest first
    survey: "Survey"
    progress: tuple[int, int]  # how many runs have been read, and how many there are
    sweeps: Mapping[str, str] = field(default_factory=dict)  # their states by name

    def can_replace(self, message: Message) -> bool:
        """Only the newest rows matter."""
        return isinstance(message, TableChanged)


# --- From the panes ---------------------------------------------------------------------------


@dataclass(eq=False)
class ShowStatus(Message):
    """A line for the status line: an error with its remedy, or a note on what just happened."""

    line: str
    kind: Literal["error", "note"] = "error"


async def say_errors(host: MessagePump, work: Awaitable[None]) -> None:
    """Do the work of a worker; of a GenuiError the line is shown."""
    try:
        await work
    except GenuiError as error:
        host.post_message(ShowStatus(clean_line(str(error))))


@dataclass(eq=False)
class OpenModel(Message):
    """Generate with this model, in the pane of its medium."""

    model: "ModelInfo"


@dataclass(eq=False)
class OpenRun(Message):
    """Show this run in Training."""

    run: "RunDir"


class ListRuns(Message):
    """Show the table of all runs."""


@dataclass(eq=False)
class Generate(Message):
    """Generate from the newest checkpoint of this run."""

    run: "RunDir"


@dataclass(eq=False)
class OrganiseRun(Message):
    """The user wants to edit the name, tags and note of a run, or to delete it."""

    run: "RunSummary"
    delete: bool = False


@dataclass(eq=False)
class Undoable(Message):
    """Something was done that `undo` undoes. It returns a line for the user, and may raise
    GenuiError."""

    undo: Callable[[], Awaitable[str]]


@dataclass(eq=False)
class Pointed(Message):
    """Show a run as it was at this step; None follows the newest. Without a `run` it is the first
    that is shown."""

    step: int | None
    run: "RunDir | None" = None


@dataclass(eq=False)
class ZoomPane(Message):
    """Show this view full-screen, or Home again."""

    view: ViewName


class Acted(Message):
    """The user has acted, so the status line can be cleared."""


@dataclass(eq=False)
class Performed(Message):
    """A command of the palette was done."""

    title: str


@dataclass(eq=False)
class ThemeChosen(Message):
    """This theme is to be kept."""

    theme: str


class KeysChanged(Message):
    """Other keys hold now, though the same pane has the focus."""


class HintSeen(Message):
    """The first-run hint need not be shown again."""
