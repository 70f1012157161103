"""The keys that choose which runs lie over each other, and which of them is steered."""

from collections.abc import Sequence

from textual import on

from genui.runs.listing import RunSummary, summarise
from genui.ui import messages
from genui.ui.board.actions import BoardActions
from genui.ui.board.run_list import RunList
from genui.ui.watch import Watcher

MOST_RUNS = 8  # that lie over each other: as many as there are signs


class RunChoice(BoardActions):
    """Actions for the runs of a board, and the list of all that there are."""

    known: Sequence[RunSummary]
    watcher: Watcher

    def begin_watching(self) -> None:
        """Have the watcher look at the runs that are shown, and at no other."""
        self.watcher.watch(*self.board.runs)

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """Lay these over each other; the first is the one that is steered."""
        self.board.set_runs(runs)
        self.begin_watching()
        self.query_one(RunList).show(self.known, self.board.runs)
        self.change()

    def action_runs(self) -> None:
        """Open the list of runs, or close it."""
        listed = self.query_one(RunList)
        listed.display = not listed.display
        if listed.display:
            listed.show(self.known, self.board.runs)
            listed.focus_rows()
        else:
            self.set_focus(None)

    @on(RunList.Closed)
    def _list_closed(self) -> None:
        self.query_one(RunList).display = False
        self.set_focus(None)

    @on(RunList.Toggled)
    def _toggled(self, event: RunList.Toggled) -> None:
        self.toggle(event.run)

    def toggle(self, run: RunSummary) -> None:
        """Lay this run over the others, or take it away."""
        runs = [one for one in self.board.runs if one.run != run.run]
        if len(runs) == len(self.board.runs):
            runs.append(run)
        if not runs:
            self.say("one run stays: show another first", "note")
        elif len(runs) > MOST_RUNS:
            self.say(f"{MOST_RUNS} runs at most lie over each other: take one away first", "note")
        else:
            self.show_runs(runs)

    def action_turn(self, by: int) -> None:
        """Steer another of the runs that are shown."""
        if len(self.board.runs) < 2:
            shown = "only one run" if self.board.runs else "no run"
            self.say(f"{shown} is shown: o adds others", "note")
            return
        self.board.turn(by)
        self.show_runs(self.board.runs)

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        """A run that was just started from one of these: it comes first, the others under it.

        It begins at step 0, so all of the axis is shown.
        """
        event.stop()
        self.watcher.refresh()
        self.show_runs([summarise(event.run), *self.board.runs][:MOST_RUNS])
        self.change(view=None, follow=True, cursor=None)
