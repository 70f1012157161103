"""The Training screen: what is said of a run, and the mouse."""

import re

import pytest
import stage
from acting import Opener, board_of, seen, until, until_seen
from board_acting import log, many, titles

from genui.runs import control
from genui.runs.layout import RunDir
from genui.ui.training.curves import PIN, CurveGrid
from genui.ui.training.panels import SideColumn
from genui.ui.widgets.settings import SettingsPanel


async def test_a_run_that_trains_is_followed_and_steered_until_it_has_finished(
    run: RunDir, open_watch: Opener
) -> None:
    """Values and keys for which there is no room are left out whole."""
    async with open_watch() as pilot:
        await until_seen(pilot, "keeps running after you quit")
        log(run, {"step": 101, "loss": 0.125})
        await until_seen(pilot, "━ train 0.1250")
        assert re.search(r"updated \d+\.\d s ago", seen(pilot))
        await pilot.press("ctrl+s")
        await until_seen(pilot, "checkpoint requested")
        assert [order.command for order in control.poll(run)] == ["checkpoint"]
        await pilot.resize_terminal(120, 24)
        await until_seen(pilot, "5.8k tok/s  41 % of peak FLOP/s  updated")
        await pilot.resize_terminal(80, 24)
        await until_seen(pilot, "space pause  ^x stop")
        assert "tok/s" in seen(pilot)
        await pilot.press("left")
        await until_seen(pilot, "cursor step")
        line = next(line for line in seen(pilot).splitlines() if "cursor step" in line)
        assert "s ago" in line
        assert "…" not in line
        assert "tok/s" not in line
        stage.set_state(run, "finished", 400, 400)
        await until_seen(pilot, "✓ finished")
        footer = seen(pilot).splitlines()[-1]
        assert "pause" not in footer
        assert "n run from here  ←→ cursor" in footer
        assert footer.rstrip().endswith("q quit")


async def test_a_line_above_the_footer_takes_no_curve_away(open_watch: Opener) -> None:
    many(6)
    async with open_watch(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(titles(pilot)) == 4)
        await pilot.press("ctrl+s")
        await until_seen(pilot, "this run is")
        assert len(titles(pilot)) == 4
        await pilot.press("tab")
        await until_seen(pilot, "tab next")
        assert "page" not in seen(pilot)
        assert "6 curves" in seen(pilot)


