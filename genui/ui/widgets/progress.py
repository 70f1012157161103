"""How far something is: a thin bar with step, percent and time left."""

from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from genui.render.numbers import clock, count
from genui.render.sanitise import clean_line
from genui.ui.widgets.lines import LineWidget, strip_of

_LEAST_BAR = 8


class StepBar(LineWidget):
    """`step 1,240/4,000 ━━━━━━━━────────── 31 %  ETA 4:12`, on one line of any width."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "step-bar--label",
        "step-bar--value",
        "step-bar--done",
        "step-bar--rest",
    }
    DEFAULT_CSS = """
    StepBar {
        width: 1fr;
        height: 1;
        & > .step-bar--label { color: $text-muted; }
        & > .step-bar--value { text-style: bold; }
        & > .step-bar--done { color: $primary; }
        & > .step-bar--rest { color: $foreground 20%; }
    }
    """

    def __init__(
        self,
        label: str = "step",
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._label = clean_line(label)
        self.clear()

    def set(self, step: int, steps: int, eta: float = -1.0, note: str = "") -> None:
        """`eta` in seconds, negative where it is not known; `steps` 0 where there is no end."""
        self._state = (max(step, 0), max(steps, 0), eta, clean_line(note))
        self.redraw()

    def clear(self) -> None:
        """Back to nothing done of nothing."""
        self._state = (0, 0, -1.0, "")
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        step, steps, eta, note = self._state
        label, value = self.style("step-bar--label"), self.style("step-bar--value")
        base = self.rich_style
        before = [(f"{self._label} ", label), (count(step), value)]
        # The last of these go first where there is no room: each is kept or dropped whole.
        after: list[list[tuple[str, Style]]] = []
        share = min(step / steps, 1.0) if steps else 0.0
        if steps:
            before.append((f"/{count(steps)}", label))
            after.append([(f" {int(share * 100)} %", base)])
        if eta >= 0:
            after.append([("  ETA ", label), (clock(eta), base)])
        if note:
            after.append([(f"  {note}", label)])
        before.append((" ", base))
        while (room := width - _cells(before, *after)) < _LEAST_BAR and after:
            after.pop()
        room = max(room, 0)
        done = round(share * room)
        # A heavy and a light line, so the bar reads without colour too.
        bar = [
            ("━" * done, self.style("step-bar--done")),
            ("─" * (room - done), self.style("step-bar--rest")),
        ]
        return [strip_of([*before, *bar, *(part for group in after for part in group)])]


def _cells(*groups: list[tuple[str, Style]]) -> int:
    return sum(cell_len(text) for group in groups for text, _ in group)
