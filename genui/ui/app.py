"""The two apps, genui and `genui watch`, their common base, and the settings that they keep."""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from rich.console import Console
from textual import events, on
from textual.app import App, ScreenStackError
from textual.binding import BindingType
from textual.color import Color
from textual.css.query import NoMatches
from textual.dom import DOMNode, NoScreen
from textual.errors import NoWidget
from textual.filter import LineFilter
from textual.timer import Timer
from textual.widget import MountError
from textual.widgets import Input

from genui.base import numbers, paths
from genui.base.config import AUTO, Config, load_config, save_setting
from genui.base.errors import GenuiError, MisuseError, describe_bug, did_you_mean
from genui.base.files import recall, remember
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.logs.queue import JobQueue
from genui.protocol import Warm
from genui.render.colours import ColourMode, detect_colours
from genui.runs import labels
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs
from genui.ui import facts, keys, messages, themes, watchdog
from genui.ui.key_help import HelpScreen
from genui.ui.kinds import styles_of_kinds
from genui.ui.lifecycle import KeyAnswered, guard
from genui.ui.screens import AppScreen, PaletteScreen, StatusEntry
from genui.ui.session import Launch, Session, launch_worker
from genui.ui.stylesheet import CachedStylesheet
from genui.ui.terminal import THIN_BLACK, choose_driver, get_metered_driver, no_colour
from genui.ui.textual_parts import filter_errors, free_drawn_lines, is_ending
from genui.ui.themes import colour_mode
from genui.ui.training.alerts import AlertDesk
from genui.ui.watcher import RunView, Watcher, WatchTarget, watch_target
from genui.ui.widgets.dialogs import Window, ask

with late_imports():
    from genui.logs import remote
    from genui.runs import models
    from genui.ui import demo, home, jump
    from genui.ui import tour as guided_tour
    from genui.ui.training import screen as training_screen
    from genui.ui.widgets import image as image_widgets

if TYPE_CHECKING:
    from textual.screen import Screen

    from genui.logs.remote import Follower
    from genui.logs.wandb_url import RunFollower
    from genui.ui.tour import Tour


def leave_on_signals(app: App[Any]) -> None:
    """End `app` on SIGTERM, and on SIGHUP when the terminal is lost, with a shell's exit code.

    Call it in the app's event loop. Trainers run in sessions of their own and do not get these
    signals; the worker ends with the app.
    """
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, partial(app.exit, return_code=128 + number))


# --- State that is kept between starts ----------------------------------------------------------


PATIENCE = 0.2
"""Seconds for headers of other people's models in one reading of the lists: the rest comes next."""


class Memory(msgspec.Struct, frozen=True):
    """The state in app.json; a missing or damaged file counts as a first start."""

    hint_seen: bool = False
    recent: tuple[str, ...] = ()  # the titles of the palette's commands done last, newest first


def _path() -> Path:
    return paths.state_dir() / "app.json"


# --- The base of both apps: style sheet, terminal, start and end --------------------------------

STYLE_SHEET = Path(__file__).with_name("app.tcss")  # absolute: also for subclasses elsewhere
MAX_RECENT = 6  # commands at the top of the palette
MAX_STATUS_ENTRIES = 10  # messages that can be read again
# What a search for a widget raises once its screen has gone.
_REMOVED = (NoMatches, NoScreen, ScreenStackError, MountError)
KEY_POLL = 0.02  # seconds between checks whether queued keys can be handled
MAX_KEY_DELAY = 1.0  # seconds
_EDITS = frozenset({"left", "right", "home", "end", "backspace", "delete"})
_ARROWS = "up", "down", "left", "right"
_MOVES = frozenset({*_ARROWS, "pageup", "pagedown", "home", "end", *"hjklHJKL"})
MAX_ANSWER_DELAY = 5.0  # seconds that a key waits for the one before
ANIMATION_PAUSE = 0.25  # seconds after a key in which animations wait
MAX_RUN_DELAY = 0.5  # seconds for which keys may delay the curves of watched runs
# Garbage collection. With these thresholds only generation 0 is collected automatically.
GC_THRESHOLDS = 2_000, 10_000, 10_000
GC_INTERVAL = 1.0  # seconds between collections of generation 1, while no key is handled
MAX_GC_DELAY = 60  # collections of generation 0 until keys no longer delay generation 1
FULL_GC_INTERVAL, FULL_GC_PAUSE = 60.0, 5.0  # seconds between full collections, and after a key
# Of the foreground, on the background, in themes that leave it to Textual.
MUTED = {"text-muted": 0.65, "text-disabled": 0.4}
MIN_TRAFFIC = 50  # KB/s; less is not shown
TRAFFIC_PERIOD = 1.0  # seconds over which the bytes to the terminal are counted
MAX_BEHIND = 1.0  # seconds; a terminal that is written to for longer gets half-blocks


