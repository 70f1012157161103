"""Alerts of the watched runs: a list, a line above the footer, the terminal's bell.

An alert is a NaN, a divergence, a spike, a collapse, a stall, a crash, a finish, or a script's own.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from textual.app import App
from textual.binding import Binding, BindingType

from genui.base.config import AUTO, load_config
from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.runs import webhook
from genui.runs.control import ALERTS
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.graphics import ask_tmux, wrap_for_tmux
from genui.ui.textual_parts import driver_of
from genui.ui.watcher import RunView
from genui.ui.widgets.dialogs import ChooseScreen, ask
from genui.ui.widgets.lists import ListRow

with late_imports():
    from genui.runs import alerts as run_alerts

if TYPE_CHECKING:
    from genui.runs.alerts import Alert, Alerts

# --- Finding alerts ---------------------------------------------------------------------------

MAX_ALERTS = 500

_SIGNS = {
    "nan": ("✗", "bad"),
    "divergence": ("✗", "bad"),
    "spike": ("!", "warn"),
    "collapse": ("✗", "bad"),
    "crash": ("✗", "bad"),
    "stall": ("!", "warn"),
    "finish": ("✓", "good"),
    "info": ("i", "good"),
    "warn": ("!", "warn"),
    "error": ("✗", "bad"),
}


class AlertEntry(NamedTuple):
    """An alert and its run; `fresh` if it happened while the app was open."""

    run: RunDir
    name: str
    alert: Alert
    fresh: bool

    @property
    def line(self) -> str:
        return clean_line(f"{self.name}: {self.alert.line}")

    @property
    def bad(self) -> bool:
        return _SIGNS[self.alert.kind][1] == "bad"

    @property
    def rings(self) -> bool:
        return self.alert.kind != "stall"


class AlertBook:
    """Finds the alerts of runs and lists each once.

    Alerts from before `opened`, the unix time at which the app started, are listed but not
    fresh: an old run that failed does not ring the bell when it is opened.
    """

    def __init__(self, opened: float) -> None:
        self.entries: list[AlertEntry] = []
        self._opened = opened
        self._alerts: dict[RunDir, Alerts] = {}

    def look(self, view: RunView) -> list[AlertEntry]:
        """Return the fresh alerts of a run. Call it on a thread."""
        run, name = view.summary.run, clean_line(view.summary.info.name, 40)
        is_known_run = run in self._alerts  # then whatever is new has just happened
        alerts = self._alerts.setdefault(run, run_alerts.Alerts())
        listed = {one.alert.key for one in self.entries if one.run == run}
        entries = [
            AlertEntry(run, name, alert, is_known_run or alert.time >= self._opened)
            for alert in alerts.look(view.summary, view.series, whole=True)
            if alert.key not in listed  # after `forget` a run is read from its start
        ]
        self.entries = [*self.entries, *entries][-MAX_ALERTS:]
        return [entry for entry in entries if entry.fresh]

    def forget(self, run: RunDir) -> None:
        """Free the points of a run; its alerts stay in the list."""
        self._alerts.pop(run, None)


# --- Looking at the watched runs and announcing new alerts --------------------------------------

LOOK_INTERVAL = 1.0  # seconds between looks at runs that log all the time
STALL_INTERVAL = 5.0  # seconds between looks for a stall
BELL_INTERVAL = 2.0  # seconds between two bells: one is enough for runs that end together


class AlertDesk:
    """Looks for alerts in every view of a run, on a thread, and announces the fresh ones."""

    def __init__(
        self, app: App[Any], watched: Callable[[], Iterable[RunDir]], quiet: bool = False
    ) -> None:
        self.quiet = quiet
        self.book = AlertBook(time.time())
        self._app = app
        self._watched = watched
        self._views: dict[RunDir, RunView] = {}
        self._due: dict[RunDir, None] = {}  # a queue without repeats
        self._working = False
        self._last_bell = -BELL_INTERVAL

    @property
    def followed_runs(self) -> frozenset[RunDir]:
        """The runs whose points are held in memory."""
        return frozenset(self._views)

    def start(self) -> None:
        """Look at silent runs too, from now on."""
        self._app.set_interval(STALL_INTERVAL, self._look_at_all)

    def receive(self, view: RunView) -> None:
        """Look at a new view of a run, unless its log is still being read."""
        if view.progress >= 1:
            self._views[view.summary.run] = view
            self._look_at([view.summary.run])

    def _look_at_all(self) -> None:
        for run in self._views.keys() - set(self._watched()):  # frees many megabytes of points
            del self._views[run]
            self.book.forget(run)
        self._look_at(self._views)

    def _look_at(self, runs: Iterable[RunDir]) -> None:
        self._due.update(dict.fromkeys(runs))
        if self._due and not self._working:
            self._working = True
            self._app.run_worker(self._work, group="alerts", exit_on_error=False)

    async def _work(self) -> None:
        """Look at the runs that are due, one after another, on a thread."""
        try:
            while self._due:
                due, self._due = self._due, {}
                for run in due:
                    if (view := self._views.get(run)) is not None and (
                        fresh := await asyncio.to_thread(self.book.look, view)
                    ):
                        await self._announce(fresh)
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            self._working = False

    async def _announce(self, fresh: Sequence[AlertEntry]) -> None:
        kind: Literal["error", "note"] = "error" if any(entry.bad for entry in fresh) else "note"
        line = " · ".join([fresh[0].line, *(entry.alert.line for entry in fresh[1:])])
        self._app.screen.post_message(messages.ShowStatus(line, kind))
        for entry in fresh:
            self._send(entry)
        loud = [entry for entry in fresh if entry.rings]
        if loud and not self.quiet and time.monotonic() - self._last_bell >= BELL_INTERVAL:
            self._last_bell = time.monotonic()
            await ring(self._app, "genui", loud[0].line)

    def _send(self, entry: AlertEntry) -> None:
        """Send an alert to the user's address, unless the run itself does."""
        view = self._views.get(entry.run)
        summary = view.summary if view is not None else None
        ended = summary is not None and summary.native and summary.state in ("finished", "failed")
        if entry.alert.kind in ALERTS or (entry.alert.kind in ("finish", "crash") and ended):
            return
        info = summary.info if summary is not None else None
        values = {"name": entry.name, "alert": entry.alert.line, "step": str(entry.alert.step)}
        if info is not None:
            values |= {"host": info.host, "project": info.project}
        webhook.send(values)

    def open(self) -> None:
        """Open the list of alerts; choosing one moves the cursor to its step."""
        entries = self.book.entries[::-1]

        def go_to(key: str) -> None:
            entry = entries[int(key)]
            self._app.screen.post_message(messages.Pointed(entry.alert.step, entry.run))

        ask(self._app, AlertsScreen(entries, self), go_to)


