"""What happens to the runs that are watched is told once: in a line, by bell, and in a list."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from textual.app import App
from textual.binding import Binding, BindingType

from genui.render.sanitise import clean_line
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.board.pointing import Pointed
from genui.ui.notify import ring
from genui.ui.panes.rows import Row
from genui.ui.screens.choose import ChooseScreen

if TYPE_CHECKING:
    from genui.runs.alerts import Alert, Alerts
    from genui.ui.looking import RunView

GATHER = 1.0  # seconds between looks at runs that log all the time
LOOK_AGAIN = 5.0  # seconds after which a run that says nothing is looked at for a stall
MOST = 500  # alerts that are kept
RING_GAP = 2.0  # seconds between two bells: of many runs that end at once one is enough

_SIGNS = {
    "nan": ("✗", "bad"),
    "divergence": ("✗", "bad"),
    "collapse": ("✗", "bad"),
    "crash": ("✗", "bad"),
    "stall": ("!", "warn"),
    "finish": ("✓", "good"),
}
_RINGS = frozenset({"nan", "divergence", "collapse", "crash", "finish"})
EMPTY = "Nothing to tell so far: no NaN, divergence, collapse, stall, crash or finish"


class Told(NamedTuple):
    """An alert, of which run, and whether it happened while the app was there."""

    run: RunDir
    name: str
    alert: "Alert"
    fresh: bool

    @property
    def line(self) -> str:
        return clean_line(f"{self.name}: {self.alert.line}")


class AlertDesk:
    """Gets every look at a run, and tells what is new in it.

    What happened before the app was opened is kept for the list and told no other way: an old
    run that failed does not ring when it is opened.
    """

    def __init__(
        self,
        app: App[Any],
        watched: Callable[[], Iterable[RunDir]],
        quiet: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.quiet = quiet
        self.past: list[Told] = []
        self._app = app
        self._watched = watched
        self._opened = clock()  # unix time
        self._alerts: dict[RunDir, Alerts] = {}
        self._views: dict[RunDir, RunView] = {}
        self._due: dict[RunDir, None] = {}  # to be looked at, in order
        self._seen: set[RunDir] = set()  # what is new in these happens now
        self._working = False
        self._rang = -RING_GAP

    @property
    def following(self) -> frozenset[RunDir]:
        """The runs whose points are held."""
        return frozenset(self._views)

    def begin(self) -> None:
        """Look at silent runs too, from now on."""
        self._app.set_interval(LOOK_AGAIN, self._look_again)

    def take(self, view: "RunView") -> None:
        """The newest look at a run; while its log is still being read, that goes first."""
        if view.progress >= 1:
            self._views[view.summary.run] = view
            self._look_at([view.summary.run])

    def _look_again(self) -> None:
        watched = set(self._watched())
        for gone in self._views.keys() - watched:  # their points are many megabytes
            del self._views[gone]
            self._alerts.pop(gone, None)
            self._seen.discard(gone)
        self._look_at(self._views)

    def _look_at(self, runs: Iterable[RunDir]) -> None:
        self._due.update(dict.fromkeys(runs))
        if self._due and not self._working:
            self._working = True
            self._app.run_worker(self._work(), group="alerts", exit_on_error=False)

    async def _work(self) -> None:
        """Go through the runs that are due, each on a thread."""
        try:
            while self._due:
                due, self._due = self._due, {}
                for run in due:
                    if (view := self._views.get(run)) is not None:
                        found = await asyncio.to_thread(self._look, view)
                        await self._tell(view, found)
                await asyncio.sleep(GATHER)
        finally:
            self._working = False

    def _look(self, view: "RunView") -> "list[Alert]":
        from genui.runs.alerts import Alerts  # brings numpy, which no first frame waits for

        run = view.summary.run
        return self._alerts.setdefault(run, Alerts()).look(view.summary, view.series, whole=True)

    async def _tell(self, view: "RunView", found: "list[Alert]") -> None:
        run, name = view.summary.run, clean_line(view.summary.info.name, 40)
        now = run in self._seen
        self._seen.add(run)
        known = {(one.run, one.alert.kind, one.alert.step) for one in self.past}
        told = [
            Told(run, name, one, now or one.time >= self._opened)
            for one in found
            if (run, one.kind, one.step) not in known  # as of a run that is looked at again
        ]
        self.past = [*self.past, *told][-MOST:]
        fresh = [one for one in told if one.fresh]
        if not fresh:
            return
        worst: Literal["error", "note"] = "note"
        if any(_SIGNS[one.alert.kind][1] == "bad" for one in fresh):
            worst = "error"
        line = " · ".join([fresh[0].line, *(one.alert.line for one in fresh[1:])])
        self._app.screen.post_message(messages.Say(line, worst))
        loud = [one for one in fresh if one.alert.kind in _RINGS]
        if loud and not self.quiet and time.monotonic() - self._rang >= RING_GAP:
            self._rang = time.monotonic()
            await ring(self._app, "genui", loud[0].line)

    def open(self) -> None:
        """The list of all that was told; choosing one moves the cursor to its step."""
        past = self.past[::-1]

        def chosen(key: str | None) -> None:
            if key is not None:
                self._app.screen.post_message(Pointed(past[int(key)].alert.step))

        self._app.push_screen(AlertsScreen(past, self), chosen)


class AlertsScreen(ChooseScreen):
    """The alerts, newest first. Dismissed with the number of the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("B", "bell", "Bell on or off", show=False)]

    def __init__(self, past: Sequence[Told], desk: AlertDesk) -> None:
        rows = [_row(number, told) for number, told in enumerate(past)]
        super().__init__(_title(desk), rows, "go there", EMPTY)
        self._desk = desk

    async def action_bell(self) -> None:
        await self.run_action("app.ringing")
        self.query_one(".window").border_title = _title(self._desk)


def _title(desk: AlertDesk) -> str:
    return "Alerts, silent (B lets them ring)" if desk.quiet else "Alerts (B silences them)"


def _row(number: int, told: Told) -> Row:
    sign, kind = _SIGNS[told.alert.kind]
    when = time.strftime("%H:%M", time.localtime(told.alert.time))
    right = when if told.fresh else f"{when}, before"
    return Row(str(number), told.line, right, sign, kind)
