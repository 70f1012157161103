"""Fixtures for tests of the app: shipped models, a fake worker, and an app opened on them."""

import gc
import random
from collections import ChainMap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import stage
from acting import FAST, HERE, Opener, SharedStylesheet, running, until
from textual.pilot import Pilot

from genui.protocol import ImageSettings, kinds
from genui.protocol.kinds import KINDS
from genui.runs import models
from genui.runs.layout import RunDir, RunLock
from genui.runs.listing import list_runs
from genui.ui import app, new_run, session
from genui.ui.app import GenuiApp, WatchApp
from genui.ui.session import Launch
from genui.ui.traces.trees import ShownTrace
from genui.ui.watcher import WatchTarget
from genui.ui.widgets import bars

TICK = ShownTrace.tick


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shipped models, whatever the package has; a worker that finds the package; style sheets
    that are parsed once for all apps; the same random seeds each time."""
    random.seed(0)
    monkeypatch.setattr(app, "CachedStylesheet", SharedStylesheet)
    monkeypatch.setattr(kinds, "weights_folders", lambda: [tmp_path / "nothing"])
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent.parent))
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr(bars, "FADE", 600.0)  # a message lasts as long as a busy machine takes
    monkeypatch.setattr(new_run, "PLANNER", ("true",))  # a form measures no training


@pytest.fixture
def twenty_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffusion models take 20 steps by default, so that tests can name steps of their traces."""
    own = {
        key: msgspec.structs.replace(kind, default_settings=ImageSettings(steps=20))
        for key, kind in KINDS.items()
        if key[0] == "diffusion" and kind.settings is ImageSettings
    }
    monkeypatch.setattr(models, "KINDS", ChainMap(own, KINDS))  # type: ignore[arg-type]


@pytest.fixture
def app_stage(bare: None, twenty_steps: None, tidy: None) -> None:
    """What every test of the app needs."""


@pytest.fixture(autouse=True)
def stage_first(request: pytest.FixtureRequest) -> None:
    """Set the stage before the fixtures of a test's own file, which put models on it."""
    if "app_stage" in request.fixturenames:
        request.getfixturevalue("app_stage")


@pytest.fixture
def truecolour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw in truecolour whatever terminal the tests run in."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def quick(app_stage: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been computed is played in one tick, and frames come without a pause to collect
    them."""
    monkeypatch.setattr(ShownTrace, "tick", lambda trace, _, rate: TICK(trace, 1 / rate, rate))
    monkeypatch.setattr(session, "GATHER", 0.0)


@pytest.fixture
def usual_pace(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces play as fast as they do for a user, so that they can be stopped on the way."""
    monkeypatch.setattr(ShownTrace, "tick", TICK)


@pytest.fixture
def tidy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the memory of each test's app back, which the app itself keeps for good."""
    gc.freeze()  # what is there before the app need not be looked through
    monkeypatch.setattr(gc, "freeze", lambda: None)
    yield
    gc.collect()


@pytest.fixture
def shipped(app_stage: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four shipped models."""
    folder = tmp_path / "weights"
    stage.ship(folder, "shakespeare", "python", "emoji", "icons")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])
    return folder


@pytest.fixture
def open_app(quick: None) -> Opener:
    """`async with open_app(size=(120, 40), worker=FAST) as pilot`, once the lists are there."""

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = (120, 40), worker: Launch = FAST, lists: bool = True
    ) -> AsyncIterator[Pilot[None]]:
        shell = GenuiApp(worker)
        async with running(shell, size) as pilot:
            if lists:
                await until(pilot, lambda: bool(shell.home.models or shell.home.runs))
            yield pilot

    return opened


@pytest.fixture
def open_watch(app_stage: None) -> Opener:
    """`async with open_watch(size=(120, 40)) as pilot`: the Training screen on the newest run."""

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = (120, 40), key: str = "", listing: bool = False
    ) -> AsyncIterator[Pilot[None]]:
        runs = list_runs()
        known = key or (runs[0].run.id if runs else "")
        shell = WatchApp(WatchTarget(known, runs, list_runs, listing))
        async with running(shell, size) as pilot:
            if runs:
                await until(pilot, lambda: bool(shell.board.board.plots()))
            yield pilot

    return opened


@pytest.fixture
def run() -> Iterator[RunDir]:
    """A run at step 100 that trains, as far as can be seen from outside."""
    made = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(made):
        stage.set_state(made, "running", 100, 400)
        yield made