async def test_values_of_too_many_metrics_are_said_to_be_left_out(
    open_watch: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genui.logs.series_store.MAX_SERIES", 3)
    many(5)
    async with open_watch() as pilot:
        await until_seen(pilot, "4 values left out: too many metrics · 3 curves")


async def test_any_metric_is_typed_as_the_x_axis_and_drawn_over_a_curve(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    log(run, {"step": 101, "loss": 0.125, "acc": 0.5, "lr": 0.1})
    async with open_watch(size=(120, 40)) as pilot:
        board = board_of(pilot).board
        await until(pilot, lambda: "acc" in {plot.key for plot in board.plots()})
        board.change(chosen="acc")
        await pilot.press("s", "down", "down", "down", "enter", "ctrl+u", *"lr", "enter")
        await until_seen(pilot, "the x axis is lr")
        await pilot.press("enter", "ctrl+u", *"nothing", "enter")
        await until_seen(pilot, "no metric 'nothing'")
        await pilot.press("escape", "down", "enter", *"loss", "enter")
        await until(pilot, lambda: board.overlaid() == "loss")
        await until(
            pilot, lambda: re.search(r". acc 0.5000 +. loss 0.1250", seen(pilot)) is not None
        )


async def test_damage_in_the_log_is_said_quietly(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=100)
    with run.metrics.open("a") as file:
        file.write("not json\n")
    log(run, *({"step": step, "loss": 1.0} for step in range(40, 110)))
    async with open_watch() as pilot:
        await until_seen(pilot, "1 line could not be read · steps 40–100 written again · 3 curves")


async def test_the_mouse_sets_the_cursor_and_another_theme_the_colours_in_the_borders(
    open_watch: Opener,
) -> None:
    stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        await until_seen(pilot, "1 column =")
        cells = board_of(pilot).query_one(CurveGrid).cells
        await pilot.click(cells[1].curve, offset=(20, 3))
        await until_seen(pilot, "cursor step")
        cursor = board_of(pilot).board.state.cursor
        assert [cell.curve.options.cursor for cell in cells] == [cursor] * 3
        await pilot.mouse_down(cells[0].curve, offset=(20, 3))
        await pilot.mouse_up(cells[0].curve, offset=(20, 3))
        cell = board_of(pilot).query_one(CurveGrid).cells[0]

        def colour_of_the_sign() -> str:
            strip = cell.render_lines(cell.outer_size.region)[0]
            return next(str(part.style and part.style.color) for part in strip if "━ " in part.text)

        before = colour_of_the_sign()
        pilot.app.theme = "genui-light"
        await pilot.pause()
        await until(pilot, lambda: colour_of_the_sign() != before)
        await pilot.press("question_mark")
        await until_seen(pilot, "Keys of Training screen")
        assert "Zoom" in seen(pilot)
        await pilot.press("escape", "ctrl+p", *"pin the chosen")
        await until_seen(pilot, "Pin the chosen curve to the front")
        await pilot.press("down", "enter")
        await until_seen(pilot, f"{PIN} loss")
        await pilot.press("ctrl+p", *"theme")
        await until_seen(pilot, "Choose a theme")


async def test_the_border_of_the_panel_is_dragged_and_keeps_its_place(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        await until_seen(pilot, "Sample ")
        board, side = board_of(pilot), board_of(pilot).query_one(SideColumn)
        usual, border, row = side.region.width, side.region.x, side.region.y + 5
        await pilot.mouse_down(offset=(border - 1, row))  # the border of the curves
        await pilot.hover(offset=(border - 21, row))
        await pilot.mouse_up(offset=(border - 21, row))
        await until(pilot, lambda: side.region.width == pytest.approx(usual + 20, abs=1))
        assert board.grid.region.right == side.region.x
        wide = side.region.width
        await pilot.hover(offset=(border + 10, row))  # let go: the border stays
        await pilot.press("s", *("down",) * 8, "right")
        await until(pilot, lambda: side.region.width > wide)
        share = board.board.state.panel_width
        await pilot.press("enter", "ctrl+k", *"auto", "enter")
        await until(pilot, lambda: side.region.width == usual)
        board.change(panel_width=share)
    async with open_watch() as pilot:
        await until_seen(pilot, "Sample ")
        side = board_of(pilot).query_one(SideColumn)
        await until(pilot, lambda: side.region.width > wide)


async def test_a_clicked_footer_and_tab_do_what_the_key_does_and_each_setting_has_a_key(
    open_watch: Opener,
) -> None:
    stage.make_run(name="plays", step=100)
    async with open_watch() as pilot:
        footer = seen(pilot).splitlines()[-1]
        await pilot.click("#footer", offset=(footer.index("settings") + 1, 0))
        await until_seen(pilot, "0 is off, nearer 1 is smoother")
        await pilot.press("right")
        await until_seen(pilot, "smoothing 0.97")
        await pilot.press("escape")
        tabs = next(line for line in seen(pilot).splitlines() if " Console " in line)
        side = tabs.index(" Sample ")
        await pilot.click(".side-tabs", offset=(tabs.index(" Config ") - side + 2, 0))
        await until_seen(pilot, "learning_rate")
        board, panel = board_of(pilot).board, board_of(pilot).query_one(SettingsPanel)
        await pilot.press("board.guides")
        await until(pilot, lambda: board.state.guides and not panel.display)
        await pilot.press("board.grid", "ctrl+k", "ctrl+u", *"2x3", "enter")
        await until(pilot, lambda: board.state.grid == (2, 3) and not panel.display)
        await pilot.press("o", "runs.sort_by", "ctrl+k", "ctrl+u", *"step", "enter")
        await until(pilot, lambda: board.state.table.sort == "step" and not panel.display)
