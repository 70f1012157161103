"""The line that asks which metrics are wanted."""

from textual import on
from textual.widgets import Input

from genui.errors import MisuseError
from genui.ui.board.actions import BoardActions
from genui.ui.board.plots import pattern
from genui.ui.panes.line_input import LineInput


class FilterLine(LineInput):
    """Where the regular expression is typed."""

    def __init__(self) -> None:
        super().__init__(
            placeholder="metrics that match a regular expression, as in loss|lr; esc takes it back",
            id="metric-filter",
            compact=True,
        )


class FilterActions(BoardActions):
    """Opens the line; what is typed is applied at once, and Esc takes it back."""

    _before = ""  # the filter when the line was opened

    def action_filter(self) -> None:
        """Ask which metrics are wanted; what is typed is applied at once."""
        line = self.query_one(FilterLine)
        self._before = line.value = self.board.state.filter
        self.add_class("-filtering")
        self.set_focus(line)

    @on(Input.Changed, "#metric-filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            pattern(event.value)
        except MisuseError as error:
            self.say(str(error))
        else:
            self.change(filter=event.value)

    @on(LineInput.Submitted, "#metric-filter")
    def _filter_done(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._close_filter()

    @on(LineInput.Cancelled, "#metric-filter")
    def _filter_cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        self.change(filter=self._before)
        self._close_filter()

    def _close_filter(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(None)
