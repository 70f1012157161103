"""The Training screen: what each key does to the curves."""

import re

import pytest
import stage
from acting import Opener, board_of, fault, home_of, seen, until, until_seen
from board_acting import chosen, log, many, span, titles

from genui.ui.training.curves import CurveGrid, curve_settings


async def test_a_run_is_shown_with_all_its_curves_and_its_panels(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=1240, steps=4000)
    run.console.write_text("12:00:00 [red]no markup[/red] \x1b[31mno code\n")
    async with open_watch() as pilot:
        await until_seen(pilot, "KING RICHARD")
        screen = seen(pilot)
        for text in (
            *("plays  ○ stopped", "1,240/4,000", "31 %", "train ", "val ", "last written"),
            *("loss  ━ train", "╌+ val", "grad_norm", "lr (learning rate)  0.0030"),
            *("3 curves", "1 column ="),
        ):
            assert text in screen
        assert "1 Home" not in screen
        assert titles(pilot) == ["loss", "lr", "grad_norm"]
        await pilot.press("tab")
        await until_seen(pilot, "[red]no markup[/red] no code")
        await pilot.press("tab")
        await until_seen(pilot, "shakespeare")
        await pilot.press("tab", "tab", "tab")
        await until_seen(pilot, "KING RICHARD")


async def test_the_main_app_goes_there_and_back_by_digits(shipped, open_app: Opener) -> None:
    stage.make_run(name="plays")
    async with open_app() as pilot:
        await until_seen(pilot, "1,240")
        await pilot.press("4")
        await until_seen(pilot, "╌+ val")
        assert "1 Home" in seen(pilot)
        await pilot.press("3")
        await until(pilot, lambda: home_of(pilot).board is None)
        assert home_of(pilot).current == "canvas"
        await pilot.press("4")
        await until_seen(pilot, "╌+ val")
        await pilot.press("escape")
        await until_seen(pilot, "Models")
        assert home_of(pilot).view == "home"
        await pilot.press("tab", "tab", "enter")  # from canvas round to training
        await until_seen(pilot, "╌+ val")


