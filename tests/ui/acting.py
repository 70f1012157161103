"""What a test does with the app on the stage: look at the screen, and wait."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from genui.ui.app import GenuiApp, WatchApp
from genui.ui.home import HomeScreen
from genui.ui.session import Session
from genui.ui.training.screen import TrainingScreen

HERE = Path(__file__).parent
FAST = (sys.executable, str(HERE / "fake_worker.py"), "--delay", "0")
SLOW = (*FAST[:2], "--delay", "0.1")
SIZES = [(80, 24), (120, 40), (200, 60)]
"""Of terminals: the smallest that everything fits, the usual one and a large one."""

Opener = Callable[..., AbstractAsyncContextManager[Pilot[None]]]


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


async def until(pilot: Pilot[None], true: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something to become true; fails, with the screen, where it does not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true():
        if loop.time() > end:
            pytest.fail(f"waited {seconds} s in vain; the screen:\n{seen(pilot)}")
        await pilot.pause(0.02)
    await pilot.pause()


def fault(pilot: Pilot[None]) -> str:
    """What the open window says is wrong."""
    return str(pilot.app.screen.query_one(".fault", Static).content)


async def until_seen(pilot: Pilot[None], text: str) -> None:
    """Waits until the text is on the screen."""
    await until(pilot, lambda: text in seen(pilot))
