"""The app: paints at once, then reads the lists on a thread, then starts the worker."""

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on

from genui.errors import GenuiError
from genui.render.sanitise import clean_line
from genui.runs.catalog import list_models
from genui.runs.listing import list_runs
from genui.ui import messages
from genui.ui.screens.home import HomeScreen
from genui.ui.session import WORKER, Session
from genui.ui.shell import LOOKS, Front, Shell
from genui.ui.watch import Watcher

if TYPE_CHECKING:
    from textual.screen import Screen


class GenuiApp(Shell):
    """Wires the session, the watcher and the main screen together.

    `worker` is the command that answers the protocol on its pipes; tests give their own.
    """

    CSS_PATH = [LOOKS, LOOKS.with_name("home.tcss")]  # noqa: RUF012 - as Textual declares it

    def __init__(self, worker: Sequence[str] = WORKER) -> None:
        super().__init__()
        self.session = Session(self, worker)
        self.watcher = Watcher(self, models=list_models)
        self.home = HomeScreen(self.session, self.watcher)
        self._warmed = False

    def get_default_screen(self) -> "Screen":
        return self.home

    @property
    def front(self) -> Front:
        return self.home.board or self.home.lab_shown or self.home

    def begin(self) -> None:
        super().begin()
        self.session.open()

    def hint(self) -> None:
        self.home.hint()

    async def on_unmount(self) -> None:
        await self.session.close()

    # --- from the session and the watcher ---------------------------------------------

    @on(messages.WorkerReady)
    def _worker_ready(self, event: messages.WorkerReady) -> None:
        ready = event.ready
        self.home.set_machine(clean_line(f"{ready.device} {ready.precision}", 24))
        self._warm()

    @on(messages.WorkerDied)
    def _worker_died(self, event: messages.WorkerDied) -> None:
        self._warmed = False
        self.home.set_machine("")
        self.front.say(event.line)

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.home.set_lists(tuple(event.models), tuple(event.runs))
        self._warm()

    def _warm(self) -> None:
        """Load what will most likely be asked for first."""
        if self.session.ready is not None and not self._warmed and self.home.models:
            self._warmed = True
            for ref in self.home.offered_models():
                self.session.warm(ref)


def farewell() -> str:
    """What is said after the app is gone: which trainings go on. Empty where none does."""
    try:
        live = [run for run in list_runs() if run.alive]
    except GenuiError:
        return ""
    if not live:
        return ""
    names = ", ".join(clean_line(run.info.name, 40) for run in live[:3])
    names += ", …" if len(live) > 3 else ""
    verb = "training goes on" if len(live) == 1 else "trainings go on"
    return f"{len(live)} {verb}: {names} — open genui to see {'it' if len(live) == 1 else 'them'}"


def run() -> int:
    """Open the app; returns the exit code once it is closed."""
    app = GenuiApp()
    app.run()
    gc.freeze()  # a look through all of the app's objects would delay the prompt by a second
    if line := farewell():
        print(line, file=sys.stdout)
    return app.return_code or 0
