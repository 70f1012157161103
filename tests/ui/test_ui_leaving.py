"""Closing the app at any moment, whatever still arrives."""

import asyncio

import pytest
import stage
from acting import FAST, Opener, home_of, key_event, until
from textual import events
from textual.widgets import MarkdownViewer, Static
from textual.worker import WorkerFailed, WorkerState

from genui import protocol
from genui.runs.layout import RunDir
from genui.runs.listing import list_runs, summarise
from genui.runs.models import list_models
from genui.ui import messages
from genui.ui.app import GenuiApp
from genui.ui.generate.pane import TracePane
from genui.ui.traces.trees import Lost
from genui.ui.training.panels import SideColumn
from genui.ui.training.samples import SamplesPanel
from genui.ui.training.screen import TrainingScreen
from genui.ui.watcher import RunView
from genui.ui.widgets.bars import StatusLine
from genui.ui.windows import NearestScreen

NONE_FOUND = protocol.Neighbours(trace=1, step=1, data="plays", measured="a ruler")


def news() -> list[messages.Message]:
    """One of every message that comes from outside the app's own task."""
    run = stage.make_run(name="late")
    ready = protocol.Ready(version=1, device="cpu", precision="bf16", threads=1, pid=1)
    return [
        messages.ListsChanged(list_models(), list_runs()),
        messages.RunChanged(RunView(summarise(run))),
        messages.WorkerReady(ready),
        messages.WorkerDied("the worker ended", True),
        messages.ShowStatus("too late"),
        messages.Acted(),
        messages.HintSeen(),
        messages.OpenRun(run),
        messages.OrganiseRun(summarise(run)),
        messages.OrganiseRun(summarise(run), delete=True),
        messages.Generate(run),
        messages.ZoomPane("text"),
        messages.Reply(Lost()),
        messages.Reply(protocol.Failed(trace=1, message="too late")),
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
        parts = [app, home, *(home.query_one(p) for p in ("#text", "#canvas", "#training"))]

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
    assert not app.return_code


async def test_a_screen_that_was_left_answers_no_key_and_no_news(
    shipped, open_app: Opener, run: RunDir
) -> None:
    async with open_app() as pilot:  # leaving raises what any of them raised
        home, app = home_of(pilot), pilot.app
        await until(pilot, lambda: home.watched is not None)
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, TrainingScreen))
        board = app.screen
        assert isinstance(board, TrainingScreen)
        board.action_view("home")  # and before it is gone, and after:
        for _ in range(2):
            assert not await app.run_action("pause", board)
            board.say("too late")
            board.show_run(RunView(summarise(run)))
            board.post_message(messages.ShowStatus("too late"))
            board.call_after_refresh(board.paint)
            await until(pilot, lambda: board not in app.screen_stack and not board.is_attached)


async def test_a_panel_without_its_children_is_shown_nothing_while_the_app_ends(
    shipped, open_app: Opener, run: RunDir
) -> None:
    async with open_app() as pilot:
        home, app = home_of(pilot), pilot.app
        await until(pilot, lambda: home.watched is not None)
        await pilot.press("4")
        await until(pilot, lambda: bool(app.screen.query(SamplesPanel)))
        board = app.screen
        assert isinstance(board, TrainingScreen)
        await until(pilot, lambda: bool(board.board.snapshot.views))
        column, snapshot = board.query_one(SideColumn), board.board.snapshot
        removed = board.query_one(SamplesPanel).remove_children()
        app.exit()  # before anything else can be shown
        await removed
        column.show("sample", snapshot)


