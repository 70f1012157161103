"""The app: paints at once, then reads the lists on a thread, then starts the worker."""

import gc
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import BindingType
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme
from textual.timer import Timer

from genui.errors import GenuiError
from genui.render import numbers
from genui.render.colour import detect
from genui.render.sanitise import clean_line
from genui.runs.listing import list_runs
from genui.ui import keys, memory, messages, themes
from genui.ui.driver import driver_class, metered
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.panes.line_input import LineInput
from genui.ui.plain import NoColour
from genui.ui.screens.home import HomeScreen
from genui.ui.screens.window import TypingWindow
from genui.ui.session import WORKER, Session
from genui.ui.signals import leave_on_signals
from genui.ui.watch import RunView, Watcher

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.screen import Screen

KEY_FIRST = 0.25  # seconds after a key in which what moves by itself waits
RUN_WAITS = 0.5  # seconds that keys may hold up the watched run's curve
GARBAGE = 2_000, 10_000, 10_000  # the collector by itself looks at the newest objects only
TIDY_EVERY = 1.0  # seconds between looks at those that survived, where no key waits
MOST_UNTIDY = 60  # looks at the newest after which the next comes though one does
SPRING_CLEAN_EVERY, SPRING_CLEAN_AFTER = 60.0, 5.0  # seconds between full looks, and after a key
TRAFFIC_PERIOD = 1.0  # seconds over which the header counts what the terminal took


def _commands() -> "type[Provider]":
    """The palette's provider, imported when the palette first opens."""
    from genui.ui.commands import GenuiCommands

    return GenuiCommands


