"""The apps: genui itself and `genui watch`, what both share, and what is remembered."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual import events, on
from textual.app import App
from textual.binding import BindingType
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme
from textual.timer import Timer

from genui.base import numbers, paths
from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.base.text import clean_line
from genui.render.colours import detect_colours
from genui.runs.layout import RunDir
from genui.runs.listing import list_runs
from genui.ui import keys, messages, themes
from genui.ui.screens import AppScreen, PaletteScreen
from genui.ui.session import Launch, Session, launch_worker
from genui.ui.terminal import NoColour, choose_driver, get_metered_driver
from genui.ui.training.alerts import AlertDesk
from genui.ui.watcher import RunView, Watcher, WatchTarget, watch_target
from genui.ui.widgets.base import LifecycleGuard, LineInput
from genui.ui.widgets.dialogs import Window

if TYPE_CHECKING:
    from textual.screen import Screen


def leave_on_signals(app: App[Any]) -> None:
    """End `app` on SIGTERM and on SIGHUP, a lost terminal, with the exit code of shells.

    Call it in the app's event loop. Trainers run in sessions of their own and do not get these
    signals; the worker ends with the app.
    """
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, partial(app.exit, return_code=128 + number))


# --- Settings kept between starts: the theme, the bell, whether the hint was shown -------------

FILE = "app.json"


class Memory(msgspec.Struct, frozen=True):
    """The kept settings; a missing or damaged file counts as a first start."""

    theme: str = ""
    hint_seen: bool = False
    quiet: bool = False  # alerts are shown without bell and notification


def _path() -> Path:
    return paths.state_dir() / FILE


def recall() -> Memory:
    """Read the kept settings."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_path().read_bytes(), type=Memory)
    return Memory()


def remember(memory: Memory) -> None:
    """Save it. Raises nothing: where the folder cannot be written, only a theme is lost."""
    path = _path()
    with suppress(OSError, GenuiError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, msgspec.json.encode(memory), durable=False)


# --- What both apps share: style sheet, terminal, start and end ---------------------------------

LOOKS = Path(__file__).with_name("app.tcss")  # in full: also for subclasses elsewhere
LOOK = 0.02  # seconds between checks whether queued keys can be handled
LONGEST_HOLD = 1.0  # seconds
KEY_FIRST = 0.25  # seconds after a key in which animations wait
RUN_WAITS = 0.5  # seconds that keys may delay the curves of watched runs
# In effect the collector runs by itself for the newest objects only.
GARBAGE = 2_000, 10_000, 10_000
TIDY_EVERY = 1.0  # seconds between collections of generation 1, while no key is handled
MOST_UNTIDY = 60  # collections of generation 0 after which a key no longer delays generation 1
SPRING_CLEAN_EVERY, SPRING_CLEAN_AFTER = 60.0, 5.0  # seconds between full ones, and after a key
TRAFFIC_PERIOD = 1.0  # seconds over which the bytes to the terminal are counted


