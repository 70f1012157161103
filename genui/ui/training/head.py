"""The head of the Training screen: the runs, the progress of the first and its newest values."""

import time
from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.style import Style

from genui.base import numbers
from genui.base.text import clean_line
from genui.render import axis
from genui.render.chart import choose_sign
from genui.ui.training.axes import unit_of_axis
from genui.ui.training.board import Board
from genui.ui.training.printed import unsure
from genui.ui.training.values import stats_line
from genui.ui.watcher import Part, RunView, mark
from genui.ui.widgets.bars import Line
from genui.ui.widgets.borders import Framed, set_border
from genui.ui.widgets.progress import StepBar

# --- The head ---------------------------------------------------------------------------------

_MAX_NAME = 32  # cells


class BoardHead(Framed, Vertical):
    """A step bar and a line of values, in a border with the runs and any faults of their logs."""

    def __init__(self) -> None:
        super().__init__(classes="box head")
        self._board: Board | None = None

    def compose(self) -> ComposeResult:
        yield StepBar()
        yield Line(classes="stats")

    def show(self, board: Board, caption: str, style_of: Callable[[int], Style]) -> None:
        """Show the newest view of each run, the caption of the curves, and the runs' colours."""
        self._board = board
        view = board.runs.first
        if view is None:
            set_border(self, title="Training", subtitle=caption)
            self.query_one(StepBar).clear()  # of the run before
            self.query_one(".stats", Line).show(Content(""))
            return
        subtitle = " · ".join([*_list_faults(board.runs.views), caption])
        title = _title(board, view, style_of, self.size.width - 2)
        set_border(self, title=title, subtitle=subtitle)
        status = view.summary.status
        step = max(status.step, board.runs.newest_step())
        self.query_one(StepBar).set(step, status.steps, view.summary.eta)
        self.update_stats()

    def update_stats(self) -> None:
        """Update the line of values and the age of the data."""
        board = self._board
        view = board.runs.first if board is not None else None
        if board is None or view is None:
            return
        stats = self.query_one(".stats", Line)
        stats.show(stats_line(view, time.time(), stats.size.width, *_cursor(board)))


def _title(board: Board, view: RunView, style_of: Callable[[int], Style], width: int) -> Content:
    """The runs and their state; for a single run, as much about its process as has room."""
    summary = view.summary
    sign, colour = mark(summary.state)
    state = [(f"  {sign}", colour), (f" {summary.state}", "$text-muted")]
    if len(board.runs.listed) == 1:
        name = (clean_line(summary.info.name, _MAX_NAME), "bold $foreground")
        title = Content.assemble(name, *state)
        for part in _process_parts(view):
            if title.cell_length + len(part) + 3 <= width:
                title = Content.assemble(title, (f" · {part}", "$text-muted"))
        return title
    parts: list[str | tuple[str, str | Style]] = []
    for index, name in enumerate(board.runs.names().values()):
        style = "bold $foreground" if index == 0 else "$text-muted"
        parts += [(f"{choose_sign(index) or '━'} ", style_of(index)), (name, style)]
        parts += [*state, "   "] if index == 0 else ["   "]
    return Content.assemble(*parts[:-1])


def _process_parts(view: RunView) -> list[str]:
    """The facts about the trainer, the most useful first: that it continues, its host, its pid."""
    summary = view.summary
    parts = ["keeps running after you quit"] if summary.alive else []
    if summary.host:
        parts.append(clean_line(summary.host, 40))
    if summary.status.pid:
        parts.append(f"pid {summary.status.pid}")
    return parts


def _list_faults(views: list[RunView]) -> list[str]:
    """The faults of the logs: not read to the end, damaged, or written twice."""
    faults = []
    progress = min((view.progress for view in views), default=1.0)
    if progress < 1:
        faults.append(f"reading {int(100 * progress)} %")
    if any(map(unsure, views)):
        faults.append("steps are uncertain: s, steps")
    if bad := sum(view.bad_lines for view in views):
        faults.append(f"{numbers.quantity(bad, 'line')} could not be read")
    if dropped := sum(view.dropped for view in views):
        faults.append(f"{numbers.quantity(dropped, 'value')} left out: too many metrics")
    if overlaps := [overlap for view in views for overlap in view.overlaps]:
        first, last = overlaps[-1]
        more = f" and {len(overlaps) - 1} more" if len(overlaps) > 1 else ""
        faults.append(f"steps {numbers.count(first)}–{numbers.count(last)}{more} written again")
    return faults


def _cursor(board: Board) -> list[Part]:
    x, unit = board.state.cursor, board.state.base_axis
    if x is None:
        return []
    place = axis.format_place(x, unit_of_axis(unit))
    parts: list[Part] = [("cursor ", "$text-muted"), (place, "bold $text-warning")]
    if unit != "step":
        parts.append((f" step {numbers.count(board.places.step_at(x, unit))}", "$text-muted"))
    return [*parts, "  "]
