"""The data of the panels beside the curves: some runs at a place of an axis.

Nothing here needs numpy, so that Home, which has a panel, is painted sooner.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from genui.base.errors import MisuseError
from genui.runs.norms import NormKind
from genui.ui.training.state import XAxis
from genui.ui.watcher import RunView

if TYPE_CHECKING:
    from genui.render.series import VisibleRange


class Snapshot(NamedTuple):
    """The data of a panel beside the curves: the runs, the controlled one first, and a place."""

    views: Sequence[RunView] = ()
    cursor: float | None = None  # a step; None for the newest
    axis: XAxis = "step"
    visible: VisibleRange | None = None  # the visible part of the axis; None for all of it
    x: float | None = None  # the cursor on the axis
    norm: NormKind = "gradients"


# --- The steps of samples ---------------------------------------------------------------------


def sample_steps(views: Sequence[RunView]) -> list[int]:
    """The steps at which any of the runs has a sample, ascending."""
    if len(views) == 1:
        return list(views[0].sample_files)
    return sorted(set().union(*(view.sample_files for view in views)))


def all_without_samples(views: Sequence[RunView]) -> bool:
    """Whether the runs print lines and make no samples, as those of scripts and other tools."""
    return bool(views) and all(
        view.console
        and not view.sample_files
        and (view.summary.info.kind == "script" or not view.summary.native)
        for view in views
    )


def at_or_before(steps: Sequence[int], cursor: float | None) -> int | None:
    """The last of the ascending steps up to the cursor, or of all without one; None if none."""
    if not steps:
        return None
    if cursor is None:
        return steps[-1]
    place = bisect_right(steps, cursor)
    return steps[place - 1] if place else None


def neighbours(steps: Sequence[int], cursor: float | None) -> tuple[int | None, int | None]:
    """The steps before and after the one shown at the cursor."""
    current = at_or_before(steps, cursor)
    place = -1 if current is None else bisect_right(steps, current) - 1
    before = steps[place - 1] if place > 0 else None
    return before, steps[place + 1] if place + 1 < len(steps) else None


def step_beside(steps: Sequence[int], cursor: float | None, by: int) -> int | None:
    """The step of the sample before or after the one shown at the cursor; None for the newest,
    which is followed. Raises MisuseError if there is none."""
    if not steps:
        raise MisuseError("this run has no samples yet")
    before, after = neighbours(steps, cursor)
    step = before if by < 0 else after
    if step is None:
        raise MisuseError(f"there is no {'earlier' if by < 0 else 'later'} sample")
    return None if step == steps[-1] else step
