"""What a test does with the app on the stage: press keys, look at the screen, and wait."""

import asyncio
import inspect
import string
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from fake_process import in_process
from fake_worker import FakeWorker
from private_textual import drawn_lines, paint, paint_soon, painting_later
from textual import events
from textual.app import App
from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.keys import REPLACED_KEYS, key_to_character
from textual.pilot import Pilot
from textual.widgets import Input, Static
from waiting import PATIENCE

from genui.ui.app import GenuiApp, WatchApp
from genui.ui.home import HomeScreen
from genui.ui.keys import list_keys
from genui.ui.screens import AppScreen, Palette
from genui.ui.session import Launch, Session, launch_process
from genui.ui.stylesheet import CachedStylesheet
from genui.ui.textual_parts import XTermParser, is_ending
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
            paint_soon(self.app.screen)
            await idle()
        if self.app.screen_stack and not is_ending(self.app):
            paint(self.app.screen)
            await idle()


def key_event(key: str) -> events.Key:
    """A key as a terminal would send it, by its name or its character."""
    if len(key) == 1:
        parser = XTermParser()
        (event,) = parser.feed(key)
        list(parser.feed(""))  # it ends: one that waits for more is kept for ever, with its app
        assert isinstance(event, events.Key)
        return event
    return events.Key(key, key_to_character(REPLACED_KEYS.get(key, key)))


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
    with painting_later():
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
    return "\n".join(strip.text for strip in drawn_lines(pilot.app.screen))


async def until(
    pilot: Pilot[None],
    true: Callable[[], bool],
    seconds: float = PATIENCE,
    tell: Callable[[], str] | None = None,
) -> None:
    """Waits for something to become true; fails, with that or the screen, where it does not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true():
        if loop.time() > end:
            reason = tell() if tell else f"the screen:\n{seen(pilot)}"
            pytest.fail(f"waited {seconds} s in vain; {reason}")
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


def runs_with(word: str) -> bool:
    """Whether the app has a process that was started with the word and has not ended."""
    children = psutil.Process().children()
    return any(one.is_running() and word in one.cmdline() for one in children)


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
        assert not app.return_code, title
        await back()
    return set(alike)


async def type_all(pilot: Pilot[None]) -> None:
    """Every printable character on the screen at the front; what one opens is left again."""
    app = pilot.app
    front = app.screen
    for event in map(key_event, TYPED):
        bound = event.key in front.active_bindings
        app.post_message(event)
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
