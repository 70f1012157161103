"""The palette: it lists only what can be done, does it once, and waits for its own list."""

import asyncio
import inspect
from pathlib import Path

import pytest
import stage
from acting import Opener, board_of, do_all, home_of, until, until_seen
from textual import events
from textual.command import CommandInput, CommandList
from textual.pilot import Pilot
from textual.screen import Screen

from genui.protocol.kinds import Kind
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.app import GenuiApp
from genui.ui.home import HomeScreen
from genui.ui.home_panes import TrainingPane, list_screens
from genui.ui.lifecycle import is_usable
from genui.ui.screens import AppScreen, Palette, PaletteScreen, PaneScreen
from genui.ui.training.screen import TrainingScreen
from genui.ui.widgets.dialogs import ThemeScreen
from genui.ui.widgets.lists import RowList

HOLD = 0.1  # seconds that a key is held
SMALL = 80, 24  # a terminal that is soon drawn


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[RunDir]:
    """The runs that a command resumes or tries again; no trainer starts."""
    runs: list[RunDir] = []

    def retry(run: RunDir) -> RunDir:
        runs.append(run)
        return run

    monkeypatch.setattr("genui.runs.launch.resume", runs.append)
    monkeypatch.setattr("genui.runs.launch.retry", retry)
    return runs


def at_once(pilot: Pilot[None], *pressed: str) -> None:
    """Keys that are all there before the first is answered, as of a paste or a slow link."""
    for key in pressed:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))


async def titles(palette: Palette) -> list[str]:
    """What the palette lists when it opens."""
    return [str(hit.text) async for hit in palette.discover()]


async def test_every_command_of_the_main_screen_can_be_done(
    shipped, open_app: Opener, resumed: list[RunDir]
) -> None:
    stage.make_run()
    async with open_app(SMALL) as pilot:
        app, home = pilot.app, home_of(pilot)
        palette = Palette(home, None)
        await until(pilot, lambda: home.query_one(TrainingPane).run is not None)

        async def back() -> None:
            while app.screen is not home:
                if isinstance(app.screen, PaneScreen | TrainingScreen):
                    app.screen.action_view("home")
                else:
                    app.pop_screen()
                await pilot.pause()

        begun = await do_all(pilot, palette, back)
        panes = {"Models", "Training", "Text", "Canvas", "Everywhere"}
        assert begun == panes | {"Open", "Show", "Train", "Choose"}
        assert resumed


async def test_every_command_of_the_training_screen_can_be_done(
    open_watch: Opener, resumed: list[RunDir]
) -> None:
    stage.make_run()
    async with open_watch(SMALL) as pilot:
        app, board = pilot.app, board_of(pilot)

        async def back() -> None:
            while app.screen is not board:
                app.pop_screen()
                await pilot.pause()
            if board.table.display:  # it covers what most commands act on
                board.action_runs()

        begun = await do_all(pilot, Palette(board, None), back)
        assert begun == {"Training screen", "Everywhere", "Show", "Choose"}
        assert resumed


async def test_a_command_whose_screen_was_left_is_not_done(shipped, open_app: Opener) -> None:
    stage.make_run()
    async with open_app() as pilot:
        await until_seen(pilot, "plays-2")
        await pilot.press("4")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
        board = board_of(pilot)
        commands = [hit.command async for hit in Palette(board, None).discover()]
        board.action_view("home")
        await until(pilot, lambda: not board.is_attached)
        for command in commands:
            result = command()
            if inspect.isawaitable(result):
                await result
        await pilot.pause()
        assert pilot.app.screen is home_of(pilot)


async def test_two_enters_at_once_do_a_command_once_on_every_screen(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Screen] = []
    monkeypatch.setattr(AppScreen, "action_help", lambda self: done.append(self))
    async with open_app() as pilot:
        for view in ("home", *list_screens()):
            home_of(pilot).action_view(view)
            is_pane = view != "home"
            await until(pilot, lambda is_pane=is_pane: is_pane_screen(pilot) == is_pane)
            front = pilot.app.screen
            done.clear()
            await pilot.press("ctrl+p", *"everywhere: help")
            await until_seen(pilot, "The keys of this pane")
            at_once(pilot, "enter", "enter")
            await until(pilot, lambda: bool(done))
            await pilot.pause(0.1)
            assert done == [front], view
            assert pilot.app.screen is front


def is_pane_screen(pilot: Pilot[None]) -> bool:
    return isinstance(pilot.app.screen, PaneScreen)


async def test_what_is_typed_with_the_key_that_opens_the_palette_waits_for_it(
    shipped,
    open_app: Opener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[Screen] = []
    monkeypatch.setattr(HomeScreen, "action_help", lambda self: done.append(self))
    async with open_app() as pilot:
        at_once(pilot, "ctrl+p", *"help", "enter")
        await until(pilot, lambda: bool(done))
        assert pilot.app.screen is home_of(pilot)
        at_once(pilot, "ctrl+p", "down", "down", "pagedown")

        def moved() -> bool:
            palette = pilot.app.screen
            if not isinstance(palette, PaletteScreen) or not palette.query(CommandInput):
                return False
            at = palette.query_one(CommandList).highlighted
            return at is not None and at > 2

        await until(pilot, moved)


async def test_the_palette_is_not_opened_twice_if_a_screen_opens_over_it(open_app: Opener) -> None:
    async with open_app(lists=False) as pilot:
        app = pilot.app
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, PaletteScreen))
        home_of(pilot).open_board()  # as of a key before, answered late
        await until(pilot, lambda: isinstance(app.screen, TrainingScreen) and is_usable(app.screen))
        await pilot.press("ctrl+p")
        assert isinstance(app.screen, TrainingScreen)
        assert not app.return_code


