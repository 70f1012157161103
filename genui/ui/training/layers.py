"""The Layers panel: the logit lens of a run's prompt at the checkpoint nearest to the cursor."""

import asyncio

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content

from genui.base import numbers
from genui.base.errors import GenuiError
from genui.base.text import clean_line
from genui.protocol import (
    Advance,
    Failed,
    Idle,
    Layers,
    ReadLayers,
    Start,
    Started,
    TextSettings,
)
from genui.protocol.kinds import KINDS
from genui.runs.layout import RunDir, checkpoint_steps
from genui.ui import messages
from genui.ui.session import Session
from genui.ui.traces.trees import Lost
from genui.ui.training.rows import SidePanel
from genui.ui.training.snapshot import Snapshot
from genui.ui.watcher import RunView
from genui.ui.widgets.bars import Line
from genui.ui.widgets.candidates import token_text
from genui.ui.widgets.layers import LayerList

GREEDY = TextSettings(temperature=0, tokens=1)
"""The likeliest token after the prompt, whose layers are shown."""

NO_TEXT = "Only runs of text models show layers"
NO_CHECKPOINT = "No checkpoint yet: the first one shows its layers here"
NO_WORKER = "genui watch runs no models: start genui to see layers"


def nearest_step(steps: list[int], cursor: float | None) -> int | None:
    """The step nearest to the cursor, the last one without a cursor; None without any."""
    if not steps or cursor is None:
        return max(steps, default=None)
    return min(steps, key=lambda step: abs(step - cursor))


class LayersPanel(SidePanel):
    """The first run's prompt, read by the worker; one checkpoint is under way at a time."""

    DEFAULT_CSS = """
    LayersPanel {
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._cursor: float | None = None
        self._shown: tuple[RunDir, int] | None = None  # the run and step shown, or that failed
        self._pending: tuple[RunDir, int] | None = None  # those under way
        self._trace = 0  # its trace

    def compose(self) -> ComposeResult:
        yield Line(classes="layers-place")
        yield LayerList()

    def on_mount(self) -> None:
        self.border_title = "Layers"

    def on_unmount(self) -> None:
        self._close()

    @property
    def _session(self) -> Session | None:
        """The app's worker; None in `genui watch`."""
        return getattr(self.app, "session", None)

    def show(self, snapshot: Snapshot) -> None:
        """Show the layers at the checkpoint nearest to the cursor, once the worker has them."""
        self._view, self._cursor = next(iter(snapshot.views), None), snapshot.cursor
        self._request()

    @work(group="layers", exclusive=True, exit_on_error=False)
    async def _request(self) -> None:
        """Ask the worker for the checkpoint to show now, unless it is shown already."""
        view, session = self._view, self._session
        if view is None or self._pending is not None:
            return
        recipe = view.summary.info.recipe
        kind = KINDS.get((str(recipe.get("family")), str(recipe.get("medium"))))
        if not view.summary.native or kind is None or kind.pane != "text":
            self._say(NO_TEXT)
            return
        if session is None:
            self._say(NO_WORKER)
            return
        run = view.summary.run
        step = nearest_step(await asyncio.to_thread(_steps_of, run), self._cursor)
        if step is None:
            self._say(NO_CHECKPOINT)
        elif (run, step) != self._shown and self._pending is None:
            self._pending = (run, step)
            prompt = str(recipe.get("sample_prompt") or "\n")
            model = str(run.checkpoint(step))
            start = Start(trace=0, model=model, prompt=prompt, seed=0, settings=GREEDY)
            self._trace = session.start(self, start)

    def _say(self, line: str) -> None:
        self._shown = None
        self.query_one(".layers-place", Line).show(Content(""))
        self.query_one(LayerList).clear(line)

    @on(messages.Reply)
    def _handle_reply(self, event: messages.Reply) -> None:
        event.stop()
        session, reply = self._session, event.reply
        if isinstance(reply, Lost):
            self._pending = None
            return
        if session is None or self._pending is None or reply.trace != self._trace:
            return
        match reply:
            case Started():
                session.put(Advance(trace=self._trace, start=0, steps=1))
            case Idle():
                session.put(ReadLayers(trace=self._trace, step=1))
            case Layers():
                self._show_layers(reply)
                self._finish()
            case Failed():
                self._say(clean_line(reply.message, 200))
                self._finish()

    def _finish(self) -> None:
        """Close the trace, and ask for the present checkpoint."""
        self._shown = self._pending
        self._close()
        self._request()

    def _close(self) -> None:
        if self._pending is not None and (session := self._session) is not None:
            session.forget(self._trace)
        self._pending = None

    def _show_layers(self, layers: Layers) -> None:
        assert self._pending is not None
        _, step = self._pending
        prompt = str(self._view.summary.info.recipe.get("sample_prompt", "")) if self._view else ""
        place = Content.assemble(
            ("checkpoint ", "$text-muted"),
            (numbers.count(step), "bold" if self._cursor is None else "bold $accent"),
            ("  after ", "$text-muted"),
            f"‘{token_text(prompt, 24)}’",
        )
        self.query_one(".layers-place", Line).show(place)
        shown = self.query_one(LayerList)
        if layers.layers:
            shown.show(layers, len(layers.layers) - 1)
        else:
            shown.clear(clean_line(layers.fault, 200))


def _steps_of(run: RunDir) -> list[int]:
    """The steps of the run's checkpoints; none if the folder cannot be read."""
    try:
        return checkpoint_steps(run)
    except GenuiError:
        return []
