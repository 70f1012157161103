"""The Training screen over the main one: how it is opened, and what its leaving asks for."""

from typing import TYPE_CHECKING

from textual.screen import Screen

from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.ui.messages import ViewName
from genui.ui.panes.models import ModelsPane
from genui.ui.panes.training import TrainingPane
from genui.ui.watch import Watcher

if TYPE_CHECKING:
    from genui.ui.screens.training import Left, TrainingScreen


class BoardOver(Screen[None]):
    """A screen with a pane of models and one of training, over which a Training screen comes."""

    watcher: Watcher
    watched: RunDir | None  # the run in the Training pane
    runs: tuple[RunSummary, ...]
    machine: str
    traffic: str
    user_keys: dict[str, str]
    board: "TrainingScreen | None" = None  # where it is

    def action_view(self, view: ViewName) -> None:
        """Home, or one pane full-screen."""
        raise NotImplementedError

    def look_at(self, run: RunDir) -> None:
        """Show this run from now on, and have no other read."""
        raise NotImplementedError

    def generate_from(self, run: RunDir) -> None:
        """Generate from its newest checkpoint."""
        raise NotImplementedError

    def open_board(self) -> None:
        """The Training screen, on the run that is watched."""
        from genui.ui.screens.training import TrainingScreen

        if self.board is not None:
            return
        run, pane = self.watched, self.query_one(TrainingPane)
        shown = [summarise(run)] if run is not None else []
        views = {run: pane.run} if run is not None and pane.run is not None else {}
        board = TrainingScreen(
            self.watcher, run.id if run else "", shown, known=self.runs, views=views
        )
        board.machine, board.traffic = self.machine, self.traffic
        board.user_keys = self.user_keys
        self.board = board
        self.app.push_screen(board, self._board_left)

    def _board_left(self, left: "Left | None") -> None:
        self.board = None
        run, self.watched = self.watched, None  # the watcher is to look at it alone again
        view = left.first if left is not None else None
        if view is not None:
            run = view.summary.run
            self.query_one(ModelsPane).choose_run(run)
        if run is not None:
            self.look_at(run)
        if view is not None:
            self.query_one(TrainingPane).show_run(view)
        if left is not None:
            self.action_view(left.view)
            if left.generate and run is not None:
                self.generate_from(run)
