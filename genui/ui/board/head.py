"""The head of the Training screen: whose curves these are, how far it is, and its newest values."""

import time
from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.style import Style

from genui.render import numbers, units
from genui.render.axis_names import UNITS
from genui.render.sanitise import clean_line
from genui.render.series_looks import sign_of
from genui.ui.board.board import Board
from genui.ui.chrome import Line
from genui.ui.frame import Framed, set_border
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.looking import RunView
from genui.ui.marks import Part, mark
from genui.ui.panes.training_words import stats_line
from genui.ui.widgets.progress import StepBar

_NAME = 32  # cells


class BoardHead(DeafWhenLeaving, Framed, Vertical):
    """A step bar and a line of values in a border that names the runs and says what is odd."""

    def __init__(self) -> None:
        super().__init__(classes="box head")
        self._board: Board | None = None

    def compose(self) -> ComposeResult:
        yield StepBar()
        yield Line(classes="stats")

    def show(self, board: Board, page: str, look: Callable[[int], Style]) -> None:
        """The runs as last seen; `page` says which curves these are, `look` a run's colour."""
        self._board = board
        view = board.first
        if view is None:
            set_border(self, title="Training", subtitle=page)
            return
        set_border(self, title=_title(board, view, look), subtitle=_oddities(board.shown, page))
        status = view.summary.status
        step = max(status.step, board.newest_step())
        eta = status.eta if view.summary.state == "running" else -1.0
        self.query_one(StepBar).set(step, status.steps, eta)
        self.tell()

    def tell(self) -> None:
        """The line of values, with the age of the data as it is now."""
        board = self._board
        view = board.first if board is not None else None
        if board is None or view is None:
            return
        stats = self.query_one(".stats", Line)
        stats.show(stats_line(view, time.time(), stats.size.width, *_cursor(board)))


def _title(board: Board, view: RunView, look: Callable[[int], Style]) -> Content:
    summary = view.summary
    sign, colour = mark(summary.state)
    state = [(f"  {sign}", colour), (f" {summary.state}", "$text-muted")]
    if len(board.runs) == 1:
        name = (clean_line(summary.info.name, _NAME), "bold $foreground")
        return Content.assemble(name, *state, (_where(view), "$text-muted"))
    names = board.run_names()
    parts: list[str | tuple[str, str | Style]] = []
    for index, one in enumerate(board.runs):
        style = "bold $foreground" if index == 0 else "$text-muted"
        parts += [(f"{sign_of(index, 'line') or '━'} ", look(index)), (names[one.run], style)]
        parts += [*state, "   "] if index == 0 else ["   "]
    return Content.assemble(*parts[:-1])


def _where(view: RunView) -> str:
    summary, parts = view.summary, [""]
    if host := summary.status.host or summary.info.host:
        parts.append(clean_line(host, 40))
    if summary.status.pid:
        parts.append(f"pid {summary.status.pid}")
    if summary.alive:
        parts.append("goes on when you quit")
    return " · ".join(parts)


def _oddities(views: list[RunView], page: str) -> str:
    """What is not as it should be in the logs, and which page of the curves is seen."""
    words = []
    reading = min((view.progress for view in views), default=1.0)
    if reading < 1:
        words.append(f"reading {int(100 * reading)} %")
    if bad := sum(view.bad_lines for view in views):
        words.append(f"{numbers.count(bad)} {'line' if bad == 1 else 'lines'} could not be read")
    if dropped := sum(view.dropped for view in views):
        values = "value" if dropped == 1 else "values"
        words.append(f"{numbers.count(dropped)} {values} left out: too many metrics")
    stretches = [stretch for view in views for stretch in view.overlaps]
    if stretches:
        first, last = stretches[-1]
        more = f" and {len(stretches) - 1} more" if len(stretches) > 1 else ""
        words.append(f"steps {numbers.count(first)}–{numbers.count(last)}{more} written again")
    return " · ".join([*words, page])


def _cursor(board: Board) -> list[Part]:
    x = board.state.cursor
    if x is None:
        return []
    place = units.place(x, UNITS[board.state.axis])
    parts: list[Part] = [("cursor ", "$text-muted"), (place, "bold $text-warning")]
    step = board.step_at(x)
    if step is not None and board.state.axis != "step":
        parts.append((f" step {numbers.count(step)}", "$text-muted"))
    return [*parts, "  "]