def _keeps_target(event: events.Key, target: DOMNode) -> bool:
    """Whether the next key is for `target` too, whatever this one does: it types, or it moves what
    is chosen. Many of them in a row, as of a key held down, are painted once."""
    if isinstance(target, Input):
        return event.is_printable or event.key in _EDITS
    return event.key.rpartition("+")[2] in _MOVES


@filter_errors
@guard
class Shell(App[None]):
    """The base of both apps.

    A subclass defines the `front` screen and sets `watcher`, which starts after the first paint.
    """

    TITLE = "genui"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = set()  # noqa: RUF012 - as Textual declares it; each screen has its own
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.make_bindings([keys.JUMP], priority=True)  # in lines and windows too
    ]

    watcher: Watcher

    def __init__(self, style_sheets: Sequence[Path] = (STYLE_SHEET,)) -> None:
        free_drawn_lines()
        super().__init__(driver_class=choose_driver(), css_path=[*style_sheets])
        self.stylesheet = CachedStylesheet(variables=self.get_css_variables())
        self.user_keys: dict[str, str] = {}
        self.machine = ""  # the worker's device and precision
        self.traffic = ""  # bytes per second to the terminal
        self.live = 0  # runs that are training
        self.last_key_at = 0.0
        self._queued_keys: list[events.Key] = []  # until their target is ready
        self._queued_since: float | None = None
        self._queue_timer: Timer | None = None
        self._asked: DOMNode | None = None  # has been sent the key before, and not answered it
        self._asked_at = 0.0
        self.status_entries: deque[StatusEntry] = deque(maxlen=MAX_STATUS_ENTRIES)
        self._memory = recall(_path(), Memory) or Memory()
        self._saving = threading.Lock()
        self._config_error = ""
        try:
            config = load_config()
        except MisuseError as error:
            config, self._config_error = Config(), f"{error}; all settings are at their defaults"
        self._images_setting = config.images
        self._follows_terminal = config.theme == AUTO
        self.desk = AlertDesk(self, lambda: self.watcher.watched, not config.bell)
        self._bytes = 0
        self._full_gc_at = time.monotonic()
        self._run_views: dict[RunDir, RunView] = {}  # not shown yet
        self._undoable: list[messages.Undoable] = []  # the newest last
        self._undoing: set[asyncio.Task[None]] = set()
        self._runs_timer: Timer | None = None
        for theme in themes.OWN:
            self.register_theme(theme)
        default = themes.choose_theme(detect_colours(os.environ, True))
        known = config.theme in self.available_themes
        if not known and config.theme != AUTO and not self._config_error:
            hint = did_you_mean(config.theme, self.available_themes)
            self._config_error = f"no theme '{clean_line(config.theme, 40)}': {hint}"
        self._set_first_theme(config.theme if known else default)

    def _set_first_theme(self, theme: str) -> None:
        """Set the theme at the start. Set the usual way, all styles would be computed twice."""
        self.set_reactive(App.theme, theme)
        self.stylesheet.set_variables(self.get_css_variables())
        dark = self.current_theme.dark
        self.set_classes([f"-theme-{theme}", "-dark-mode" if dark else "-light-mode"])

    def get_css_variables(self) -> dict[str, str]:
        """As in Textual; muted colours are mixed here, since in text `auto 60%` would be white, and
        what a theme draws too close to its background is mixed with the foreground."""
        variables = super().get_css_variables()
        colours = (Color.parse(variables[each]) for each in ("background", "foreground"))
        background, foreground = colours
        for name, share in MUTED.items():
            if variables[name].startswith("auto"):
                variables[name] = background.blend(foreground, share).hex
        for name, least in themes.CONTRAST.items():
            if not variables[name].startswith(("auto", "ansi_")):  # those are the terminal's own
                colour = Color.parse(variables[name])
                variables[name] = themes.contrast(colour, background, foreground, least).hex
        return variables

    @property
    def front(self) -> AppScreen[Any]:
        """The screen that gets new data and messages."""
        raise NotImplementedError

    def update_bars(self) -> None:
        """Write the header and the footer of each screen that is open."""
        for screen in self.screen_stack:
            if isinstance(screen, AppScreen):
                screen.update_bars()

    def count_live(self, runs: Sequence[RunSummary]) -> None:
        """Take over how many of the runs are training."""
        self.live = sum(run.alive for run in runs)
        self.update_bars()

    def on_load(self) -> None:
        leave_on_signals(self)

    def on_resize(self) -> None:
        if (driver := get_metered_driver(self)) is not None:
            driver.forget()  # terminals differ in which cells they keep on a resize

    def get_line_filters(self) -> Sequence[LineFilter]:
        if colour_mode(self) == "16":
            return [*super().get_line_filters(), THIN_BLACK]
        if not self.no_color:
            return super().get_line_filters()
        return [no_colour(Color.parse(self.theme_variables["background"]))]

    def on_mount(self) -> None:
        # The header and footer keep the colours they were written with.
        self.theme_changed_signal.subscribe(self, lambda _: self.update_bars())
        self.call_after_refresh(self._first_painted)

    def _first_painted(self) -> None:
        """Do the rest of the start, after the first paint."""
        front = self.front
        try:
            self.user_keys = keys.load_keymap()
        except GenuiError as error:
            front.say(str(error))
        else:
            self.set_keymap(self.user_keys)
            if not self._memory.hint_seen:
                self.show_hint()
        if self._config_error:
            front.say(self._config_error)
        self.update_bars()
        # Today's objects live as long as the app: a full collection would delay a key by 50 to
        # 150 ms and free little.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        self.start_background()
        self.desk.start()
        if (driver := get_metered_driver(self)) is not None:
            driver.watchdog.start()
            self.set_interval(watchdog.BEAT, driver.watchdog.beat)
        self.run_worker(self._meet_terminal(), group="images")
        self.set_interval(TRAFFIC_PERIOD, self._count_traffic)
        self.set_interval(GC_INTERVAL, self._collect_garbage)

    def start_background(self) -> None:
        """Start the background work, after the first paint."""
        self.watcher.start()

    def show_hint(self) -> None:
        """Show a new user the first keys, if the app has such a line."""

    async def on_unmount(self) -> None:
        self.watcher.stop()
        if (driver := get_metered_driver(self)) is not None:
            driver.watchdog.stop()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.last_key_at = time.monotonic()
            if not self._queue(event):
                await self._handle_key(event)
            return
        if isinstance(event, events.MouseDown | events.MouseMove) and self._is_stale(event):
            return
        await super().on_event(event)

    async def _handle_key(self, event: events.Key) -> None:
        """Handle a key that was typed, or one that has come back from the widget it was sent to."""
        if event.is_forwarded:
            await super().on_event(event)
            return
        if isinstance(self.screen, AppScreen):
            self.screen.heed_key()
        target = self.focused or self.screen  # as Textual chooses it
        steady = _keeps_target(event, target)
        await super().on_event(event)
        if not steady and target.post_message(KeyAnswered()):
            self._asked, self._asked_at = target, time.monotonic()
        if (driver := get_metered_driver(self)) is not None:
            driver.watchdog.handled()

    @on(KeyAnswered)
    def _handle_answer(self) -> None:
        self._asked = None
        if self._queued_keys:
            self.call_next(self._handle_queued_keys)

    def takes_error(self, error: Exception) -> bool:
        """Whether the app ends by an error. Once it ends, a handler or callback that waited
        meanwhile looks in vain for widgets that are removed, which is no fault."""
        return not (is_ending(self) and isinstance(error, _REMOVED))

    def _is_stale(self, event: events.MouseEvent) -> bool:
        """Whether the widget under the mouse has been removed, and is only drawn still. Textual
        would look for its parent."""
        if self.screen_stack:
            with suppress(NoWidget):
                return not self.screen.get_widget_at(event.x, event.y)[0].is_attached
        return False

    # --- keys that are typed before their target is ready -------------------------------

    @property
    def _answering_key(self) -> bool:
        """Whether the key before is still handled by the widget that it was sent to. It may move
        the focus, open a window or close one: the next key is for what there is then."""
        asked = self._asked
        if asked is None or not asked.is_attached:
            return False
        return time.monotonic() - self._asked_at < MAX_ANSWER_DELAY

    def _must_wait(self, key: str) -> bool:
        """Whether the target of a key is not ready yet."""
        if isinstance(self.screen, PaletteScreen):
            return not self.screen.ready_for(key)
        return isinstance(self.screen, AppScreen | Window) and not self.screen.is_mounted

    def _queue(self, event: events.Key) -> bool:
        """Queue a key that must wait, and all keys after it to keep their order. Returns whether
        the key is queued."""
        if event.is_forwarded or not (self._queued_keys or self._answering_key):
            if not self._must_wait(event.key):
                self._queued_since = None
                return False
            if self._waited_long:
                return False
        if not self._queued_keys:
            self._wait_for_target()
        # One that has come back from the widget it was sent to is the oldest.
        self._queued_keys.insert(0 if event.is_forwarded else len(self._queued_keys), event)
        return True

    @property
    def _waited_long(self) -> bool:
        since = self._queued_since
        return since is not None and time.monotonic() - since >= MAX_KEY_DELAY

    def _wait_for_target(self) -> None:
        """Look again soon whether the first queued key can be handled.

        That is done where keys are handled, between two messages, and not by the timer: a key
        that comes meanwhile would be handled before those that are queued.
        """
        if self._answering_key:
            self._queued_since = None
        elif self._queued_since is None:
            self._queued_since = time.monotonic()
        if self._queue_timer is not None:
            self._queue_timer.stop()
        look = partial(self.call_next, self._handle_queued_keys)
        self._queue_timer = self.set_timer(KEY_POLL, look)

    async def _handle_queued_keys(self) -> None:
        """Handle the queued keys in their order, each once the one before is answered and its
        target is ready, or after MAX_KEY_DELAY."""
        while self._queued_keys and self.screen_stack and not is_ending(self):
            must_wait = self._answering_key or self._must_wait(self._queued_keys[0].key)
            if must_wait and (self._answering_key or not self._waited_long):
                self._wait_for_target()
                return
            if not must_wait:
                self._queued_since = None
            key = self._queued_keys.pop(0)
            await self._handle_key(events.Key(key.key, key.character))

    def action_command_palette(self) -> None:
        """Open the palette; over a window, which has no commands, only in place of the help."""
        screen = self.screen
        if isinstance(screen, HelpScreen):
            screen.leave()
        if isinstance(self.screen, Window):
            return
        # Also not if it is behind a screen that opened late.
        if not any(isinstance(screen, PaletteScreen) for screen in self.screen_stack):
            self.push_screen(PaletteScreen(id="--command-palette"))

    def action_jump(self) -> None:
        """Show a letter on each pane and field of the screen; the one that is pressed gets the
        focus."""
        screen = self.screen
        if not isinstance(screen, PaletteScreen | jump.JumpScreen):
            targets = (
                screen.targets() if isinstance(screen, AppScreen) else jump.list_fields(screen)
            )
            if targets:
                ask(self, jump.JumpScreen(targets), lambda target: target.focus())
            else:
                self.front.say("there is no pane or field here to jump to", "note")

    @property
    def answering(self) -> bool:
        """Whether a key was just pressed, for whose paint animations wait."""
        return time.monotonic() - self.last_key_at < ANIMATION_PAUSE

    # --- from the watcher ---------------------------------------------------------------

    @on(messages.RunChanged)
    def _run_changed(self, event: messages.RunChanged) -> None:
        """Show the newest view of a run, a little later while keys are handled."""
        self.desk.receive(event.view)
        self._run_views[event.view.summary.run] = event.view
        if not self.answering:
            self._show_runs()
        elif self._runs_timer is None:
            self._runs_timer = self.set_timer(MAX_RUN_DELAY, self._show_runs)

    def _show_runs(self) -> None:
        if self._runs_timer is not None:
            self._runs_timer.stop()
            self._runs_timer = None
        views, self._run_views = self._run_views, {}
        for view in views.values():
            self.front.show_run(view)

    @on(messages.ShowStatus)
    def _show_message(self, event: messages.ShowStatus) -> None:
        self.front.say(event.line, event.kind)

    # --- images in pixels -------------------------------------------------------------

    async def _meet_terminal(self) -> None:
        """Ask the terminal for its colours and how it shows images; draw what changes again."""
        driver = get_metered_driver(self)
        if driver is not None:
            colours, follows = colour_mode(self), self._follows_terminal
            await driver.choose_images(self._images_setting, colours, follows, self._learn_colours)
            if driver.images.protocol:
                self._redraw_images()

    def _learn_colours(self, replies: str) -> ColourMode:
        """Use as many colours as the terminal says it has, and a theme that is light or dark as
        its background. Returns the colours."""
        before = colour_mode(self)
        colours = facts.read_colours(replies, before)
        if self._follows_terminal:
            self.theme = themes.choose_theme(colours, facts.is_light(replies) or False)
        if colours != before:
            self.console = Console(  # as Textual makes it
                color_system="truecolor" if colours == "truecolor" else "256",
                file=self.console.file,
                highlight=False,
                emoji=False,
                legacy_windows=False,
                force_terminal=True,
                safe_box=False,
            )
            for screen in self.screen_stack:
                for widget in (screen, *screen.query("*")):
                    widget.notify_style_update()  # the cached parts were drawn for fewer colours
                    widget.refresh()
            self._redraw_images()
        return colours

    def _redraw_images(self) -> None:
        for screen in self.screen_stack:
            for image in screen.query(image_widgets.ImageView):
                image.change_protocol()

    # --- garbage, traffic, settings, actions ------------------------------------------

    def _collect_garbage(self) -> None:
        """Collect garbage while no key is handled. Textual's strips are cycles: some thousand
        objects per second while an image changes."""
        now = time.monotonic()
        if now - max(self._full_gc_at, self.last_key_at + FULL_GC_PAUSE) > FULL_GC_INTERVAL:
            self._full_gc_at = now
            gc.collect()
        elif not self.answering or gc.get_count()[1] > MAX_GC_DELAY:
            gc.collect(1)

    def _count_traffic(self) -> None:
        driver = get_metered_driver(self)
        if driver is None:
            return
        kilobytes = round((driver.bytes_written - self._bytes) / TRAFFIC_PERIOD / 1024)
        self._bytes = driver.bytes_written
        if driver.images.protocol and driver.behind > MAX_BEHIND and self._images_setting == AUTO:
            driver.images.protocol = None
            self._redraw_images()
            self.front.say("the terminal is slow, so images are drawn in half-blocks", "note")
        busy = kilobytes >= MIN_TRAFFIC
        self.traffic = f"↑ {numbers.count(kilobytes)} KB/s to terminal" if busy else ""
        self.update_bars()

    @on(messages.HintSeen)
    def _remember_hint(self) -> None:
        self._remember(msgspec.structs.replace(self._memory, hint_seen=True))

    def _remember(self, new: Memory) -> None:
        self._memory = new
        self._write(lambda: remember(_path(), self._memory))  # the newest, whichever is last

    @on(messages.ThemeChosen)
    def _theme_chosen(self, event: messages.ThemeChosen) -> None:
        self.theme = event.theme
        self._save("theme", event.theme)

    def _save(self, name: str, text: str) -> None:
        """Write a setting to config.toml. A file that cannot be written keeps its value."""
        self._write(lambda: save_setting(name, text))

    def _write(self, write: Callable[[], object]) -> None:
        """Write a file on a thread, one at a time."""

        def work() -> None:
            with self._saving, suppress(GenuiError):
                write()

        self.run_worker(work, thread=True, group="memory")

    def action_alerts(self) -> None:
        self.desk.open()

    def action_ringing(self) -> None:
        """Turn the bell and the notifications on or off, for good."""
        self.desk.quiet = quiet = not self.desk.quiet
        self._save("bell", "false" if quiet else "true")
        line = "alerts are silent" if quiet else "alerts ring and notify again"
        self.front.say(line, "note")

    @property
    def recent(self) -> tuple[str, ...]:
        """The titles of the commands done last in the palette, the newest first."""
        return self._memory.recent

    @on(messages.Performed)
    def _remember_command(self, event: messages.Performed) -> None:
        recent = dict.fromkeys([event.title, *self._memory.recent])
        new = msgspec.structs.replace(self._memory, recent=tuple(recent)[:MAX_RECENT])
        self._remember(new)

    @on(messages.Undoable)
    def _remember_undoable(self, event: messages.Undoable) -> None:
        self._undoable.append(event)

    def action_undo(self) -> None:
        """Undo the last action that can be undone; keys still work meanwhile."""
        if not self._undoable:
            self.front.say("nothing to undo", "note")
            return
        # A task and no worker: an undo that has begun is completed even if the app is closed
        # meanwhile.
        task = asyncio.create_task(self._undo(self._undoable.pop()))
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _undo(self, last: messages.Undoable) -> None:
        try:
            self.front.say(await last.undo(), "note")
        except GenuiError as error:
            self.front.say(str(error))
        except Exception as error:  # of a task, asyncio would only log it
            self.front.say(describe_bug(error))

    async def action_press(self, key_id: str) -> None:
        """Run the action of a key in the footer that was clicked."""
        await self.front.press(keys.find_key(key_id))

    def action_help_quit(self) -> None:
        """Ctrl+C: show how to quit, in the status line instead of a toast."""
        self.front.say("press q to quit; training continues", "note")


