"""The keys that go into the panel beside the curves, or let it play."""

from textual.widget import Widget

from genui.ui.board.actions import BoardActions
from genui.ui.board.side import SideColumn


class SideActions(BoardActions):
    """Actions for the panels of a board's side."""

    def action_into(self) -> None:
        """Give the panel the keys; where it has no use for them, show the console."""
        tab = self.board.state.side
        self.change(side=tab if tab in {"console", "config"} else "console", side_shown=True)
        self.query_one(SideColumn).ask(_enter)

    def action_play(self) -> None:
        """Play the history of the samples, or stop it."""
        self.change(side="sample", side_shown=True)
        self.query_one(SideColumn).ask(_play)


def _enter(panel: Widget) -> None:
    # As in side.py: no first chart waits for a panel.
    from genui.ui.board.config_panel import ConfigPanel
    from genui.ui.board.console_panel import ConsolePanel

    if isinstance(panel, ConsolePanel | ConfigPanel):
        panel.enter()


def _play(panel: Widget) -> None:
    from genui.ui.board.samples_panel import SamplesPanel

    if isinstance(panel, SamplesPanel):
        # By the panel itself: Textual lets no message rise beyond who had it sent.
        panel.call_later(panel.play)
