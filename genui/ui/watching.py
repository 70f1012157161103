"""`genui watch`: an app that is the Training screen alone, for logs wherever they are.

It has no worker, no models and no panes, so that the first curve is there at once.
"""

import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events, on

from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.early import Early
from genui.ui.screens.training import TrainingScreen
from genui.ui.shell import Front, Shell
from genui.ui.sought import Sought, seek
from genui.ui.watch import Watcher

if TYPE_CHECKING:
    from textual.screen import Screen


LOOK = 0.02  # seconds between looks whether keys need no longer wait
LONGEST_HOLD = 1.0  # seconds
LEAVING = ("q", "ctrl+q", "ctrl+c")


class WatchApp(Shell):
    """Shows the first of what was `sought`, or what was shown last."""

    def __init__(self, sought: Sought, early: Early | None = None) -> None:
        super().__init__()
        self._note = sought.note
        self._held: list[events.Key] = []  # until the log has been read
        self._held_at = 0.0
        self._early = early if early is not None and early.ready() else None
        self.watcher = Watcher(self, runs=sought.find)
        self.board = TrainingScreen(
            self.watcher,
            sought.key,
            sought.runs[:1],
            known=sought.runs,
            home=False,
            listing=sought.listing,
            early=self._early,
        )

    async def on_event(self, event: events.Event) -> None:
        """Keys wait for the log, whose first curves are only a picture of it until it is read."""
        if isinstance(event, events.Key) and self.board.only_pictured and event.key not in LEAVING:
            if not self._held:
                self._held_at = time.monotonic()
                self.set_timer(LOOK, self._let_go)
            self._held.append(event)
            return
        await super().on_event(event)

    def _let_go(self) -> None:
        """Do what the keys say that were held, as soon as there is something to do it to."""
        if self.board.only_pictured and time.monotonic() - self._held_at < LONGEST_HOLD:
            self.set_timer(LOOK, self._let_go)
            return
        self.board.close_early()
        held, self._held = self._held, []
        for key in held:
            self.post_message(events.Key(key.key, key.character))

    def get_default_screen(self) -> "Screen":
        return self.board

    @property
    def front(self) -> Front:
        return self.board

    def on_load(self) -> None:
        self.board.begin_watching()
        if self._early is None:
            self.watcher.start(hurry=False)  # it reads while the screen is put together

    def begin(self) -> None:
        """The watcher is at work already, or as soon as there are curves; say what is not shown."""
        if self._note:
            self.board.say(self._note, "note")

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.board.set_lists(event.runs)


def run_watch(paths: Sequence[Path] | None, run: RunDir | None, early: Early | None = None) -> int:
    """Watch one run of ours, or the logs found in `paths`, or all of ours; the exit code.

    `early` has their first curves, where it is already at work on them. Raises GenuiError where
    a path may not be read, MisuseError where there is no log in it.
    """
    try:
        sought = seek(paths, run)
        gc.freeze()  # what was imported stays: no look for garbage need go through it
        app = WatchApp(sought, early)
        app.run()
    finally:
        if early is not None:
            early.close()
    gc.freeze()  # a look through all of the app's objects would delay the prompt by a second
    return app.return_code or 0
