"""A stage for the app: shipped models, a fake worker, and an app opened on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import stage
from acting import FAST, HERE, Opener, until
from textual.pilot import Pilot

from genui import paths
from genui.ui.app import GenuiApp


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
