"""The Training screen: what each key does to what is seen."""

import json
import re
import time
from collections.abc import Mapping

import pytest
import stage
from acting import Opener, board_of, home_of, seen, until, until_seen
from textual.pilot import Pilot

from genui.runs.layout import RunDir
from genui.runs.lock import RunLock
from genui.ui.board.cell import PIN
from genui.ui.board.grid import CurveGrid


def log(run: RunDir, *records: Mapping[str, object]) -> None:
    """Appends to the run's metrics."""
    with run.metrics.open("a") as file:
        file.writelines(json.dumps({"time": time.time(), **record}) + "\n" for record in records)


def many(count: int) -> RunDir:
    """A run of so many metrics, named m0, m1 …"""
    run = stage.make_run(name="many", step=1)
    run.metrics.write_text("")
    log(run, *({"step": step, **{f"m{n}": step + n for n in range(count)}} for step in (1, 2)))
    return run


def titles(pilot: Pilot[None]) -> list[str]:
    """The names of the curves that are seen, in order."""
    grid = board_of(pilot).query_one(CurveGrid)
    return [cell.plot.key for cell in grid.cells if cell.plot is not None]


def chosen(pilot: Pilot[None]) -> str:
    cell = board_of(pilot).query_one(CurveGrid).chosen
    assert cell is not None
    assert cell.plot is not None
    return cell.plot.key


def span(pilot: Pilot[None]) -> tuple[float, float]:
    """The first and the last step in sight in the chosen curve."""
    cell = board_of(pilot).query_one(CurveGrid).chosen
    assert cell is not None
    return cell.curve.span()


async def test_a_run_is_shown_with_all_its_curves(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1240, steps=4000)
    async with open_watch() as pilot:
        await until_seen(pilot, "KING RICHARD")
        screen = seen(pilot)
        for text in (
            *("plays  ○ stopped", "1,240/4,000", "31 %", "train ", "val ", "last written"),
            *("loss  ━ train", "◆ val", "grad_norm", "lr  0.0030", "3 curves", "1 column ="),
        ):
            assert text in screen
        assert "1 Home" not in screen
        assert titles(pilot) == ["loss", "lr", "grad_norm"]


async def test_the_main_app_goes_there_and_back_by_digits(shipped, open_app: Opener) -> None:
    stage.make_run(name="plays")
    async with open_app() as pilot:
        await until_seen(pilot, "1,240")
        await pilot.press("4")
        await until_seen(pilot, "◆ val")
        assert "1 Home" in seen(pilot)
        await pilot.press("3")
        await until(pilot, lambda: home_of(pilot).board is None)
        assert home_of(pilot).current == "canvas"
        await pilot.press("4")
        await until_seen(pilot, "◆ val")
        await pilot.press("escape")
        await until_seen(pilot, "Models")
        assert home_of(pilot).view == "home"
        await pilot.press("tab", "tab", "enter")  # from canvas round to training
        await until_seen(pilot, "◆ val")


