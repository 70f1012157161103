"""A progress bar with step, percent and time left."""

from rich.cells import cell_len
from rich.style import Style as RichStyle
from textual.strip import Strip

from genui.runs.facts import count_steps, percent, time_left
from genui.ui.widgets.lines import LineWidget, strip_of

_MIN_BAR = 8
_DONE, _REST = "▄", "▁"
_ETA_FROM = 5  # steps; before, their speed says little


class StepBar(LineWidget):
    """`step 1,240/4,000 ▄▄▄▄▄▄▄▄▁▁▁▁▁▁▁▁▁▁ 31 %  ETA ~4 min`, on one line of any width.

    Without a known end it is a counter.
    """

    DEFAULT_CSS = """
    StepBar {
        height: 1;
        & > .step-bar--label { color: $text-muted; }
        & > .step-bar--value { text-style: bold; }
        & > .step-bar--done { color: $primary; }
        & > .step-bar--rest { color: $foreground 20%; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def set(self, step: int, steps: int, eta: float = -1.0) -> None:
        """Show the progress; `eta` is in seconds, negative if unknown; `steps` 0: no end."""
        self._state = (max(step, 0), max(steps, 0), eta)
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        self._state: tuple[int, int, float] | None = None
        super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._state is None:
            return []
        step, steps, eta = self._state
        label, value = self.style("step-bar--label"), self.style("step-bar--value")
        base = self.rich_style
        number, slash, end = count_steps(step, steps).partition("/")
        before = [("step ", label), (number, value), (slash + end, label)]
        # Without room, the last of these are left out.
        after: list[list[tuple[str, RichStyle]]] = []
        share = min(step / steps, 1.0) if steps else 0.0
        if steps:
            after.append([(f" {percent(step, steps)}", base)])
        if eta >= 0 and step >= _ETA_FROM:
            after.append([("  ETA ", label), (time_left(eta), base)])
        before.append((" ", base))

        def room() -> int:
            return width - sum(cell_len(text) for group in (before, *after) for text, _ in group)

        while room() < _MIN_BAR and after:
            after.pop()
        cells = max(room(), 0) if steps else 0
        done = round(share * cells)
        # A high and a low block, so that the bar can be read without colour.
        bar = [
            (_DONE * done, self.style("step-bar--done")),
            (_REST * (cells - done), self.style("step-bar--rest")),
        ]
        return [strip_of([*before, *bar, *(part for group in after for part in group)])]