class Shell(LifecycleGuard, App[None]):
    """An app around a watcher.

    Subclasses name the `front` screen and set `watcher`, which starts after the first paint.
    """

    TITLE = "genui"
    CSS_PATH = LOOKS
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = set()  # noqa: RUF012 - as Textual declares it; each screen has its own
    BINDINGS: ClassVar[list[BindingType]] = []

    watcher: Watcher

    def __init__(self) -> None:
        super().__init__(driver_class=choose_driver())
        self.user_keys: dict[str, str] = {}
        self.last_key_at = 0.0
        self._held: list[events.Key] = []  # keys that wait for their screen
        self._held_since: float | None = None
        self._memory = recall()
        self.desk = AlertDesk(self, lambda: self.watcher.watched, self._memory.quiet)
        self._bytes = 0
        self._cleaned_at = time.monotonic()
        self._run_views: dict[RunDir, RunView] = {}  # not shown yet
        self._runs_wait: Timer | None = None
        for theme in themes.OWN:
            self.register_theme(theme)
        start = themes.choose_theme(detect_colours(os.environ, True))
        known = self._memory.theme in self.available_themes
        self._dress(self._memory.theme if known else start)

    def _dress(self, theme: str) -> None:
        """Start in this theme. Set the usual way, all styles would be computed twice."""
        self.set_reactive(App.theme, theme)
        self.stylesheet.set_variables(self.get_css_variables())
        dark = self.current_theme.dark
        self.set_classes([f"-theme-{theme}", "-dark-mode" if dark else "-light-mode"])

    @property
    def front(self) -> AppScreen[Any]:
        """The screen that shows what is new."""
        raise NotImplementedError

    def on_load(self) -> None:
        leave_on_signals(self)

    def on_resize(self) -> None:
        if (driver := get_metered_driver(self)) is not None:
            driver.forget()  # terminals differ in what they keep on a resize

    def get_line_filters(self) -> Sequence[LineFilter]:
        if not self.no_color:
            return super().get_line_filters()
        return [NoColour(Color.parse(self.theme_variables["background"]))]

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._redress)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """The part of the start that waits for the first paint."""
        front = self.front
        try:
            self.user_keys = front.user_keys = keys.load_keymap()
        except GenuiError as error:
            front.say(str(error))
        else:
            self.set_keymap(self.user_keys)
            if not self._memory.hint_seen:
                self.hint()
        front.refresh_chrome()
        # Objects that exist now live as long as the app: a full collection would delay a key by
        # 50 to 150 ms and free little.
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        gc.enable()
        self.begin()
        self.desk.begin()
        self.set_interval(TRAFFIC_PERIOD, self._count_traffic)
        self.set_interval(TIDY_EVERY, self._tidy)

    def begin(self) -> None:
        """Start the background work, after the first paint."""
        self.watcher.start()

    def hint(self) -> None:
        """Show a new user the first keys, where there is such a line."""

    async def on_unmount(self) -> None:
        self.watcher.stop()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.last_key_at = time.monotonic()
            if self._hold(event) or (event.is_forwarded and self._taken_late(event)):
                return
        await super().on_event(event)

    # --- keys that are typed before their screen is there -------------------------------

    def must_wait(self, key: str) -> bool:
        """Whether the target of a key is not ready yet."""
        if isinstance(self.screen, PaletteScreen):
            return not self.screen.ready_for(key)
        return isinstance(self.screen, LifecycleGuard) and not self.screen.is_mounted

    def stop_waiting(self) -> None:
        """The queued keys are handled now, whether or not their target is ready."""

    def _hold(self, event: events.Key) -> bool:
        """Queue a key that must wait, and every key after it, so that their order stays."""
        if not self._held:
            if not self.must_wait(event.key):
                self._held_since = None
                return False
            if self._held_since is not None:
                return False  # waited long enough
            self._held_since = time.monotonic()
            self.set_timer(LOOK, self._let_go)
        self._held.append(event)
        return True

    def _let_go(self) -> None:
        """Handle the queued keys, as soon as their target is ready."""
        if not self.screen_stack:
            return  # the app is closing
        since = self._held_since or 0.0
        if self.must_wait(self._held[0].key):
            if time.monotonic() - since < LONGEST_HOLD:
                self.set_timer(LOOK, self._let_go)
                return
        else:
            self._held_since = None
        self.stop_waiting()
        held, self._held = self._held, []
        for key in held:
            self.post_message(events.Key(key.key, key.character))

    def action_command_palette(self) -> None:
        """Open the command palette."""
        if not isinstance(self.screen, PaletteScreen):
            self.push_screen(PaletteScreen(id="--command-palette"))

    def _taken_late(self, event: events.Key) -> bool:
        """Whether an unhandled key was meant for a line that has opened since."""
        if isinstance(self.focused, LineInput):
            return self.focused.take(event)
        if self.focused is None and isinstance(self.screen, Window) and self.screen.typing:
            self.screen.take_early(event)
            return True
        return False

    @property
    def answering(self) -> bool:
        """Whether a key was just pressed: animations wait for its paint."""
        return time.monotonic() - self.last_key_at < KEY_FIRST

    # --- from the watcher ---------------------------------------------------------------

    @on(messages.RunChanged)
    def _run_changed(self, event: messages.RunChanged) -> None:
        """Show the newest view of a run; while keys are handled, a little later."""
        self.desk.take(event.view)
        self._run_views[event.view.summary.run] = event.view
        if not self.answering:
            self._show_runs()
        elif self._runs_wait is None:
            self._runs_wait = self.set_timer(RUN_WAITS, self._show_runs)

    def _show_runs(self) -> None:
        if self._runs_wait is not None:
            self._runs_wait.stop()
            self._runs_wait = None
        views, self._run_views = self._run_views, {}
        for view in views.values():
            self.front.show_run(view)

    @on(messages.Say)
    def _show_message(self, event: messages.Say) -> None:
        self.front.say(event.line, event.kind)

    # --- small things -----------------------------------------------------------------

    def _tidy(self) -> None:
        """Collect garbage while no key is handled.

        Textual's strips are cycles: some thousand objects a second while an image moves.
        """
        now = time.monotonic()
        if now - max(self._cleaned_at, self.last_key_at + SPRING_CLEAN_AFTER) > SPRING_CLEAN_EVERY:
            self._cleaned_at = now
            gc.collect()
        elif not self.answering or gc.get_count()[1] > MOST_UNTIDY:
            gc.collect(1)

    def _count_traffic(self) -> None:
        driver = get_metered_driver(self)
        if driver is None:
            return
        taken = driver.bytes_written - self._bytes
        self._bytes = driver.bytes_written
        kilobytes = round(taken / TRAFFIC_PERIOD / 1024)
        self.front.traffic = f"{numbers.count(kilobytes)} KB/s"
        self.front.refresh_chrome()

    @on(messages.HintSeen)
    def _remember_hint(self) -> None:
        self._remember(msgspec.structs.replace(self._memory, hint_seen=True))

    def _redress(self, theme: Theme) -> None:
        """Rebuild the header and footer, whose colours are fixed when they are built."""
        self.front.refresh_chrome()
        self._remember(msgspec.structs.replace(self._memory, theme=theme.name))

    def _remember(self, new: Memory) -> None:
        if new != self._memory:
            self._memory = new
            self.run_worker(lambda: remember(new), thread=True, group="memory")

    def action_alerts(self) -> None:
        """Open the alerts of the watched runs."""
        self.desk.open()

    def action_ringing(self) -> None:
        """Turn the bell and the notifications on or off; this is kept."""
        self.desk.quiet = quiet = not self.desk.quiet
        self._remember(msgspec.structs.replace(self._memory, quiet=quiet))
        line = "alerts are silent: B turns the bell on" if quiet else "alerts ring and notify again"
        self.front.say(line, "note")

    async def action_press(self, key_id: str) -> None:
        """Do what a key of the table does: the footer was clicked."""
        await self.front.press(next(key for key in keys.TABLE if key.id == key_id))

    def action_help_quit(self) -> None:
        """Ctrl+C: show how to quit, in the status line instead of a toast."""
        self.front.say("press q to quit; training continues", "note")