# --- The list ---------------------------------------------------------------------------------

NO_ALERTS = "No alerts yet: no NaN, divergence, spike, collapse, stall, crash or finish"


class AlertsScreen(ChooseScreen):
    """The list of alerts, newest first. Dismissed with the number of the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("B", "bell", "Bell on or off", show=False),
    ]

    def __init__(self, entries: Sequence[AlertEntry], desk: AlertDesk) -> None:
        rows = [_row(at, entry) for at, entry in enumerate(entries)]
        super().__init__("", rows, "go there", NO_ALERTS)
        self._desk = desk

    @property
    def title_text(self) -> str:
        return "Alerts, silent (B: ring)" if self._desk.quiet else "Alerts (B: silent)"

    async def action_bell(self) -> None:
        await self.run_action("app.ringing")
        self.write_titles()


def _row(number: int, entry: AlertEntry) -> ListRow:
    sign, kind = _SIGNS[entry.alert.kind]
    when = time.strftime("%H:%M", time.localtime(entry.alert.time))
    right = when if entry.fresh else f"{when}, earlier"
    return ListRow(str(number), entry.line, right, sign, kind)


# --- The terminal's bell and desktop notification ---------------------------------------------
# OSC 9 comes from iTerm2 and OSC 777 from urxvt; a terminal that knows neither only gets the bell.
# tmux and screen do not pass such sequences on unless they are wrapped in a DCS
# (tmux: `set -g allow-passthrough on`).

BELL = "\a"

Osc = Literal["", "9", "777"]
"""The number of the OSC sequence; "" if the terminal has none."""

Wrap = Literal["", "tmux", "screen"]

_MAX_TITLE, _MAX_BODY = 32, 120  # cells
MAX_LENGTH = 250
"""Characters of a sequence: screen takes no more, and the driver sends a text as short as this
even while other output waits."""

# Parts of what terminals say in TERM, TERM_PROGRAM, LC_TERMINAL or their reply to XTVERSION.
_TERMINAL_NAMES: tuple[tuple[str, Osc], ...] = (
    ("iterm", "9"),
    ("wezterm", "9"),
    ("ghostty", "9"),
    ("kitty", "9"),
    ("warpterminal", "9"),
    ("foot", "777"),
    ("rxvt-unicode", "777"),
    ("contour", "777"),
)
# Environment variables that only one terminal sets.
_TERMINAL_VARIABLES: tuple[tuple[str, Osc], ...] = (
    ("KITTY_WINDOW_ID", "9"),
    ("WEZTERM_PANE", "9"),
    ("GHOSTTY_RESOURCES_DIR", "9"),
    ("ITERM_SESSION_ID", "9"),
    ("VTE_VERSION", "777"),
)


class Channel(NamedTuple):
    """How a notification reaches the terminal."""

    osc: Osc = ""
    wrap: Wrap = ""


def find_channel(
    environ: Mapping[str, str] = os.environ, tmux: Callable[..., str] = ask_tmux
) -> Channel:
    """Return how to notify the terminal of `environ`.

    The setting `notify` decides if the terminal's name does not get through, as over SSH.
    Inside tmux the variables may be of a terminal that is gone, so tmux is asked.
    """
    term = environ.get("TERM", "")
    wrap: Wrap = "tmux" if "TMUX" in environ else "screen" if "STY" in environ else ""
    setting = AUTO
    with suppress(MisuseError):  # the app has said what is wrong with the settings
        setting = load_config(environ).notify
    if setting == "9" or setting == "777":
        return Channel(setting, wrap)
    # The Linux console prints sequences that it does not know.
    if setting == "off" or term in {"", "dumb", "linux"}:
        return Channel()
    if wrap == "tmux":
        return Channel(_find_osc(tmux("#{client_termtype}", "#{client_termname}"), {}), wrap)
    names = " ".join(environ.get(name, "") for name in ("TERM_PROGRAM", "LC_TERMINAL", "TERM"))
    return Channel(_find_osc(names, environ), wrap)


def _find_osc(names: str, environ: Mapping[str, str]) -> Osc:
    names = names.lower()
    for name, osc in _TERMINAL_NAMES:
        if name in names:
            return osc
    for name, osc in _TERMINAL_VARIABLES:
        if name in environ:
            return osc
    return ""


def notification(title: str, body: str, channel: Channel) -> str:
    """The sequence that shows a desktop notification, at most MAX_LENGTH characters; "" if the
    terminal has none.

    `title` and `body` may come from anybody: control characters are removed.
    """
    if not channel.osc:
        return ""
    title = clean_line(title, _MAX_TITLE).replace(";", ",")  # a semicolon would end the title
    body = clean_line(body, _MAX_BODY)
    text = f"{title}: {body}" if channel.osc == "9" else f"notify;{title};{body}"
    # screen ends its DCS at the first ST, so the sequence inside ends with BEL.
    end = BELL if channel.wrap == "screen" else "\x1b\\"
    sequence = f"\x1b]{channel.osc};{text}{end}"
    if channel.wrap == "tmux":
        sequence = wrap_for_tmux(sequence)
    elif channel.wrap == "screen":
        sequence = f"\x1bP{sequence}\x1b\\"
    return sequence if len(sequence) <= MAX_LENGTH else ""


async def ring(app: App[Any], title: str, body: str) -> None:
    """Ring the bell and, if the terminal can, show a desktop notification.

    Both go through the app's own driver between two repaints, and change no cell.
    """
    if app.is_headless or driver_of(app) is None:
        return
    app.bell()
    channel = await asyncio.to_thread(find_channel)
    driver = driver_of(app)
    if driver is not None and (text := notification(title, body, channel)):
        driver.write(text)
