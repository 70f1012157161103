"""The parts of the side panels: the filter of their rows, and the panel itself."""

from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.ui.training.snapshot import Snapshot
from genui.ui.training.state import pattern
from genui.ui.widgets.borders import Framed
from genui.ui.widgets.inputs import SearchLine

NO_PATTERN = Content.styled("not a regular expression", "$text-error")


class PatternLine(SearchLine):
    """The filter of a panel's rows: a regular expression or a glob, typed after /.

    Typed reaches the panel after `pattern` and `is_bad` are set; the panel then draws its rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pattern = pattern("")  # the last valid one: text that is not one changes no rows
        self.is_bad = False

    @on(SearchLine.Typed)
    def _typed(self, event: SearchLine.Typed) -> None:
        try:
            self.pattern, self.is_bad = pattern(event.text), False
        except MisuseError:
            self.is_bad = True

    def describe(self, matches: int, count: int, focused: bool, scrolls: str = "") -> Content:
        """The keys of the panel and, with a filter, how many of `count` rows match."""
        if self.is_bad:
            return NO_PATTERN
        if not count:
            return Content("")
        keys = "/ filter · esc back" if focused else f"i filter{scrolls}"
        if self.pattern.pattern:
            keys = f"{numbers.count(matches)} of {numbers.count(count)} · {keys}"
        return Content(keys)


# --- A panel beside the curves ----------------------------------------------------------------


class SidePanel(Framed, Vertical):
    """A panel that shows the runs at the cursor. Its rows are filtered, or searched, by a line that
    / opens, in a panel that composes its `filter`."""

    ALLOW_SELECT = False  # a drag of the border resizes
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search", "Search", show=False)]
    DEFAULT_CSS = "SidePanel { width: 1fr; height: 1fr; }"

    def __init__(self) -> None:
        super().__init__(classes="box")
        self.filter = PatternLine()
        self.snapshot = Snapshot()

    def show(self, snapshot: Snapshot) -> None:
        """Show the runs at the cursor."""
        self.snapshot = snapshot
        self.draw_matches()

    def enter(self) -> None:
        """Focus what can be scrolled and searched, if anything."""
        if self.can_focus:
            self.focus()

    def play(self) -> None:
        """Play the history of the samples, if there are any, or stop."""

    def draw_matches(self) -> None:
        """Draw what matches the filter."""

    def write_border(self) -> None:
        """Write the title and the keys."""

    @on(events.Focus)
    @on(events.DescendantFocus)
    def _focused(self) -> None:
        self.write_border()

    @on(events.Blur)
    @on(events.DescendantBlur)
    def _left(self) -> None:
        self.call_later(self.write_border)  # the line of the filter may have the focus then

    def action_search(self) -> None:
        self.filter.open()

    @on(SearchLine.Typed)
    def _filter_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        self.draw_matches()