# --- The app: paints at once, then reads the lists on a thread, then starts the worker --------


class GenuiApp(Shell):
    """Wires the session, the watcher and the main screen together.

    `launch` starts the worker; tests pass their own.
    """

    CSS_PATH = [LOOKS, LOOKS.with_name("home.tcss")]  # noqa: RUF012 - as Textual declares it

    def __init__(self, launch: Launch = launch_worker) -> None:
        super().__init__()
        # Late: these import every pane and recipe, which `genui watch` does not need.
        from genui.runs.models import list_models
        from genui.ui.home import HomeScreen

        self.session = Session(self, launch)
        self.watcher = Watcher(self, models=list_models)
        self.home = HomeScreen(self.session, self.watcher)
        self._warmed = False

    def get_default_screen(self) -> "Screen":
        return self.home

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.MouseDown):
            self.home.demo.end()
        await super().on_event(event)

    @property
    def front(self) -> AppScreen[Any]:
        return self.home.board or self.home.lab_shown or self.home

    def begin(self) -> None:
        super().begin()
        self.session.open()

    def hint(self) -> None:
        self.home.hint()

    async def on_unmount(self) -> None:
        await self.session.close()

    # --- from the session and the watcher ---------------------------------------------

    @on(messages.WorkerReady)
    def _worker_ready(self, event: messages.WorkerReady) -> None:
        ready = event.ready
        self.home.set_machine(clean_line(f"{ready.device} {ready.precision}", 24))
        self._warm()

    @on(messages.WorkerDied)
    def _worker_died(self, event: messages.WorkerDied) -> None:
        self._warmed = False
        self.home.set_machine("")
        self.front.say(event.line)

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.home.set_lists(tuple(event.models), tuple(event.runs))
        self._warm()

    def _warm(self) -> None:
        """Load the models that will most likely be used first."""
        if self.session.ready is not None and not self._warmed and self.home.models:
            self._warmed = True
            for ref in self.home.offered_models():
                self.session.warm(ref)


