"""Closing the app at any moment, whatever still arrives."""

import asyncio

import pytest
import stage
from acting import FAST, Opener, home_of, until

from genui import protocol
from genui.runs.catalog import list_models
from genui.runs.listing import list_runs, summarise
from genui.ui import messages
from genui.ui.app import GenuiApp
from genui.ui.looking import RunView
from genui.ui.panes.canvas import CanvasPane
from genui.ui.panes.text import TextPane
from genui.ui.panes.training import TrainingPane


def news() -> list[messages.Message]:
    """One of every message that comes from outside the app's own task."""
    run = stage.make_run(name="late")
    ready = protocol.Ready(version=1, device="cpu", precision="bf16", threads=1, pid=1)
    return [
        messages.ListsChanged(list_models(), list_runs()),
        messages.RunChanged(RunView(summarise(run))),
        messages.WorkerReady(ready),
        messages.WorkerDied("the worker ended", True),
        messages.Say("too late"),
        messages.Acted(),
        messages.HintSeen(),
        messages.OpenRun(run),
        messages.RunHighlighted(run),
        messages.Generate(run),
        messages.ZoomPane("text"),
        messages.TraceLost(),
        messages.TraceFailed(1, "too late"),
    ]


async def test_nothing_that_arrives_while_the_app_is_taken_down_is_handled(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = news()
    taken_down = GenuiApp._close_all
    arrived = False

    async def taken_down_amid_news(app: GenuiApp) -> None:
        nonlocal arrived
        home = app.home
        parts = [app, home, *(home.query_one(p) for p in (TextPane, CanvasPane, TrainingPane))]

        def arrive() -> None:
            for part in parts:
                for message in late:
                    part.post_message(message)

        arrive()
        await taken_down(app)
        arrive()
        for _ in range(50):  # the app's own queue is worked off, its screen is gone
            await asyncio.sleep(0)
        arrived = True

    monkeypatch.setattr(GenuiApp, "_close_all", taken_down_amid_news)
    async with open_app() as pilot:  # leaving raises what any handler raised
        await until(pilot, lambda: bool(home_of(pilot).models))
    assert arrived


@pytest.mark.parametrize("turns", [0, 1, 5, 20, 80])
async def test_it_can_be_left_before_it_is_all_there(shipped, turns: int) -> None:
    async def leave(pilot) -> None:
        for _ in range(turns):  # of the event loop, while the screen is being put together
            await asyncio.sleep(0)
        pilot.app.exit()

    app = GenuiApp(FAST)
    await app.run_async(headless=True, size=(120, 40), auto_pilot=leave)
    assert app.return_code == 0
    assert app._exception is None