async def test_letters_typed_while_the_commands_are_prepared_are_searched(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = asyncio.Event()

    async def prepare(_: HomeScreen) -> None:
        await prepared.wait()

    monkeypatch.setattr(HomeScreen, "prepare_commands", prepare)
    async with open_app() as pilot:
        await pilot.press("ctrl+p", *"modelicons")  # each letter cancels the search before
        prepared.set()
        await until_seen(pilot, "Open model icons")


async def test_the_palette_has_a_command_a_line_that_can_be_done_the_last_ones_first(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        assert isinstance(pilot.app, GenuiApp)
        palette = Palette(home_of(pilot), None)
        for title in ("Canvas: add noise", "Text: side by side"):
            pilot.app.post_message(messages.Performed(title))
        await until(pilot, lambda: len(pilot.app.recent) == 2)  # type: ignore[attr-defined]
        listed = await titles(palette)
        assert listed[:2] == ["Text: side by side", "Canvas: add noise"]
        assert len(listed) == len(set(listed))
        assert "Training: log axis" in listed  # and there is no run to steer
        assert not {"Training: pause/resume", "Training: stop"} & {*listed}
        hits = [hit async for hit in palette.discover()]
        assert all(hit.help is None and "\n" not in str(hit.prompt) for hit in hits)
        assert str(hits[1].prompt).startswith("Add noise back")
    async with open_app() as pilot:  # they are kept
        assert (await titles(Palette(home_of(pilot), None)))[0] == "Text: side by side"


async def found(palette: Palette, query: str) -> list[str]:
    """What the palette lists for a query, the best first."""
    hits = [hit async for hit in palette.search(query)]
    return [str(hit.text) for hit in sorted(hits, key=lambda hit: hit.score, reverse=True)]


async def test_the_palette_lists_names_first_and_at_most_a_screenful(
    shipped: Path, marks: Kind, open_app: Opener
) -> None:
    stage.ship(shipped, "marks-image")
    for number in range(30):
        stage.make_run(name=f"lightly-{number}")
    async with open_app(SMALL) as pilot:
        home = home_of(pilot)
        await until(pilot, lambda: len(home.runs) == 30 and len(home.models) > 4)
        palette = Palette(home, None)
        themes = await found(palette, "theme")
        assert themes[0] == "Choose a theme"
        assert all("theme" in title for title in themes)
        assert len(themes) < SMALL[1]
        light = await found(palette, "light")
        assert "Choose theme genui-light" in light
        assert "Choose a theme" in await found(palette, "light theme")
        assert "Models: play" not in light
        names = [title.startswith("Show run lightly") for title in light]
        assert names == sorted(names)
        assert any(names)
        assert await found(palette, "sketch") == ["Open model marks-image"]
        assert (await found(palette, "icons"))[:2] == ["Open model icons", "Train icons"]
        assert (await found(palette, "opic"))[0] == "Open model icons"
        assert await found(palette, "zqx") == []
        await pilot.press("ctrl+p", *"run")
        rows = pilot.app.screen.query_one(CommandList)
        await until(pilot, lambda: bool(rows.option_count))
        await pilot.pause()
        assert rows.max_scroll_y == 0


async def test_only_panes_that_are_there_have_commands(
    shipped: Path, marks: Kind, open_app: Opener
) -> None:
    stage.ship(shipped, "marks-image")
    async with open_app() as pilot:
        home = home_of(pilot)
        palette = Palette(home, None)

        async def panes() -> set[str]:
            """Of Canvas and Sketch, those whose commands are listed."""
            listed = [hit.text or "" async for hit in palette.discover()]
            return {line.partition(":")[0] for line in listed} & {"Canvas", "Sketch"}

        assert await panes() == {"Canvas"}
        home.open_model(next(model for model in home.models if model.name == "marks-image"))
        await until(pilot, lambda: bool(home.query("#pen")) and home.slot == "pen")
        assert await panes() == {"Sketch"}
        await pilot.press("ctrl+p", *"canvas: ")
        await until(pilot, lambda: isinstance(pilot.app.screen, PaletteScreen))
        await pilot.press("enter")
        assert home.slot == "pen"


async def test_a_theme_is_tried_as_it_is_chosen_and_esc_brings_the_first_back(
    open_app: Opener,
) -> None:
    async with open_app(lists=False) as pilot:
        before = pilot.app.theme
        await pilot.press("ctrl+p", *"choose a theme")
        await until_seen(pilot, "Light or dark, previewed")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ThemeScreen))
        rows = pilot.app.screen.query_one(RowList)
        assert rows.chosen == before
        await pilot.press("home")
        await until(pilot, lambda: pilot.app.theme == rows.chosen != before)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.theme == before)


async def test_a_search_that_ends_late_and_pages_of_a_list_without_room_are_no_fault(
    open_app: Opener,
    shipped,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("genui.ui.app.MAX_KEY_DELAY", HOLD)
    async with open_app(lists=False) as pilot:
        await pilot.press("ctrl+p")
        palette = pilot.app.screen
        assert isinstance(palette, PaletteScreen)
        await pilot.app.pop_screen()
        await palette._watch__show_busy()  # Textual calls it as soon as it can
        await pilot.press("ctrl+p")
        palette = pilot.app.screen
        assert isinstance(palette, PaletteScreen)
        rows = palette.query_one(CommandList)
        await until(pilot, lambda: rows.option_count > 3)
        await pilot.press("down", "down")
        rows.styles.display = "none"
        await pilot.pause()
        await pilot.press("pagedown", "pageup")
        await pilot.pause(2 * HOLD)
        assert not pilot.app.return_code
