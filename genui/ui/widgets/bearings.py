"""Where a walk through latent space is along each of its directions."""

from collections.abc import Sequence
from typing import ClassVar

from textual.strip import Strip

from genui.ui.widgets.lines import LineWidget, strip_of

SPAN = 4.0  # standard deviations drawn to either side
_NAME = 4  # cells before a bar
_VALUE = 6  # and behind it


class Bearings(LineWidget):
    """A bar a direction, from -4 to 4 standard deviations of the latents, `●` where we are.

    The direction that is walked along has `▸` before it and a heavier line.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "bearings--empty", "bearings--name", "bearings--walked", "bearings--line",
        "bearings--place", "bearings--value",
    }  # fmt: skip
    DEFAULT_CSS = """
    Bearings {
        width: 1fr;
        height: 1fr;
        & > .bearings--empty { color: $text-muted; }
        & > .bearings--name { color: $text-muted; }
        & > .bearings--walked { color: $text-primary; text-style: bold; }
        & > .bearings--line { color: $border-blurred; }
        & > .bearings--place { color: $accent; text-style: bold; }
        & > .bearings--value { color: $foreground; }
    }
    """

    def __init__(self, empty: str = "Where the walk is shows here") -> None:
        super().__init__()
        self._empty = empty
        self._along: Sequence[float] = ()
        self._walked = 0

    def show(self, along: Sequence[float], walked: int) -> None:
        """The place along each direction; `walked` is the one in use, counted from 1, or 0."""
        if (tuple(along), walked) != (tuple(self._along), self._walked):
            self._along, self._walked = tuple(along), walked
            self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._along:
            return self.message(self._empty, "bearings--empty", width, height)
        return [self._bar(number, at, width) for number, at in enumerate(self._along, 1)]

    def _bar(self, number: int, at: float, width: int) -> Strip:
        """`▸2 ━━━━━━┿━━●━━━ +1.3`."""
        cells = max(5, width - _NAME - _VALUE)
        walked = number == self._walked
        place = round((cells - 1) * (min(max(at, -SPAN), SPAN) + SPAN) / (2 * SPAN))
        rule = ["━" if walked else "─"] * cells
        rule[cells // 2] = "┿" if walked else "┼"
        mark = "◂" if at < -SPAN else "▸" if at > SPAN else "●"
        name = self.style("bearings--walked" if walked else "bearings--name")
        line = name if walked else self.style("bearings--line")
        return strip_of(
            [
                (f"{'▸' if walked else ' '}{number:<2} ", name),
                ("".join(rule[:place]), line),
                (mark, self.style("bearings--place")),
                ("".join(rule[place + 1 :]), line),
                (f"{at:+.1f}".rjust(_VALUE), self.style("bearings--value")),
            ]
        )