async def test_without_a_run_it_says_what_to_press(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("4")
        await until_seen(pilot, "No training yet: press 1, and n there starts one")
        await pilot.press("plus", "left", "home", "s", "p", "enter", "f", "0", "o", "t", "comma")
        await pilot.press("space", "c", "r", "e", "n", "w", "g", "u", "right_square_bracket")
        await pilot.press("o", "1")
        await until_seen(pilot, "Models")


async def test_the_cursor_reads_values_in_every_curve(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=1)
    run.metrics.write_text("")
    log(run, *({"step": step, "loss": 100 - step, "lr": step / 8} for step in range(101)))
    async with open_watch() as pilot:
        await until_seen(pilot, "lr  12.50")  # the newest
        await pilot.press("home")
        await until_seen(pilot, "cursor step 0")
        assert "lr  0 " in seen(pilot)
        assert "loss  100.0" in seen(pilot)
        await pilot.press("right")
        first = board_of(pilot).board.state.cursor
        assert first is not None
        await pilot.press("l", "l")
        third = board_of(pilot).board.state.cursor
        assert third is not None
        assert 0 < first < third
        await pilot.press("h", "left", "left")
        await until_seen(pilot, "cursor step 0")
        await pilot.press("shift+right")
        ten = board_of(pilot).board.state.cursor
        assert ten is not None
        assert ten >= 10
        await pilot.press("H")
        await until_seen(pilot, "cursor step 0")
        await pilot.press("end")
        await until_seen(pilot, "cursor step 100")
        await pilot.press("right")
        await until_seen(pilot, "cursor step 100")
        await pilot.press("f")
        await until(pilot, lambda: "cursor" not in seen(pilot).splitlines()[3])


async def test_zoom_pan_and_everything(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        whole = span(pilot)
        await pilot.press("less_than_sign")
        await until_seen(pilot, "everything is in sight: + zooms in")
        await pilot.press("plus")  # about the newest
        start, end = span(pilot)
        assert end - start == pytest.approx((whole[1] - whole[0]) / 2, rel=0.1)
        assert end >= 1000
        await pilot.press("less_than_sign")
        assert span(pilot)[1] < end
        await pilot.press("greater_than_sign")
        assert span(pilot) == pytest.approx((start, end))
        await pilot.press("equals_sign", "equals_sign", "less_than_sign", "left", "left", "plus")
        cursor = board_of(pilot).board.state.cursor
        assert cursor is not None
        assert span(pilot)[0] <= cursor <= span(pilot)[1]
        assert span(pilot)[1] - span(pilot)[0] < 0.1 * (end - start) * 2
        await pilot.press("minus", "minus", "minus", "minus", "minus", "minus")
        assert span(pilot) == whole
        await pilot.press("plus", "0")
        assert span(pilot) == whole


async def test_a_cursor_that_leaves_the_view_takes_it_along(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        await pilot.press("plus", "plus", "plus", "home")
        start, end = span(pilot)
        await pilot.press("shift+left")
        assert span(pilot)[0] < start
        assert span(pilot)[1] - span(pilot)[0] == pytest.approx(end - start)


async def test_a_zoomed_view_follows_until_it_is_moved(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        await pilot.press("plus", "plus")
        before = span(pilot)
        log(run, {"step": 1600, "loss": 1.0})
        await until(pilot, lambda: span(pilot)[0] <= 1600 <= span(pilot)[1])
        assert span(pilot)[1] - span(pilot)[0] == pytest.approx(before[1] - before[0])
        await pilot.press("less_than_sign", "less_than_sign")
        moved = span(pilot)
        log(run, {"step": 2600, "loss": 1.0})
        await until_seen(pilot, "step 2,600")
        assert span(pilot) == moved
        await pilot.press("f")
        await until(pilot, lambda: span(pilot)[0] <= 2600 <= span(pilot)[1])


async def test_the_x_axis_goes_round_what_is_known(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1240)  # a step every 0.1 s
    async with open_watch() as pilot:
        await pilot.press("end", "a")
        await until_seen(pilot, "cursor 2:0")
        assert "step 1,240" in seen(pilot).splitlines()[3]  # the cursor is where it was
        assert "1:00" in seen(pilot)
        for _ in range(3):
            if board_of(pilot).board.state.axis != "step":
                await pilot.press("a")
        assert board_of(pilot).board.state.axis == "step"
        await until_seen(pilot, "cursor step 1,2")


async def test_logarithmic_axes_and_smoothing(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        grid = board_of(pilot).query_one(CurveGrid)
        await pilot.press("y")
        assert all(cell.curve.log_y for cell in grid.cells)
        await pilot.press("y", "Y")
        assert all(cell.curve.log_x and not cell.curve.log_y for cell in grid.cells)
        await pilot.press("s")
        await until_seen(pilot, "smoothing 0.97")
        await pilot.press("s", "s")
        await until_seen(pilot, "smoothing off")
        await pilot.press("S", *("backspace",) * 4, "2", "enter")
        await until_seen(pilot, "'2' is no smoothing: from 0, off, to below 1")
        await pilot.press(*("backspace",) * 4, *"0.8", "enter")
        await until_seen(pilot, "smoothing 0.8")
        assert {cell.curve.smoothing for cell in grid.cells} == {0.8}


async def test_curves_are_chosen_opened_and_pinned(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=300)
    async with open_watch() as pilot:
        assert chosen(pilot) == "loss"
        await pilot.press("tab")
        assert chosen(pilot) == "lr"
        await pilot.press("j", "down")
        assert chosen(pilot) == "loss"  # round
        await pilot.press("k")
        assert chosen(pilot) == "grad_norm"
        await pilot.press("enter")
        assert titles(pilot) == ["grad_norm"]
        await pilot.press("up")
        assert titles(pilot) == ["lr"]
        await pilot.press("escape")
        assert len(titles(pilot)) == 3
        await pilot.press("p")
        assert titles(pilot) == ["lr", "loss", "grad_norm"]
        assert f"{PIN} lr" in seen(pilot)
        await pilot.press("p")
        assert titles(pilot) == ["loss", "lr", "grad_norm"]


async def test_more_curves_than_fit_come_in_pages(open_watch: Opener) -> None:
    many(23)
    async with open_watch() as pilot:
        await until_seen(pilot, "page 1 of ")
        found = re.search(r"page 1 of (\d+), 23 curves", seen(pilot))
        assert found is not None
        pages = int(found[1])
        await until(pilot, lambda: pages == -(-23 // len(titles(pilot))))
        first = titles(pilot)
        await pilot.press("pagedown")
        assert not set(titles(pilot)) & set(first)
        assert chosen(pilot) == titles(pilot)[0]
        await pilot.press("pageup", "pageup")
        assert titles(pilot) == first
        await pilot.press("up")  # before the first comes the last
        assert chosen(pilot) == board_of(pilot).board.plots()[-1].key
        await until_seen(pilot, f"page {pages} of {pages}, 23 curves")


async def test_metrics_are_filtered_by_a_regular_expression(open_watch: Opener) -> None:
    many(23)
    async with open_watch() as pilot:
        await pilot.press("slash", *"m1[0-2]", "enter")
        assert titles(pilot) == ["m10", "m11", "m12"]
        await until_seen(pilot, "3 curves match /m1[0-2]")
        await pilot.press("slash", "left_parenthesis")
        await until_seen(pilot, "'(' is no regular expression")
        assert titles(pilot) == ["m10", "m11", "m12"]
        await pilot.press("escape")
        assert titles(pilot) == ["m10", "m11", "m12"]
        await pilot.press("slash", *"nothing", "enter")
        await until_seen(pilot, "no metric matches nothing: / changes it")
        await pilot.press("slash", "backspace", "enter")
        await until_seen(pilot, "23 curves")


async def test_ten_thousand_metrics_fill_one_page(open_watch: Opener) -> None:
    many(10_000)
    async with open_watch() as pilot:
        await until_seen(pilot, "10,000 curves")
        assert len(board_of(pilot).query("Cell")) <= 8
        await pilot.press("slash", *"m777[78]", "enter")
        await until_seen(pilot, "2 curves match")
        assert titles(pilot) == ["m7777", "m7778"]


async def test_the_sample_keys_move_the_cursor(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=300)
    for step in (100, 200):
        run.sample(step, ".txt").write_text(f"as it was at {step}")
    async with open_watch() as pilot:
        await until_seen(pilot, "KING RICHARD")
        for key, text, cursor in (
            ("comma", "as it was at 200", 200),
            ("comma", "as it was at 100", 100),
            ("full_stop", "as it was at 200", 200),
            ("full_stop", "KING RICHARD", None),
        ):
            await pilot.press(key)
            await until_seen(pilot, text)
            assert board_of(pilot).board.state.cursor == cursor


async def test_the_side_has_four_panels(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=300)
    run.console.write_text("12:00:00 [red]no markup[/red] \x1b[31mno code\n")
    async with open_watch() as pilot:
        await until_seen(pilot, "KING RICHARD")
        await pilot.press("t")
        await until_seen(pilot, "[red]no markup[/red] no code")
        await pilot.press("t")
        await until_seen(pilot, "shakespeare")
        await pilot.press("t", "t")
        await until_seen(pilot, "KING RICHARD")


async def test_80_by_24_shows_curves_or_the_side(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=300)
    async with open_watch(size=(80, 24)) as pilot:
        await until_seen(pilot, "loss  ━ train")
        assert "KING RICHARD" not in seen(pilot)
        await pilot.press("t")
        await until_seen(pilot, "KING RICHARD")
        assert "━ train" not in seen(pilot)
        await pilot.press("t", "t", "t", "t")
        await until_seen(pilot, "loss  ━ train")
        await pilot.press("t", "escape")
        await until_seen(pilot, "loss  ━ train")
        await pilot.press("a", "end", "o")
        await until_seen(pilot, "Runs  1")


async def test_what_is_logged_is_seen_and_its_age_told(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(run):
        stage.set_state(run, "running", 100, 400)
        async with open_watch() as pilot:
            await until_seen(pilot, "goes on when you quit")
            log(run, {"step": 101, "loss": 0.125})
            await until_seen(pilot, "━ train 0.1250")
            assert re.search(r"data \d+\.\d s old", seen(pilot))


async def test_an_order_is_left_for_the_first_run(open_watch: Opener) -> None:
    from genui.runs import control

    run = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(run):
        stage.set_state(run, "running", 100, 400)
        async with open_watch() as pilot:
            await until_seen(pilot, "running")
            await pilot.press("c")
            await until_seen(pilot, "asked for a checkpoint")
            assert [order.command for order in control.poll(run)] == ["checkpoint"]


async def test_the_footer_offers_what_the_run_obeys(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(run):
        stage.set_state(run, "running", 100, 400)
        async with open_watch(size=(80, 24)) as pilot:
            await until_seen(pilot, "space pause/resume  c checkpoint")
            stage.set_state(run, "finished", 400, 400)
            await until_seen(pilot, "✓ finished")
            footer = seen(pilot).splitlines()[-1]
            assert "pause" not in footer
            assert "n run from here  ←→ cursor  +- zoom" in footer
            assert footer.rstrip().endswith("q quit")


async def test_values_for_which_there_is_no_room_are_left_out_whole(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=300)
    with RunLock(run):
        stage.set_state(run, "running", 300, 400)
        async with open_watch(size=(80, 24)) as pilot:
            await until_seen(pilot, "tok/s")
            await pilot.press("left")
            await until_seen(pilot, "cursor step")
            line = next(line for line in seen(pilot).splitlines() if "cursor step" in line)
            assert "s old" in line
            assert "…" not in line
            assert "tok/s" not in line


async def test_a_line_above_the_footer_takes_no_curve_away(open_watch: Opener) -> None:
    many(6)
    async with open_watch(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(titles(pilot)) == 4)
        await pilot.press("c")
        await until_seen(pilot, "this run is")
        assert len(titles(pilot)) == 4
        await pilot.press("t")
        await until_seen(pilot, "t next")
        assert "page" not in seen(pilot)
        assert "6 curves" in seen(pilot)


async def test_keys_about_curves_say_that_there_are_none(open_watch: Opener) -> None:
    async with open_watch() as pilot:
        for key in ("enter", "tab", "p"):
            await pilot.press(key)
            await until_seen(pilot, "there are no curves yet")
            await pilot.press("escape")
        assert not board_of(pilot).board.state.alone
        await pilot.press("slash")
        await until_seen(pilot, "match a regular expression")


async def test_values_of_too_many_metrics_are_said_to_be_left_out(
    open_watch: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genui.runs.logs.collect.MOST_SERIES", 3)
    many(5)
    async with open_watch() as pilot:
        await until_seen(pilot, "4 values left out: too many metrics · 3 curves")


async def test_damage_in_the_log_is_said_quietly(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=100)
    with run.metrics.open("a") as file:
        file.write("not json\n")
    log(run, *({"step": step, "loss": 1.0} for step in range(40, 110)))
    async with open_watch() as pilot:
        await until_seen(pilot, "1 line could not be read · steps 40–100 written again · 3 curves")


async def test_the_palette_and_the_help_have_its_keys(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=100)
    async with open_watch() as pilot:
        await pilot.press("question_mark")
        await until_seen(pilot, "Keys of Training screen")
        assert "Zoom" in seen(pilot)
        await pilot.press("escape", "ctrl+p", *"pin the chosen")
        await until_seen(pilot, "Training screen: pin")
        await pilot.press("down", "enter")
        await until_seen(pilot, f"{PIN} loss")
        await pilot.press("ctrl+p", *"theme genui-light")
        await until_seen(pilot, "Theme genui-light")


async def test_the_mouse_sets_the_cursor_and_zooms(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        cells = board_of(pilot).query_one(CurveGrid).cells
        await pilot.click(cells[1].curve, offset=(20, 3))
        await until_seen(pilot, "cursor step")
        cursor = board_of(pilot).board.state.cursor
        assert [cell.curve.cursor for cell in cells] == [cursor] * 3
        await pilot.mouse_down(cells[0].curve, offset=(20, 3))
        await pilot.mouse_up(cells[0].curve, offset=(20, 3))


async def test_a_clicked_footer_and_tab_do_what_the_key_does(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=100)
    async with open_watch() as pilot:
        footer = seen(pilot).splitlines()[-1]
        await pilot.click("#footer", offset=(footer.index("smooth") + 1, 0))
        await until_seen(pilot, "smoothing 0.97")
        tabs = next(line for line in seen(pilot).splitlines() if " Console " in line)
        side = tabs.index(" Sample ")
        await pilot.click(".side-tabs", offset=(tabs.index(" Config ") - side + 2, 0))
        await until_seen(pilot, "learning_rate")


async def test_another_theme_changes_the_colours_in_the_borders(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=300)
    async with open_watch() as pilot:
        cell = board_of(pilot).query_one(CurveGrid).cells[0]

        def colour_of_the_sign() -> str:
            strip = cell.render_lines(cell.outer_size.region)[0]
            return next(str(part.style and part.style.color) for part in strip if "━ " in part.text)

        before = colour_of_the_sign()
        pilot.app.theme = "genui-light"
        await pilot.pause()
        await until(pilot, lambda: colour_of_the_sign() != before)
