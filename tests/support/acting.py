"""What a test does with the app on the stage: press keys, look at the screen, and wait."""

import asyncio
import inspect
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from fake_process import in_process
from fake_worker import FakeWorker
from textual import events
from textual.app import App
from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, Static
from waiting import PATIENCE

from genui.ui.app import GenuiApp, WatchApp
from genui.ui.home import HomeScreen
from genui.ui.keys import list_keys
from genui.ui.screens import AppScreen, Palette
from genui.ui.session import Launch, Session, launch_process
from genui.ui.stylesheet import CachedStylesheet
from genui.ui.training.screen import TrainingScreen

HERE = Path(__file__).parent
FAST = in_process(FakeWorker)
"""A worker that answers in this process, at once."""


def process(*options: str, script: str = "fake_worker.py") -> Launch:
    """A worker that is a process, as it is for a user."""
    return partial(launch_process, sys.executable, str(HERE / script), *options)


REAL = process("--delay", "0")
SLOW = process("--delay", "0.1")
SIZES = [(80, 24), (120, 40), (200, 60)]
"""Of terminals: the smallest that everything fits, the usual one and a large one."""

Opener = Callable[..., AbstractAsyncContextManager[Pilot[None]]]


class SharedStylesheet(CachedStylesheet):
    """Keeps what it has parsed and matched for the next app in the same colours."""

    _shared: ClassVar[dict[object, tuple[Any, ...]]] = {}
    _known: ClassVar[dict[tuple[object, ...], Any]] = {}

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._share()

    def set_variables(self, variables: dict[str, str]) -> None:
        self._parse_cache = LRUCache(1)  # in place of the shared one, which would be emptied
        super().set_variables(variables)
        self._share()

    def _share(self) -> None:
        colours = tuple(sorted(self._variables.items()))
        shared = self._shared.setdefault(colours, (LRUCache(1000), {}, {}))
        self._parse_cache, self._matches, self._numbers = shared
        self._parsed = []  # what depends on them is taken anew

    def _take_rules(self, rules: list[RuleSet]) -> None:
        super()._take_rules(rules)
        known = self._known.setdefault((id(self._numbers), *rules), {})
        self._dependencies = known


class QuickPilot(Pilot[None]):
    """Waits only until the app has nothing left to do; Textual's own pilot waits 20 ms a key at
    least, and up to a second while an app is busy, as one that plays a trace always is."""

    async def press(self, *keys: str) -> None:
        """Send keys one after the other, each once the one before is answered.

        The id of a row of the table does what that row of the palette does.
        """
        for key in keys:
            row = next((row for row in list_keys() if row.id == key), None)
            if row is None:
                self.app.post_message(key_event(key))
            else:
                screen = self.app.screen
                assert isinstance(screen, AppScreen)
                await screen.press(row)
            await self.pause()

    async def pause(self, delay: float | None = None) -> None:
        """Wait so long, and until the app has nothing to do; paint what it will paint soon."""
        if delay:
            await asyncio.sleep(delay)
        await idle()
        if self.app.screen_stack:
            self.app.screen._on_timer_update()
            await idle()
        if self.app.screen_stack and not self.app._exit:
            PAINT(self.app.screen)
            await idle()


PAINT = Screen._compositor_refresh


def put_off_paint(screen: Screen[Any]) -> None:
    """Leave what has changed on a screen to the end of the pilot's pause, if no terminal shows it:
    an app lays itself out many times until it is idle, and to paint takes a third of a test."""
    app = screen.app
    if not app.is_headless or screen is not app.screen:
        PAINT(screen)
    else:
        app._update_mouse_over(screen)


def key_event(key: str) -> events.Key:
    """A key as a terminal would send it; a character may stand for its key."""
    if len(key) == 1 and not key.isalnum():
        key = _character_to_key(key)
    try:
        name = _get_unicode_name_from_key(REPLACED_KEYS.get(key, key))
        return events.Key(key, unicodedata.lookup(name))
    except KeyError:
        return events.Key(key, key if len(key) == 1 else None)


