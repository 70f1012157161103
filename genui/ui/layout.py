"""How much of the app a terminal of a given size shows."""

from typing import Literal

Arrangement = Literal["large", "grid", "tabs", "tiny"]

SMALLEST = (60, 16)
GRID = (104, 33)  # four panes, the picture one pixel a column
LARGE = (170, 56)  # four panes, the picture two columns a pixel


def arrange(width: int, height: int) -> Arrangement:
    """Four panes where they fit, one at a time where not, a plain word where nothing does."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return "tiny"
    if width >= LARGE[0] and height >= LARGE[1]:
        return "large"
    if width >= GRID[0] and height >= GRID[1]:
        return "grid"
    return "tabs"


def too_small(width: int, height: int) -> str:
    """What is shown in place of panes that would not fit."""
    needed = f"{SMALLEST[0]}×{SMALLEST[1]}"
    return (
        f"genui needs {needed} cells;\nthis terminal has {width}×{height}.\n\n"
        "Make it larger, or press q to quit."
    )
