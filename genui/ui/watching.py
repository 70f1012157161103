"""`genui watch`: an app that is the Training screen alone, for logs wherever they are.

It has no worker, no models and no panes, so that the first curve is there at once.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.screens.training import TrainingScreen
from genui.ui.shell import Front, Shell
from genui.ui.sought import Sought, seek
from genui.ui.watch import Watcher

if TYPE_CHECKING:
    from textual.screen import Screen


class WatchApp(Shell):
    """Shows the first of what was `sought`, or what was shown last."""

    def __init__(self, sought: Sought) -> None:
        super().__init__()
        self._note = sought.note
        self.watcher = Watcher(self, runs=sought.find)
        self.board = TrainingScreen(
            self.watcher,
            sought.key,
            sought.runs[:1],
            known=sought.runs,
            home=False,
            listing=sought.listing,
        )

    def get_default_screen(self) -> "Screen":
        return self.board

    @property
    def front(self) -> Front:
        return self.board

    def on_load(self) -> None:
        self.board.begin_watching()
        self.watcher.start(hurry=False)  # it reads while the screen is put together

    def begin(self) -> None:
        """The watcher is at work already; say what it does not show."""
        if self._note:
            self.board.say(self._note, "note")

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.board.set_lists(event.runs)


def run_watch(paths: Sequence[Path] | None, run: RunDir | None) -> int:
    """Watch one run of ours, or the logs found in `paths`, or all of ours; the exit code.

    Raises GenuiError where a path may not be read, MisuseError where there is no log in it.
    """
    sought = seek(paths, run)
    gc.freeze()  # what was imported stays: no look for garbage need go through it
    app = WatchApp(sought)
    app.run()
    gc.freeze()  # a look through all of the app's objects would delay the prompt by a second
    return app.return_code or 0