async def idle(seconds: float = 5) -> None:
    """Wait until nothing is ready to run in the event loop: what is left waits for a time, a
    thread or a file. After so many seconds an app that is always busy is left to itself."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await asyncio.sleep(0)
        if not loop._ready:  # type: ignore[attr-defined]
            return


@asynccontextmanager
async def running(app: App[Any], size: tuple[int, int]) -> AsyncIterator[QuickPilot]:
    """The app on a terminal of that size that is not there. It ends as a user leaves it."""
    with mock.patch.object(Screen, "_compositor_refresh", put_off_paint):
        async with app.run_test(size=size):
            pilot = QuickPilot(app)
            await pilot.pause()
            yield pilot
            app.exit()  # Textual's shutdown alone would handle messages without the widgets


def home_of(pilot: Pilot[None]) -> HomeScreen:
    app = pilot.app
    assert isinstance(app, GenuiApp)
    return app.home


def board_of(pilot: Pilot[None]) -> TrainingScreen:
    """The Training screen, alone or over the main one."""
    app = pilot.app
    assert isinstance(app, GenuiApp | WatchApp)
    board = app.board if isinstance(app, WatchApp) else app.home.board
    assert board is not None
    return board


def session_of(pilot: Pilot[None]) -> Session:
    app = pilot.app
    assert isinstance(app, GenuiApp)
    return app.session


def seen(pilot: Pilot[None]) -> str:
    """The screen as text."""
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Waits for something to become true; fails, with the screen, where it does not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true():
        if loop.time() > end:
            pytest.fail(f"waited {seconds} s in vain; the screen:\n{seen(pilot)}")
        await asyncio.sleep(0.01)
        await pilot.pause()


async def each_size(pilot: Pilot[None]) -> AsyncIterator[tuple[int, int]]:
    """The terminal gets one of the SIZES after the other."""
    for size in SIZES:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        yield size


def fault(pilot: Pilot[None]) -> str:
    """What the open window says is wrong."""
    lines = pilot.app.screen.query(".fault").results(Static)
    return "\n".join(filter(None, (str(line.content) for line in lines if line.display)))


async def until_seen(pilot: Pilot[None], text: str) -> None:
    """Waits until the text is on the screen."""
    await until(pilot, lambda: text in seen(pilot))


# --- All that a screen offers -------------------------------------------------------------------

ALIKE = 2  # of commands that differ in a name alone (recipes, models), so many are tried
LEAVING = "12345q"  # of a view, or of the app
TYPED = [c for c in string.printable + "éß字€" if c.isprintable() and c not in LEAVING]


async def do_all(
    pilot: Pilot[None], palette: Palette, back: Callable[[], Awaitable[None]]
) -> set[str]:
    """Does the commands but for the one that ends the app; how they begin."""
    app, alike = pilot.app, Counter[str]()
    async for hit in palette.discover():
        title = str(hit.text)
        begin, has_scope, _ = title.partition(": ")
        begin = begin if has_scope else title.split()[0]
        alike[begin] += 1
        if title == "Everywhere: quit" or (alike[begin] > ALIKE and not has_scope):
            continue
        result = hit.command()
        if inspect.isawaitable(result):
            await result
        await pilot.pause()
        assert app._exception is None, title
        await back()
    return set(alike)


async def type_all(pilot: Pilot[None]) -> None:
    """Every printable character on the screen at the front; what one opens is left again."""
    app = pilot.app
    front, keys = app.screen, [_character_to_key(c) for c in TYPED]
    for key, character in zip(keys, TYPED, strict=True):
        bound = key in front.active_bindings
        app.post_message(events.Key(key, character))
        if not bound:
            continue
        await pilot.pause()
        assert front in app.screen_stack
        while app.screen is not front:
            app.pop_screen()
            await pilot.pause()
        if isinstance(app.focused, Input):  # else what follows would be typed into the line
            app.post_message(events.Key("escape", None))
            await pilot.pause()
    await pilot.pause()
