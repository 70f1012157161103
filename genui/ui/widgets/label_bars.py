"""What a classifier says of what is shown: its likeliest labels, each with a bar."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.strip import Strip

from genui.render.sanitise import clean_line
from genui.ui.widgets.candidates import bar
from genui.ui.widgets.lines import LineWidget, strip_of

ROWS = 3
_NAME_CELLS = 18
_NUMBER_CELLS = 5


class LabelBars(LineWidget):
    """A heading, and a line a label; or one line on why there is none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "labels--heading",
        "labels--name",
        "labels--likeliest",
        "labels--number",
        "labels--bar",
    }
    DEFAULT_CSS = f"""
    LabelBars {{
        width: 1fr;
        height: {ROWS + 1};
        display: none;
        & > .labels--heading {{ color: $text-muted; }}
        & > .labels--name {{ color: $foreground; }}
        & > .labels--likeliest {{ color: $foreground; text-style: bold; }}
        & > .labels--number {{ color: $text-muted; }}
        & > .labels--bar {{ color: $accent; }}
    }}
    """

    def __init__(self) -> None:
        super().__init__()
        self._heading = ""
        self._labels: Sequence[tuple[str, float]] = ()

    @property
    def labels(self) -> Sequence[tuple[str, float]]:
        """What is shown, the likeliest first."""
        return self._labels

    @property
    def heading(self) -> str:
        """The line above."""
        return self._heading

    def show(self, heading: str, labels: Sequence[tuple[str, float]]) -> None:
        """Labels with their probabilities, the likeliest first; the first few are drawn."""
        self._heading, self._labels = heading, labels
        self.redraw()

    def say(self, line: str) -> None:
        """No labels, and why."""
        self.show(line, ())

    def draw(self, width: int, height: int) -> list[Strip]:
        rows = self._labels[: max(height - 1, 0)]
        names = [clean_line(name, _NAME_CELLS) for name, _ in rows]
        cells = max((cell_len(name) for name in names), default=0)
        room = max(width - cells - _NUMBER_CELLS - 2, 0)
        strips = [strip_of([(clean_line(self._heading, width), self.style("labels--heading"))])]
        for at, (name, (_, share)) in enumerate(zip(names, rows, strict=True)):
            strips.append(
                strip_of(
                    [
                        (
                            set_cell_size(name, cells),
                            self.style("labels--name" if at else "labels--likeliest"),
                        ),
                        (f"{share:>{_NUMBER_CELLS}.0%} ", self.style("labels--number")),
                        (bar(share, room), self.style("labels--bar")),
                    ]
                )
            )
        return strips
