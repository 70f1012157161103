"""The samples of one run or several as a film: which belongs to a step, and which come next."""

from bisect import bisect_right
from collections.abc import Sequence

from genui.ui.looking import RunView

LONGEST = 300
"""Frames of a film, a minute of it: of more samples, as many at even distances are shown."""


def frames(views: Sequence[RunView]) -> list[int]:
    """The steps at which any of the runs made a sample, ascending."""
    if len(views) == 1:
        return list(views[0].sample_files)
    return sorted(set().union(*(view.sample_files for view in views)))


def at_or_before(steps: Sequence[int], cursor: float | None) -> int | None:
    """The newest of the ascending steps that is not after the cursor; None where none is."""
    if not steps:
        return None
    if cursor is None:
        return steps[-1]
    place = bisect_right(steps, cursor)
    return steps[place - 1] if place else None


def beside(steps: Sequence[int], cursor: float | None) -> tuple[int | None, int | None]:
    """The sample before the one that belongs to the cursor, and the one after it."""
    shown = at_or_before(steps, cursor)
    place = -1 if shown is None else bisect_right(steps, shown) - 1
    before = steps[place - 1] if place > 0 else None
    return before, steps[place + 1] if place + 1 < len(steps) else None


def film(steps: Sequence[int], start: float | None) -> list[int]:
    """What is played from the cursor on, or from the first sample where the cursor is at the
    newest: LONGEST at most, the newest among them."""
    shown = at_or_before(steps, start)
    first = shown if shown is not None and shown < steps[-1] else steps[0]
    rest = [step for step in steps if step >= first]
    stride = max(-(-len(rest) // LONGEST), 1)
    return rest[::-1][::stride][::-1]
