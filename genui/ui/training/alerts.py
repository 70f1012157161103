"""What happens to the runs that are watched: kept in a list, said in a line, and rung for.

An alert is a NaN, a divergence, a collapse, a stall, a crash or a finish.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from genui.base.text import clean_line
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.watcher import RunView
from genui.ui.widgets.base import Row, RowList
from genui.ui.widgets.dialogs import Window

if TYPE_CHECKING:
    from genui.runs.alerts import Alert, Alerts

# --- Which alerts there were, and which of them are new ---------------------------------------

MOST = 500  # alerts that are kept

_SIGNS = {
    "nan": ("✗", "bad"),
    "divergence": ("✗", "bad"),
    "collapse": ("✗", "bad"),
    "crash": ("✗", "bad"),
    "stall": ("!", "warn"),
    "finish": ("✓", "good"),
}
_RINGS = frozenset({"nan", "divergence", "collapse", "crash", "finish"})


class AlertEntry(NamedTuple):
    """An alert, of which run, and whether it happened while the app was there."""

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
        return self.alert.kind in _RINGS


class AlertBook:
    """Looks for alerts in views of runs, and keeps each once.

    What happened before the app was opened is kept for the list and is not fresh: an old run
    that failed does not ring when it is opened. `opened` is a unix time.
    """

    def __init__(self, opened: float) -> None:
        self.entries: list[AlertEntry] = []
        self._opened = opened
        self._alerts: dict[RunDir, Alerts] = {}
        self._looked_at: set[RunDir] = set()  # what is new in these happens now

    def look(self, view: RunView) -> list[AlertEntry]:
        """The fresh alerts of a run as it is now. For a thread."""
        from genui.runs.alerts import Alerts  # brings numpy, which no first frame waits for

        run, name = view.summary.run, clean_line(view.summary.info.name, 40)
        alerts = self._alerts.setdefault(run, Alerts())
        found = alerts.look(view.summary, view.series, whole=True)
        now = run in self._looked_at
        self._looked_at.add(run)
        known = {(one.run, one.alert.kind, one.alert.step) for one in self.entries}
        entries = [
            AlertEntry(run, name, one, now or one.time >= self._opened)
            for one in found
            if (run, one.kind, one.step) not in known  # as of a run that is looked at again
        ]
        self.entries = [*self.entries, *entries][-MOST:]
        return [one for one in entries if one.fresh]

    def forget(self, run: RunDir) -> None:
        """Let go of what was learnt of a run's points; its alerts stay in the list."""
        self._alerts.pop(run, None)
        self._looked_at.discard(run)


# --- Looking at the runs, and telling what is new ---------------------------------------------

GATHER = 1.0  # seconds between looks at runs that log all the time
LOOK_AGAIN = 5.0  # seconds after which a run that says nothing is looked at for a stall
RING_GAP = 2.0  # seconds between two bells: of many runs that end at once one is enough