async def test_without_a_run_it_says_what_to_press(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("4")
        await until_seen(pilot, "No runs yet. Press 1, then n to start one.")
        await pilot.press("plus", "left", "home", "board.smooth", "board.pin", "enter")
        await pilot.press("board.follow", "0", "o", "tab", "comma", "space", "ctrl+s")
        await pilot.press("board.rate", "board.evaluate", "n", "semicolon", "G")
        await pilot.press("board.resume", "right_square_bracket")
        await pilot.press("o", "1")
        await until_seen(pilot, "Models")


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
        await pilot.press("full_stop")
        await until_seen(pilot, "there is no later sample")
        for sample in run.samples.iterdir():
            sample.unlink()
        await until_seen(pilot, "No samples")
        await pilot.press("semicolon")
        await until_seen(pilot, "this run has no samples yet")


async def test_80_by_24_shows_curves_or_the_side(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=300)
    async with open_watch(size=(80, 24)) as pilot:
        await until_seen(pilot, "loss  ━ train")
        assert "KING RICHARD" not in seen(pilot)
        await pilot.press("tab")
        await until_seen(pilot, "KING RICHARD")
        assert "━ train" not in seen(pilot)
        await pilot.press(*("tab",) * 5)
        await until_seen(pilot, "loss  ━ train")
        await pilot.press("tab", "escape")
        await until_seen(pilot, "loss  ━ train")
        await pilot.press("board.axis", "end", "o")
        await until_seen(pilot, "Runs  1")


async def test_the_cursor_reads_values_in_every_curve(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=1)
    run.metrics.write_text("")
    log(run, *({"step": step, "loss": 100 - step, "lr": step / 8} for step in range(101)))
    async with open_watch() as pilot:
        await until_seen(pilot, "lr (learning rate)  12.50")  # the newest
        await pilot.press("home")
        await until_seen(pilot, "cursor step 0")
        assert "lr (learning rate)  0 " in seen(pilot)
        assert "loss  100.0" in seen(pilot)
        for keys, ten in ((("right", "l"), False), (("shift+right",), True), (("L",), True)):
            before = board_of(pilot).board.state.cursor or 0.0
            await pilot.press(*keys)
            after = board_of(pilot).board.state.cursor
            assert after is not None
            assert after >= before + (10 if ten else 2)
        await pilot.press("h", "left", "H", "shift+left", "shift+left")
        await until_seen(pilot, "cursor step 0")
        await pilot.press("end", "right")
        await until_seen(pilot, "cursor step 100")
        await pilot.press("board.axis")
        await until_seen(pilot, "step 100")  # the cursor is where it was
        assert board_of(pilot).board.state.axis == "time"
        await pilot.press("board.follow")
        await until(pilot, lambda: "cursor" not in seen(pilot).splitlines()[3])


KEYS: list[tuple[str, str, object]] = [
    ("down", "chosen", "lr"),
    ("k", "chosen", "loss"),
    ("up", "chosen", "grad_norm"),
    ("down", "chosen", "loss"),
    ("j", "chosen", "lr"),
    ("board.pin", "pins", ("lr",)),
    ("board.pin", "pins", ()),
    ("z", "alone", True),
    ("escape", "alone", False),
    ("enter", "alone", True),
    ("enter", "alone", False),
    ("board.log_y", "log_y", True),
    ("board.log_y", "log_y", False),
    ("board.log_x", "log_x", True),
    ("board.log_x", "log_x", False),
    ("board.smooth", "smoothing", 0.97),
    ("less_than_sign", "view", None),
    ("end", "cursor", 1000),
    ("end", "cursor", None),
    ("end", "cursor", 1000),
    ("board.follow", "cursor", None),
    ("tab", "side", "console"),
    ("shift+tab", "side", "sample"),
    ("tab", "side", "console"),
]
"""What each does to the view, in this order."""


async def test_the_keys_change_the_view_and_all_curves_are_drawn_by_it(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=1000)
    async with open_watch() as pilot:
        board, grid = board_of(pilot).board, board_of(pilot).query_one(CurveGrid)
        for key, field, value in KEYS:
            await pilot.press(key)
            assert getattr(board.state, field) == value, key
            for name, wanted in curve_settings(board.state).items():
                assert {getattr(cell.curve.options, name) for cell in grid.cells} == {wanted}, key
        whole = span(pilot)
        for key, width in (("plus", 2), ("equals_sign", 4), ("minus", 2), ("0", 1)):
            await pilot.press(key)
            start, end = span(pilot)
            assert end - start == pytest.approx((whole[1] - whole[0]) / width, rel=0.1)
        await pilot.press("plus", "less_than_sign")
        moved = span(pilot)
        assert moved[1] < 1000
        await pilot.press("greater_than_sign")
        assert span(pilot)[1] > moved[1]
        await pilot.press("plus", "board.follow")
        log(run, {"step": 1600, "loss": 1.0, "lr": 0.003})
        await until(pilot, lambda: span(pilot)[0] <= 1600 <= span(pilot)[1])
        await pilot.press("board.smooth_by", *("backspace",) * 4, "2", "enter")
        await until(pilot, lambda: "smoothing '2': expected a number, 0 to below 1" in fault(pilot))
        await pilot.press(*("backspace",) * 4, *"0.8", "enter")
        await until_seen(pilot, "smoothing 0.8")
        await until(pilot, lambda: {cell.curve.options.smoothing for cell in grid.cells} == {0.8})


async def test_more_curves_than_fit_come_in_pages_and_are_filtered(open_watch: Opener) -> None:
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
        await pilot.press("pageup")
        assert titles(pilot) == first
        await pilot.press("slash", *"m1[0-2]", "enter")
        assert titles(pilot) == ["m10", "m11", "m12"]
        await until_seen(pilot, "3 curves match /m1[0-2]")
        await pilot.press("slash", "left_parenthesis")
        await until_seen(pilot, "'(' is not a regular expression")
        await pilot.press("escape")  # as it was before the line was opened
        assert titles(pilot) == ["m10", "m11", "m12"]
        await pilot.press("slash", *"nothing", "enter")
        await until_seen(pilot, "no metric matches nothing: / changes it")
        await pilot.press("slash", "backspace", "enter")
        await until_seen(pilot, "23 curves")