# --- The app: paints at once, then reads the lists on a thread, then starts the worker --------


class GenuiApp(Shell):
    """Connects the session, the watcher and the main screen.

    `launch` starts the worker; tests pass their own. With `tour` it opens with the tour.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.make_bindings(keys.of_pane("tour"), priority=True)  # in lines and windows too
    ]

    def __init__(self, launch: Launch = launch_worker, tour: bool = False) -> None:
        super().__init__([STYLE_SHEET, STYLE_SHEET.with_name("home.tcss"), *styles_of_kinds()])
        # Late: these import every pane and recipe, which `genui watch` does not need.
        self.session = Session(self, launch)
        list_models = partial(models.list_models, patience=PATIENCE)
        self.watcher = Watcher(self, JobQueue(list_runs), list_models, glances=True)
        self.home = home.HomeScreen(self.session, self.watcher)
        self.tour: Tour | None = None  # while it is taken
        self._opens_tour = tour
        self._warmed = False

    def get_default_screen(self) -> "Screen":
        return self.home

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.MouseDown):
            self.home.demo.stop()
        await super().on_event(event)

    @property
    def front(self) -> AppScreen[Any]:
        return self.home.board or self.home.visible_screen or self.home

    def start_background(self) -> None:
        super().start_background()
        self.run_worker(self._begin_home(), group="files", exit_on_error=False)

    async def _begin_home(self) -> None:
        """Show what can be read from files, and start the worker: on a busy machine afterwards,
        since it takes the processor."""
        if not demo.is_busy():
            self.session.open()
        try:
            await self.home.demo.show_files()
        finally:
            self.session.open()

    def show_hint(self) -> None:
        self.home.show_hint()

    async def on_unmount(self) -> None:
        await self.session.close()

    # --- from the session and the watcher ---------------------------------------------

    @on(messages.WorkerReady)
    def _worker_ready(self, event: messages.WorkerReady) -> None:
        ready = event.ready
        self.machine = clean_line(f"{ready.device} {ready.precision}", 24)
        self.update_bars()
        self._warm()

    @on(messages.WorkerDied)
    def _worker_died(self, event: messages.WorkerDied) -> None:
        self._warmed = False
        self.machine = ""
        self.update_bars()
        self.front.say(event.line)

    @on(messages.TableChanged)
    def _table_changed(self, event: messages.TableChanged) -> None:
        self.home.set_table(event)

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.home.set_lists(tuple(event.models), tuple(event.runs))
        self.count_live(event.runs)
        self._warm()
        if self._opens_tour:
            self._opens_tour = False
            self.action_tour()

    def _warm(self) -> None:
        """Load the models of the panes in advance."""
        known = self.session.ready is not None and self.home.models
        if known and not self._warmed and not demo.is_busy():  # a busy machine is left to others
            self._warmed = True
            for ref in self.home.offered_models():
                self.session.put(Warm(ref))

    # --- the tour -----------------------------------------------------------------------

    def action_tour(self) -> None:
        """Take the tour from its beginning."""
        self.action_tour_leave()
        self.tour = guided_tour.Tour(self)

    def action_tour_skip(self) -> None:
        if self.tour is not None:
            self.tour.skip()

    def action_tour_leave(self) -> None:
        if self.tour is not None:
            self.tour.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a tour its keys are free."""
        if action in ("tour_skip", "tour_leave") and self.tour is None:
            return False
        return super().check_action(action, parameters)