class AlertDesk:
    """Has every view of a run looked at, on a thread, and tells what is fresh."""

    def __init__(
        self, app: App[Any], watched: Callable[[], Iterable[RunDir]], quiet: bool = False
    ) -> None:
        self.quiet = quiet
        self.book = AlertBook(time.time())
        self._app = app
        self._watched = watched
        self._views: dict[RunDir, RunView] = {}
        self._due: dict[RunDir, None] = {}  # to be looked at, in order
        self._working = False
        self._rang = -RING_GAP

    @property
    def following(self) -> frozenset[RunDir]:
        """The runs whose points are held."""
        return frozenset(self._views)

    def begin(self) -> None:
        """Look at silent runs too, from now on."""
        self._app.set_interval(LOOK_AGAIN, self._look_again)

    def take(self, view: RunView) -> None:
        """The newest look at a run; while its log is still being read, that goes first."""
        if view.progress >= 1:
            self._views[view.summary.run] = view
            self._look_at([view.summary.run])

    def _look_again(self) -> None:
        for gone in self._views.keys() - set(self._watched()):  # their points are many megabytes
            del self._views[gone]
            self.book.forget(gone)
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
                        fresh = await asyncio.to_thread(self.book.look, view)
                        if fresh:
                            await self._announce(fresh)
                await asyncio.sleep(GATHER)
        finally:
            self._working = False

    async def _announce(self, fresh: Sequence[AlertEntry]) -> None:
        kind: Literal["error", "note"] = "error" if any(one.bad for one in fresh) else "note"
        line = " · ".join([fresh[0].line, *(one.alert.line for one in fresh[1:])])
        self._app.screen.post_message(messages.Say(line, kind))
        loud = [one for one in fresh if one.rings]
        if loud and not self.quiet and time.monotonic() - self._rang >= RING_GAP:
            self._rang = time.monotonic()
            await ring(self._app, "genui", loud[0].line)

    def open(self) -> None:
        """The list of all alerts; choosing one moves the cursor to its step."""
        self._app.push_screen(AlertsScreen(self), self._chosen)

    def _chosen(self, entry: AlertEntry | None) -> None:
        if entry is not None:
            self._app.screen.post_message(messages.Pointed(entry.alert.step))


# --- The list ---------------------------------------------------------------------------------

EMPTY = "No alerts so far: no NaN, divergence, collapse, stall, crash or finish"