async def test_a_pane_without_its_children_draws_nothing_while_the_app_ends(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3")
        pane = home_of(pilot).query_one("#canvas", TracePane)
        removed = [part.remove_children() for part in (pane.view, pane.inspector)]
        pilot.app.exit()
        for one in removed:
            await one
        pane.paint()


async def test_the_app_can_be_left_while_the_manual_opens(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:  # leaving raises what any of them raised
        app = pilot.app
        app.post_message(events.Key("f1", None))
        while not app.screen.query(MarkdownViewer):
            await asyncio.sleep(0)  # it is not composed yet
        app.exit()


async def test_what_comes_for_a_window_or_a_line_that_has_gone_is_dropped(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app() as pilot:
        home, app = home_of(pilot), pilot.app
        await pilot.press("2", "space")
        pane = home.query_one("#text", TracePane)
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed > 3)
        trace = pane.trace
        assert trace is not None
        window = NearestScreen(trace, trace.position)
        app.push_screen(window)
        window.show(NONE_FOUND)  # before it is there
        await until(pilot, lambda: window.is_mounted)
        assert str(window.query_one(".what", Static).content).startswith("no part of it")
        window.action_leave()
        window.call_after_refresh(window.action_alone)
        await until(pilot, lambda: not window.is_attached)
        window.show(NONE_FOUND)
        window.fail("too late")
        app, home = pilot.app, home_of(pilot)
        line = Static("gone soon")
        await home.query_one("#body").mount(line, before=0)
        await pilot.pause()
        region = line.region
        x, y = region.offset
        await line.remove()
        # It is drawn until the next layout, which may come at any moment.
        monkeypatch.setattr(home, "get_widget_at", lambda x, y: (line, region))
        at = (None, x, y, 0, 0, 1, False, False, False, x, y)
        for event in (events.MouseDown(*at), events.MouseMove(*at), events.MouseUp(*at)):
            app.post_message(event)
        await pilot.pause()
        assert app.screen is home


async def test_a_key_that_comes_back_before_its_window_is_there_waits_for_it(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[bool] = []
    alone = NearestScreen.action_alone

    def counted(self: NearestScreen) -> None:
        answered.append(self.is_mounted)
        alone(self)

    monkeypatch.setattr(NearestScreen, "action_alone", counted)
    async with open_app() as pilot:
        home, app = home_of(pilot), pilot.app
        await pilot.press("3", "space")
        pane = home.query_one("#canvas", TracePane)
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        trace = pane.trace
        assert trace is not None
        window = NearestScreen(trace, trace.position)
        app.push_screen(window)
        event = events.Key("z", None)  # typed to the pane, which did not want it
        event._set_forwarded()
        app.post_message(event)
        app.post_message(key_event("escape"))
        await until(pilot, lambda: app.screen is home)
        assert answered == [True]


async def test_a_panel_that_comes_after_the_screen_was_left_is_not_mounted() -> None:
    """The first panel is mounted a moment after the column: `q` may come between."""
    column = SideColumn()
    await column._mount_panel(SamplesPanel())  # not on any screen: Textual would raise MountError
    assert not column.children


async def test_a_key_that_is_answered_while_the_screen_is_taken_down_is_no_fault(
    shipped, open_app: Opener
) -> None:
    """As `u` and `q` on a busy machine: what `u` undoes is read from the disk meanwhile."""
    async with open_app() as pilot:  # leaving raises what any handler raised
        home, steps = home_of(pilot), list[str]()

        async def undo() -> str:
            steps.append("begun")
            while home.query(StatusLine):
                await asyncio.sleep(0)
            steps.append("done")
            return "too late to be shown"

        pilot.app.post_message(messages.Undoable(undo))
        for key in ("u", "q", "f8", "F", "tab"):
            pilot.app.post_message(key_event(key))
        while not steps:
            await asyncio.sleep(0)
    assert steps == ["begun", "done"]
    assert pilot.app.return_code in (0, None)


async def test_a_worker_whose_screen_has_gone_takes_no_step(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_down = GenuiApp._close_all
    steps: list[str] = []
    workers = []

    async def taken_down_amid_work(app: GenuiApp) -> None:
        """As a key does that is handled while Textual ends the workers."""
        home, gone = app.home, asyncio.Event()

        async def open_late() -> None:
            steps.append("begun")
            await gone.wait()
            steps.append("went on")
            home.action_show_pane("text")

        home.query_one(StatusLine)
        workers.append(home.run_worker(open_late(), exit_on_error=False))
        removal = asyncio.create_task(taken_down(app))
        while home.query(StatusLine):
            await asyncio.sleep(0)
        gone.set()
        await removal

    async with open_app() as pilot:
        await until(pilot, lambda: bool(home_of(pilot).models))
        monkeypatch.setattr(GenuiApp, "_close_all", taken_down_amid_work)
    assert "went on" not in steps
    assert [worker.state for worker in workers] == [WorkerState.CANCELLED]


async def test_a_worker_returns_its_result_and_raises_what_it_raised(open_app: Opener) -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def fail() -> None:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except TimeoutError:
            raise ValueError("as expected") from None

    async with open_app(lists=False) as pilot:
        home = home_of(pilot)
        assert await home.run_worker(answer()).wait() == 7
        failed = home.run_worker(fail, exit_on_error=False)
        with pytest.raises(WorkerFailed, match="as expected"):
            await failed.wait()
