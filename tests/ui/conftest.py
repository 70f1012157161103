"""A stage for the app: shipped models, a fake worker, and ways to look at the screen."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import stage
from textual.pilot import Pilot
from textual.widgets import Static

from genui import paths
from genui.ui.app import GenuiApp
from genui.ui.screens.home import HomeScreen
from genui.ui.session import Session

HERE = Path(__file__).parent
FAST = (sys.executable, str(HERE / "fake_worker.py"), "--delay", "0")
SLOW = (*FAST[:2], "--delay", "0.1")

Opener = Callable[..., AbstractAsyncContextManager[Pilot[None]]]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shipped models, whatever the package has; a worker that finds the package."""
    monkeypatch.setattr(paths, "weights_dir", lambda: tmp_path / "nothing")
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent.parent))
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four shipped models."""
    folder = tmp_path / "weights"
    stage.ship(folder, "shakespeare", "python", "emoji", "icons")
    monkeypatch.setattr(paths, "weights_dir", lambda: folder)
    return folder


@pytest.fixture
def open_app() -> Opener:
    """`async with open_app(size=(120, 40), worker=FAST) as pilot`, once the lists are there."""

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = (120, 40), worker: tuple[str, ...] = FAST, lists: bool = True
    ) -> AsyncIterator[Pilot[None]]:
        app = GenuiApp(worker)
        async with app.run_test(size=size) as pilot:
            if lists:
                await until(pilot, lambda: bool(app.home.models or app.home.runs))
            yield pilot

    return opened


def home_of(pilot: Pilot[None]) -> HomeScreen:
    app = pilot.app
    assert isinstance(app, GenuiApp)
    return app.home


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