def farewell() -> str:
    """The line after the app has closed: the runs that are still training; "" if there are none."""
    live: list[RunSummary] = []
    with suppress(GenuiError):
        live = [run for run in list_runs() if run.alive]
    if not live:
        return ""
    names = ", ".join(clean_line(run.info.name, 40) for run in live[:3])
    names += ", …" if len(live) > 3 else ""
    runs, them = ("run is", "it") if len(live) == 1 else ("runs are", "them")
    return f"{len(live)} {runs} still training: {names}. Run genui to see {them}."


def run(tour: bool = False) -> int:
    """Run the app, with the tour if asked for. Returns its exit code."""
    app = GenuiApp(tour=tour)
    app.run()
    labels.empty()  # deleted runs can be brought back only until now
    gc.freeze()  # a full collection would delay the prompt by a second
    if line := farewell():
        print(line, file=sys.stdout)
    return app.return_code or 0


# --- `genui watch`: the Training screen alone, for logs anywhere ------------------------------
# Without a worker, models and panes the first curve is painted sooner.


LINK_POLL = 1.0  # seconds between two looks at the links to other hosts


class WatchApp(Shell):
    """Shows the first run of the target, or the runs that were shown last time."""

    def __init__(self, target: WatchTarget, links: "Sequence[Follower | RunFollower]" = ()) -> None:
        """`links` keep logs of other hosts up to date; the fault of one is shown."""
        super().__init__()
        self._note = target.note
        self._links = links
        self._link_line = self._link_note = ""
        self.live = sum(run.alive for run in target.runs)
        self.watcher = Watcher(self, runs=target.find)
        self.board = training_screen.TrainingScreen(
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

    def start_background(self) -> None:
        """Show which files were left out; the watcher has already been started."""
        if self._note:
            self.board.say(self._note, "note")
        if self._links:
            self.set_interval(LINK_POLL, self._tell_of_links)

    def _tell_of_links(self) -> None:
        """Report the fault of a link once, and when the link works again; also which files it
        leaves out."""
        line = "; ".join(link.line for link in self._links if link.line)
        if line != self._link_line:
            self._link_line = line
            self.board.say(line or "connected again", "error" if line else "note")
        note = "; ".join(link.note for link in self._links if link.note)
        if note not in ("", self._link_note):
            self._link_note = note
            self.board.say(note, "note")

    @on(messages.ListsChanged)
    def _lists_changed(self, event: messages.ListsChanged) -> None:
        self.board.set_lists(event.runs)
        self.count_live(event.runs)

    @on(messages.TableChanged)
    def _table_changed(self, event: messages.TableChanged) -> None:
        self.board.set_table(event)


def run_watch(
    paths: Sequence[Path] | None, run: RunDir | None, links: "Sequence[Follower | RunFollower]" = ()
) -> int:
    """Watch one run of genui, the logs in `paths`, or all runs of genui. Returns the exit code.

    `links` keep copies of other hosts' logs, among `paths`, up to date.
    Raises GenuiError if a path cannot be read, MisuseError if it is a file without a log.
    """
    queues = [link.add_jobs for link in links if isinstance(link, remote.Follower)]
    target = watch_target(paths, run, queues)
    gc.freeze()  # imported modules need no collection
    app = WatchApp(target, links)
    app.run()
    labels.empty()  # deleted runs can be brought back only until now
    gc.freeze()  # a full collection would delay the prompt by a second
    return app.return_code or 0
