"""How curves are drawn. Nothing here imports numpy."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ChartOptions:
    """How curves are drawn."""

    log_y: bool = False
    log_x: bool = False
    smoothing: float = 0.9
    """How strongly series of the kind `smoothed` are smoothed: 0 (none) to below 1, as in W&B.

    Relative to the range of all x, so that zooming does not change values."""
    cursor: float | None = None
    """An x marked by a line; with `readout` the legend shows the values there."""
    view: tuple[float, float] | None = None
    """The visible range of x; None shows everything and follows the newest point."""
    unit: str = "step"
    """The unit of x: `step`, `s`, `token`, `epoch`, or another noun with a plural in s."""
    overlaps: Sequence[tuple[float, float]] = ()
    """Ranges of x, (first, last), that were logged twice."""
    legend: bool = True
    """Whether the names have a row of their own."""
    guides: bool = False
    """Lines across the plot at the labels of the values."""
    readout: bool = False
    """Whether the legend has the values at the cursor."""