class GenuiApp(DeafWhenLeaving, App[None]):
    """Wires the session, the watcher and the main screen together.

    `worker` is the command that answers the protocol on its pipes; tests give their own.
    """

    TITLE = "genui"
    CSS_PATH = Path(__file__).with_name("app.tcss")  # also for subclasses elsewhere
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {_commands}  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, worker: Sequence[str] = WORKER) -> None:
        super().__init__(driver_class=driver_class())
        self.session = Session(self, worker)
        self.watcher = Watcher(self)
        self.home = HomeScreen(self.session, self.watcher)
        self._memory = memory.recall()
        self._bytes = 0
        self._warmed = False
        self.key_at = 0.0
        self._cleaned_at = time.monotonic()
        self._run_view: RunView | None = None  # not shown yet
        self._run_waits: Timer | None = None
        for theme in themes.OWN:
            self.register_theme(theme)
        start = themes.default_theme(detect(os.environ, True))
        known = self._memory.theme in self.available_themes
        self._dress(self._memory.theme if known else start)

    def _dress(self, theme: str) -> None:
        """Begin in this theme: set the usual way, everything would be styled twice."""
        self.set_reactive(App.theme, theme)
        self.stylesheet.set_variables(self.get_css_variables())
        dark = self.current_theme.dark
        self.set_classes([f"-theme-{theme}", "-dark-mode" if dark else "-light-mode"])

    def get_default_screen(self) -> "Screen":
        return self.home

    def on_load(self) -> None:
        leave_on_signals(self)

    def on_resize(self) -> None:
        if (driver := metered(self)) is not None:
            driver.forget()  # terminals keep what they show, or do not

    def get_line_filters(self) -> Sequence[LineFilter]:
        if not self.no_color:
            return super().get_line_filters()
        return [NoColour(Color.parse(self.theme_variables["background"]))]

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._redress)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """What can wait until something is on the screen."""
        try:
            self.home.user_keys = keys.load_keymap()
        except GenuiError as error:
            self.home.say(str(error))
        else:
            self.set_keymap(self.home.user_keys)
            if not self._memory.hint_seen:
                self.home.hint()
        self.home.refresh_chrome()
        # What is alive now lives as long as the app, and what a full look for garbage finds
        # later is little: each would hold up a key for 50 to 150 ms.
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        self.watcher.start()
        self.session.open()
        self.set_interval(TRAFFIC_PERIOD, self._count_traffic)
        self.set_interval(TIDY_EVERY, self._tidy)

    async def on_unmount(self) -> None:
        self.watcher.stop()
        await self.session.close()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.key_at = time.monotonic()
            if event.is_forwarded and self._taken_late(event):
                return
        await super().on_event(event)

    def _taken_late(self, event: events.Key) -> bool:
        """Whether a key that nothing wanted was meant for the line that has come up since."""
        if isinstance(self.focused, LineInput):
            return self.focused.take(event)
        if self.focused is None and isinstance(self.screen, TypingWindow):
            self.screen.take_early(event)
            return True
        return False

    @property
    def answering(self) -> bool:
        """Whether a key was just pressed: its answer goes before what moves by itself."""
        return time.monotonic() - self.key_at < KEY_FIRST

    # --- from the session and the watcher ---------------------------------------------

    @on(messages.WorkerReady)
    def _worker_ready(self, event: messages.WorkerReady) -> None:
        ready = event.ready
        self.home.machine = clean_line(f"{ready.device} {ready.precision}", 24)
        self.home.refresh_chrome()
        self._warm()

    @on(messages.WorkerDied)
    def _worker_died(self, event: messages.WorkerDied) -> None:
        self._warmed = False
        self.home.machine = ""
        self.home.refresh_chrome()
        self.home.say(event.line)

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.home.set_lists(tuple(event.models), tuple(event.runs))
        self._warm()

    @on(messages.RunChanged)
    def _run_changed(self, event: messages.RunChanged) -> None:
        """The curve grows; while keys are answered it waits, and only its newest look is kept."""
        self._run_view = event.view
        if not self.answering:
            self._show_run()
        elif self._run_waits is None:
            self._run_waits = self.set_timer(RUN_WAITS, self._show_run)

    def _show_run(self) -> None:
        if self._run_waits is not None:
            self._run_waits.stop()
            self._run_waits = None
        if self._run_view is not None:
            self.home.show_run(self._run_view)
            self._run_view = None

    @on(messages.Say)
    def _said(self, event: messages.Say) -> None:
        self.home.say(event.line, event.kind)

    def _warm(self) -> None:
        """Load what will most likely be asked for first."""
        if self.session.ready is not None and not self._warmed and self.home.models:
            self._warmed = True
            for ref in self.home.offered_models():
                self.session.warm(ref)

    # --- small things -----------------------------------------------------------------

    def _tidy(self) -> None:
        """Look for garbage where it holds up no key.

        Textual's strips are cycles: some thousand objects a second while a picture moves.
        """
        now = time.monotonic()
        if now - max(self._cleaned_at, self.key_at + SPRING_CLEAN_AFTER) > SPRING_CLEAN_EVERY:
            self._cleaned_at = now
            gc.collect()
        elif not self.answering or gc.get_count()[1] > MOST_UNTIDY:
            gc.collect(1)

    def _count_traffic(self) -> None:
        driver = metered(self)
        if driver is None:
            return
        taken = driver.bytes_written - self._bytes
        self._bytes = driver.bytes_written
        kilobytes = round(taken / TRAFFIC_PERIOD / 1024)
        self.home.traffic = f"{numbers.count(kilobytes)} KB/s"
        self.home.refresh_chrome()

    @on(messages.HintSeen)
    def _hint_seen(self) -> None:
        self._remember(memory.Memory(theme=self._memory.theme, hint_seen=True))

    def _redress(self, theme: Theme) -> None:
        """Another theme: the lines around the panes name their colours when they are made."""
        self.home.refresh_chrome()
        self._remember(memory.Memory(theme=theme.name, hint_seen=self._memory.hint_seen))

    def _remember(self, new: memory.Memory) -> None:
        if new != self._memory:
            self._memory = new
            self.run_worker(lambda: memory.remember(new), thread=True, group="memory")

    async def action_press(self, key_id: str) -> None:
        """Do what a key of the table does: the footer was clicked."""
        from genui.ui.commands import run_key

        key = next(key for key in keys.TABLE if key.id == key_id)
        await run_key(self, self.home, key)

    def action_help_quit(self) -> None:
        """Ctrl+C: say how to leave, as Textual does, but in the status line."""
        self.home.say("press q to quit; training goes on", "note")


def farewell() -> str:
    """What is said after the app is gone: which trainings go on. Empty where none does."""
    try:
        live = [run for run in list_runs() if run.alive]
    except GenuiError:
        return ""
    if not live:
        return ""
    names = ", ".join(clean_line(run.info.name, 40) for run in live[:3])
    names += ", …" if len(live) > 3 else ""
    verb = "training goes on" if len(live) == 1 else "trainings go on"
    return f"{len(live)} {verb}: {names} — open genui to see {'it' if len(live) == 1 else 'them'}"


def run() -> int:
    """Open the app; returns the exit code once it is closed."""
    app = GenuiApp()
    app.run()
    gc.freeze()  # a look through all of the app's objects would delay the prompt by a second
    if line := farewell():
        print(line, file=sys.stdout)
    return app.return_code or 0
