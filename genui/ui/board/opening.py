"""The board that a screen opens with."""

from collections.abc import Sequence

from genui.runs.listing import RunSummary
from genui.ui.board import view_state
from genui.ui.board.board import Board


def opened(key: str, runs: Sequence[RunSummary], known: Sequence[RunSummary] = ()) -> Board:
    """These runs, or of all that are `known` those shown when `key` was watched last."""
    state = view_state.recall(key)
    there = {str(one.run.path): one for one in [*runs, *known]}
    again = [there[path] for path in state.runs if path in there]
    return Board(again or runs, state)
