"""`genui watch`: an app that is the Training screen alone, for logs wherever they are.

It has no worker, no models and no panes, so that the first curve is there at once.
"""

import gc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from genui.errors import MisuseError
from genui.render.sanitise import clean_line
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.ui import messages
from genui.ui.screens.training import TrainingScreen
from genui.ui.shell import Front, Shell
from genui.ui.watch import Watcher

if TYPE_CHECKING:
    from textual.screen import Screen

    from genui.runs.logs import FoundLogs


class WatchApp(Shell):
    """Shows `runs[0]` first, or what was shown last; with `listing` the list of all beside it.

    `note` says what was not looked at when they were sought.
    """

    def __init__(
        self,
        key: str,
        runs: Sequence[RunSummary],
        find: Callable[[], list[RunSummary]],
        listing: bool,
        note: str = "",
    ) -> None:
        super().__init__()
        self._note = note
        self.watcher = Watcher(self, runs=find, models=list)
        self.board = TrainingScreen(
            self.watcher, key, runs[:1], known=runs, home=False, listing=listing
        )

    def get_default_screen(self) -> "Screen":
        return self.board

    @property
    def front(self) -> Front:
        return self.board

    def on_load(self) -> None:
        self.board.watch_runs()
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
    note = ""
    if run is not None:
        key, runs, find = run.id, [summarise(run)], list_runs
    elif paths:
        key = "\n".join(str(path.absolute()) for path in paths)
        find = partial(_logs_in, tuple(paths))
        runs = found = find()
        note = found.note
    else:
        key, find = "", list_runs
        runs = find()
    gc.freeze()  # what was imported stays: no look for garbage need go through it
    app = WatchApp(key, runs, find, listing=run is None and len(runs) > 1, note=note)
    app.run()
    gc.freeze()  # a look through all of the app's objects would delay the prompt by a second
    return app.return_code or 0


def _logs_in(paths: Sequence[Path]) -> "FoundLogs":
    """Every log in those files and folders, the one written last first.

    A folder without any may get one later: it is looked at again.
    """
    from genui.runs.logs import FoundLogs, find_logs

    found, notes = FoundLogs(), []
    for path in paths:
        try:
            here = find_logs(path)
        except MisuseError:
            if not path.is_dir():
                raise
            continue
        found += here
        if here.note:
            notes.append(f"{clean_line(str(path))}: {here.note}")
    found.sort(key=lambda one: one.age)
    found.note = "; ".join(notes)
    return found
