"""An app of one panel of the Training screen, and looks at runs to show in it."""

import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
from acting import running
from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

from genui.runs.layout import RunDir
from genui.runs.listing import summarise
from genui.ui import messages
from genui.ui.training.snapshot import Snapshot
from genui.ui.watcher import RunView, sample_files

Points = tuple[np.ndarray, np.ndarray, np.ndarray]


class PanelApp(App[None]):
    """Moves the cursor where the panel asks for, as the screen does."""

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self.panel = panel
        self.views: Sequence[RunView] = ()
        self.cursor: float | None = None
        self.pointed: list[int | None] = []
        self.said: list[str] = []
        self.last_key_at = 0.0

    def compose(self) -> ComposeResult:
        panel: Widget = self.panel
        panel.styles.border = ("round", "white")
        yield panel

    def show(self, *views: RunView, cursor: float | None = None) -> None:
        self.views, self.cursor = views, cursor
        self.panel.show(Snapshot(views, cursor, x=cursor))

    @on(messages.Pointed)
    def _pointed(self, event: messages.Pointed) -> None:
        self.pointed.append(event.step)
        self.show(*self.views, cursor=event.step)

    @on(messages.ShowStatus)
    def _said(self, event: messages.ShowStatus) -> None:
        self.said.append(event.line)


@asynccontextmanager
async def opened(panel: Widget, size: tuple[int, int] = (60, 20)) -> AsyncIterator[Pilot[None]]:
    """The panel alone on a screen; `pilot.app` is a PanelApp."""
    async with running(PanelApp(panel), size) as pilot:
        yield pilot


def app_of(pilot: Pilot[None]) -> PanelApp:
    assert isinstance(pilot.app, PanelApp)
    return pilot.app


def look(run: RunDir, **fields: Any) -> RunView:
    """The run as it is on disk now, but for its metrics; with other fields as given."""
    found = {
        "config": summarise(run).info.recipe,
        "sample_files": sample_files(run),
        "console": tuple(run.console.read_text(errors="replace").splitlines()),
        "read_at": time.time(),
    }
    return RunView(summarise(run), **(found | fields))


def points(steps: Sequence[int], values: Sequence[float], times: Sequence[float]) -> Points:
    return np.array(steps, np.int64), np.array(values, float), np.array(times, float)


def with_info(view: RunView, format: str = "genui", **changes: object) -> RunView:
    """The same look at a run of another kind."""
    info = msgspec.structs.replace(view.summary.info, **changes)
    summary = dataclasses.replace(view.summary, info=info, format=format)
    return dataclasses.replace(view, summary=summary)
