"""Jump mode, and what is said under the mouse: both of the table of keys."""

import pytest
import stage
from acting import FAST, Opener, board_of, home_of, seen, until, until_seen
from board_acting import chosen, titles
from textual.pilot import Pilot
from textual.widgets import Static, Tooltip

from genui.base import paths
from genui.ui.app import GenuiApp
from genui.ui.jump import JumpScreen
from genui.ui.training.console import ConsoleLines
from genui.ui.widgets.bars import FooterLine, HeaderLine
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lists import RowList
from genui.ui.widgets.settings import SettingsPanel


async def jump(pilot: Pilot[None], key: str = "ctrl+g") -> str:
    """Open jump mode; returns the letters."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, JumpScreen))
    letters = pilot.app.screen.query(".jump").results(Static)
    return "".join(str(letter.content).strip() for letter in letters)


async def test_a_letter_focuses_its_pane_and_any_other_key_leaves(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        home = home_of(pilot)
        assert await jump(pilot) == "asdf"  # models, training, text, canvas
        await pilot.press("d")
        await until(pilot, lambda: pilot.app.screen is home and home.current == "text")
        for leaving in ("escape", "1"):
            await jump(pilot)
            await pilot.press(leaving)
            await until(pilot, lambda: pilot.app.screen is home)
            assert home.current == "text"


async def test_a_letter_stands_in_the_corner_of_its_pane(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        panes = [home_of(pilot).query_one(f"#{name}").region for name in ("models", "text")]
        await jump(pilot)
        lines = seen(pilot).splitlines()
        for pane, letter in zip(panes, "ad", strict=True):
            assert lines[pane.y][pane.x : pane.x + 3] == f" {letter} "


async def test_where_nothing_takes_keys_a_line_says_so(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("4", "ctrl+g")
        await until_seen(pilot, "there is no pane or field here to jump to")


async def test_a_field_of_a_form_is_reached_from_a_line_that_takes_letters(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.focused, LineInput))
        form = pilot.app.screen
        assert await jump(pilot) == "asdfg"
        await pilot.press("d")
        await until(pilot, lambda: pilot.app.screen is form)
        assert pilot.app.focused is form.query_one("#field-steps")
        assert not any(line.value for line in form.query(LineInput))


async def test_a_letter_chooses_a_curve_or_focuses_the_panel(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1240, steps=4000)
    async with open_watch() as pilot:
        board = board_of(pilot)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.focused, ConsoleLines))
        lines = pilot.app.focused
        assert await jump(pilot) == "asdf"  # three curves and the console
        await pilot.press("s")
        await until(pilot, lambda: chosen(pilot) == titles(pilot)[1])
        assert pilot.app.focused is None
        await jump(pilot)
        await pilot.press("f")
        await until(pilot, lambda: pilot.app.focused is lines)
        assert pilot.app.screen is board


async def test_the_palette_and_a_key_of_the_user_open_it_too(shipped, open_app: Opener) -> None:
    paths.state_dir().mkdir(parents=True, exist_ok=True)
    (paths.state_dir() / "keys.toml").write_text('"app.jump" = "f6"\n')
    async with open_app() as pilot:
        await until(pilot, lambda: bool(home_of(pilot).shell.user_keys))
        await jump(pilot, "f6")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        await pilot.press("ctrl+p")
        await pilot.press(*"jump", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, JumpScreen))


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (FooterLine, 2, "Generate with the model, or show the run's curves · Enter"),
        (HeaderLine, 18, "Text full-screen · 2"),
    ],
)
async def test_a_part_of_a_line_says_under_the_mouse_what_it_does_and_its_key(
    shipped, open_app: Opener, line: type, column: int, said: str
) -> None:
    async with open_app() as pilot:
        await pilot.hover(line, offset=(column, 0))
        await until(pilot, lambda: told(pilot, line) == said)
        await pilot.hover(line, offset=(110, 0))
        await until(pilot, lambda: not told(pilot, line))


def told(pilot: Pilot[None], kind: type) -> str:
    return " ".join(str(pilot.app.screen.query_one(kind).tooltip or "").split())


async def test_a_setting_says_under_the_mouse_what_it_does(open_watch: Opener) -> None:
    stage.make_run(name="plays")
    async with open_watch() as pilot:
        await pilot.press("s")
        await until_seen(pilot, "smoothing")
        rows = board_of(pilot).query_one(SettingsPanel).query_one(RowList)
        await pilot.hover(rows, offset=(4, 1))
        await until(pilot, lambda: "Linear or logarithmic · ←→ change" in str(rows.tooltip))


async def test_a_tip_has_room_for_all_that_it_says(shipped) -> None:
    async with GenuiApp(FAST).run_test(size=(120, 40), tooltips=True) as pilot:
        await pilot.press("2", "s")
        await until_seen(pilot, "temperature")
        rows = pilot.app.screen.query_one(SettingsPanel).query_one(RowList)
        tip = pilot.app.screen.query_one(Tooltip)
        for row in (2, 0):
            await pilot.hover(rows, offset=(4, row))
            await until(pilot, lambda: tip.display and tip.size.height > 0)
            said = str(tip.content).splitlines()
            assert tip.size == (max(map(len, said)), len(said))
            await pilot.hover(rows, offset=(4, 5))  # hides the tip of the row before
            await until(pilot, lambda: not tip.display and not tip.size)