class AlertsScreen(Window["AlertEntry | None"]):
    """The alerts, newest first. Dismissed with the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take", show=False),
        Binding("escape,q", "leave", "Cancel", show=False),
        Binding("B", "bell", "Bell on or off", show=False),
    ]

    def __init__(self, desk: AlertDesk) -> None:
        super().__init__()
        self._desk = desk
        self._entries = desk.book.entries[::-1]

    def compose(self) -> ComposeResult:
        with Vertical(classes="window choose"):
            yield RowList()

    def on_mount(self) -> None:
        self._write_titles()
        rows = self.query_one(RowList)
        rows.set_rows([_row(at, entry) for at, entry in enumerate(self._entries)], EMPTY)
        rows.focus()

    def _write_titles(self) -> None:
        title = "Alerts, silent (B: ring)" if self._desk.quiet else "Alerts (B: silent)"
        self.set_titles(title, "⏎ go there · esc cancel" if self._entries else "esc cancel")

    async def action_bell(self) -> None:
        await self.run_action("app.ringing")
        self._write_titles()

    @on(RowList.Opened)
    def action_take(self) -> None:
        if chosen := self.query_one(RowList).chosen:
            self.leave(self._entries[int(chosen)])


def _row(number: int, entry: AlertEntry) -> Row:
    sign, kind = _SIGNS[entry.alert.kind]
    when = time.strftime("%H:%M", time.localtime(entry.alert.time))
    right = when if entry.fresh else f"{when}, earlier"
    return Row(str(number), entry.line, right, sign, kind)


# --- Telling someone who looks elsewhere: the terminal's bell, and its desktop notification ---
# OSC 9 came with iTerm2 and OSC 777 with urxvt; a terminal that knows neither is only rung.
# tmux and screen keep such sequences for themselves unless they are wrapped in a DCS that they
# pass on (tmux: `set -g allow-passthrough on`).

BELL = "\a"

Way = Literal["", "9", "777"]
"""The number of the OSC sequence, or none."""

Wrap = Literal["", "tmux", "screen"]

_TITLE, _BODY = 32, 120  # cells
LONGEST = 250
"""Characters of a notification: screen takes no more, and the driver sends so short a text
whatever waits for the terminal."""

_TMUX_SECONDS = 1.0
_TMUX = ("tmux", "display-message", "-p", "#{client_termtype}\n#{client_termname}")

# What terminals call themselves, in TERM, TERM_PROGRAM, LC_TERMINAL or their answer to XTVERSION.
_KNOWN: tuple[tuple[str, Way], ...] = (
    ("iterm", "9"),
    ("wezterm", "9"),
    ("ghostty", "9"),
    ("kitty", "9"),
    ("warpterminal", "9"),
    ("foot", "777"),
    ("rxvt-unicode", "777"),
    ("contour", "777"),
)
# Variables that only one terminal sets.
_MARKS: tuple[tuple[str, Way], ...] = (
    ("KITTY_WINDOW_ID", "9"),
    ("WEZTERM_PANE", "9"),
    ("GHOSTTY_RESOURCES_DIR", "9"),
    ("ITERM_SESSION_ID", "9"),
    ("VTE_VERSION", "777"),
)


class Channel(NamedTuple):
    """How a notification reaches the terminal."""

    way: Way = ""
    wrap: Wrap = ""


def ask_tmux() -> str:
    """What tmux knows of the terminal that is attached now; empty where it does not answer.

    Starts a process: not for the event loop.
    """
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(
            _TMUX, capture_output=True, text=True, timeout=_TMUX_SECONDS, check=True
        )
        return answer.stdout
    return ""


def channel(environ: Mapping[str, str] = os.environ, tmux: Callable[[], str] = ask_tmux) -> Channel:
    """How the terminal of `environ` takes a notification.

    GENUI_NOTIFY=9, 777 or off decides for a terminal that does not tell its name, as over SSH.
    Within tmux the variables are those of the terminal it was started in, so it is asked.
    """
    term = environ.get("TERM", "")
    wrap: Wrap = ""
    if "TMUX" in environ:
        wrap = "tmux"
    elif "STY" in environ:
        wrap = "screen"
    match environ.get("GENUI_NOTIFY", ""):
        case "9":
            return Channel("9", wrap)
        case "777":
            return Channel("777", wrap)
        case "off":
            return Channel()
    if term in {"", "dumb", "linux"}:  # the console of Linux prints what it does not know
        return Channel()
    if wrap == "tmux":
        return Channel(_by_name(tmux()), wrap)
    names = " ".join(environ.get(name, "") for name in ("TERM_PROGRAM", "LC_TERMINAL", "TERM"))
    return Channel(_by_name(names) or _by_mark(environ), wrap)


def _by_name(names: str) -> Way:
    names = names.lower()
    for name, way in _KNOWN:
        if name in names:
            return way
    return ""


def _by_mark(environ: Mapping[str, str]) -> Way:
    for mark, way in _MARKS:
        if mark in environ:
            return way
    return ""


def notification(title: str, body: str, to: Channel) -> str:
    """The sequence that shows it on the desktop, LONGEST characters at most; or nothing.

    `title` and `body` may be anybody's text: what a terminal would obey is taken out.
    """
    if not to.way:
        return ""
    title = clean_line(title, _TITLE).replace(";", ",")  # which would end it
    body = clean_line(body, _BODY)
    text = f"{title}: {body}" if to.way == "9" else f"notify;{title};{body}"
    # A DCS of screen ends with the first ST, so what is within ends with BEL.
    end = BELL if to.wrap == "screen" else "\x1b\\"
    sequence = f"\x1b]{to.way};{text}{end}"
    if to.wrap == "tmux":
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        sequence = f"\x1bPtmux;{doubled}\x1b\\"
    elif to.wrap == "screen":
        sequence = f"\x1bP{sequence}\x1b\\"
    return sequence if len(sequence) <= LONGEST else ""


async def ring(app: App[Any], title: str, body: str) -> None:
    """The bell, and where the terminal has it a notification.

    Both go through the app's own driver, between two repaints: neither changes a cell.
    """
    if app.is_headless or app._driver is None:
        return
    app.bell()
    to = await asyncio.to_thread(channel)
    if (text := notification(title, body, to)) and app._driver is not None:
        app._driver.write(text)