def farewell() -> str:
    """The line after the app has closed: which runs are still training; "" for none."""
    try:
        live = [run for run in list_runs() if run.alive]
    except GenuiError:
        return ""
    if not live:
        return ""
    names = ", ".join(clean_line(run.info.name, 40) for run in live[:3])
    names += ", …" if len(live) > 3 else ""
    runs, them = ("run is", "it") if len(live) == 1 else ("runs are", "them")
    return f"{len(live)} {runs} still training: {names} — genui shows {them}"


def run() -> int:
    """Open the app; returns the exit code once it is closed."""
    app = GenuiApp()
    app.run()
    gc.freeze()  # a full collection would delay the prompt by a second
    if line := farewell():
        print(line, file=sys.stdout)
    return app.return_code or 0


# --- `genui watch`: an app that is the Training screen alone, for logs wherever they are ------
# It has no worker, no models and no panes, so that the first curve is drawn soon.


class WatchApp(Shell):
    """Shows the first run of the target, or the runs that were shown last time."""

    def __init__(self, target: WatchTarget) -> None:
        super().__init__()
        self._note = target.note
        self.watcher = Watcher(self, runs=target.find)
        from genui.ui.training.screen import TrainingScreen  # late: it imports numpy

        self.board = TrainingScreen(
            self.watcher,
            target.key,
            target.runs[:1],
            known=target.runs,
            home=False,
            listing=target.listing,
        )

    def get_default_screen(self) -> "Screen":
        return self.board

    @property
    def front(self) -> AppScreen[Any]:
        return self.board

    def on_load(self) -> None:
        self.board.begin_watching()
        self.watcher.start(hurry=False)  # it reads while the screen is built

    def begin(self) -> None:
        """Show which files were left out; the watcher has started already."""
        if self._note:
            self.board.say(self._note, "note")

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.board.set_lists(event.runs)


def run_watch(paths: Sequence[Path] | None, run: RunDir | None) -> int:
    """Watch one run of genui, or the logs in `paths`, or all runs of genui; the exit code.

    Raises GenuiError where a path may not be read, MisuseError where there is no log in it.
    """
    target = watch_target(paths, run)
    gc.freeze()  # imported modules need no collection
    app = WatchApp(target)
    app.run()
    gc.freeze()  # a full collection would delay the prompt by a second
    return app.return_code or 0
