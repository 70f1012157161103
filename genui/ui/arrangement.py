"""How the panes of Home are arranged in a terminal of any size."""

from typing import Literal

from genui.ui.keys import PaneName

PANES: tuple[PaneName, ...] = ("models", "training", "text", "canvas")
"""In the order of their places on Home."""
TABS: tuple[PaneName, ...] = ("models", "text", "canvas", "training")
"""In the order of their tabs, if only one is shown at a time."""

Arrangement = Literal["large", "grid", "tabs", "tiny"]


SMALLEST = (60, 16)
GRID = (104, 33)  # four panes, the image one pixel a column
LARGE = (170, 56)  # four panes, the image two columns a pixel


def arrange(width: int, height: int) -> Arrangement:
    """The arrangement for a terminal: four panes if they fit, one at a time, or only a text."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return "tiny"
    if width >= LARGE[0] and height >= LARGE[1]:
        return "large"
    if width >= GRID[0] and height >= GRID[1]:
        return "grid"
    return "tabs"
