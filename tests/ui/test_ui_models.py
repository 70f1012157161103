"""The Models pane: the list, the card, the filter, and opening what is chosen."""

import dataclasses
import re
from pathlib import Path

import pytest
import stage
from acting import Opener, home_of, seen, until, until_seen
from PIL import Image
from private_textual import drawn_lines
from textual.widgets import Static

from genui.runs.layout import RunLock
from genui.runs.models import ModelInfo
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import ModelsPane
from genui.ui.settings import model_card
from genui.ui.widgets.bars import StatusLine
from genui.ui.widgets.inputs import FilterLine
from genui.ui.widgets.lists import RowList, shorten
from genui.ui.widgets.prose import Prose


async def test_runs_and_models_are_grouped_with_the_card_of_the_chosen_one(
    shipped,
    open_app: Opener,
) -> None:
    stage.make_run(name="cats", recipe="emoji", state="failed", step=120, error="loss is NaN")
    async with open_app() as pilot:
        await until_seen(pilot, "cats")
        screen = seen(pilot)
        assert screen.index("RUNS") < screen.index(" IMAGE ") < screen.index(" TEXT ")
        assert "failed at 120" in screen
        await until_seen(pilot, "loss is NaN")
        home_of(pilot).query_one(RowList).chosen = "model:shakespeare"
        await until_seen(pilot, "quality fair: 1.44 nats/char")
        assert "data tiny-shakespeare" in seen(pilot)
        assert "Invents words now and then." not in seen(pilot)
        await pilot.press("i")
        await until_seen(pilot, "Invents words now and then.")
        card = str(home_of(pilot).query_one(".card-text", Static).content)
        assert "22 min on 2 cores" in card
        assert "tiny-shakespeare · public domain" in card  # on the screen it is wrapped
        await pilot.press("i")
        await until(pilot, lambda: "Invents words now and then." not in seen(pilot))
        rows = home_of(pilot).query_one(RowList)
        rows.chosen = "pull:smollm2"
        await until_seen(pilot, "genui pull smollm2")
        assert "chat" in seen(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "in a shell: genui pull smollm2")


async def test_the_card_offers_a_training_of_models_that_can_be_trained_on_alone() -> None:
    model = ModelInfo(
        ref="big", name="big", family="pretrained", medium="text", dataset="", parameters=1, step=0,
        summary="", path=Path("big.server"), source="added", format="server", trains=False,
    )  # fmt: skip
    assert "n train" not in str(model_card(model))
    assert "n train" in str(model_card(dataclasses.replace(model, trains=True)))


async def test_what_a_model_drew_is_above_its_card(shipped: Path, open_app: Opener) -> None:
    red = Image.new("RGB", (64, 32), (250, 10, 10))
    red.save(shipped / "emoji" / "sample.png")
    (shipped / "icons" / "sample.png").write_bytes(b"no image")
    async with open_app() as pilot:
        pane = home_of(pilot).query_one(ModelsPane)
        thumbnail = pane.query_one(".thumbnail", Static)
        pane.query_one(RowList).chosen = "model:emoji"
        await until(pilot, lambda: thumbnail.has_class("-shown") and thumbnail.size.height > 2)
        strip = drawn_lines(pilot.app.screen)[thumbnail.region.y]
        colours = {segment.style.bgcolor for segment in strip if segment.style is not None}
        assert any(colour and colour.triplet == (250, 10, 10) for colour in colours)
        pane.query_one(RowList).chosen = "model:icons"
        await until(pilot, lambda: not thumbnail.has_class("-shown"))


async def test_a_run_has_a_sparkline_of_its_held_out_loss(shipped, open_app: Opener) -> None:
    stage.make_run(name="plays", state="finished", step=1200)
    async with open_app(size=(120, 40)) as pilot:
        await until_seen(pilot, "plays")
        await until(pilot, lambda: re.search("█[▁-█]{6}▁ finished 1.2k", seen(pilot)) is not None)


async def test_a_broken_run_is_listed_with_its_fault_and_a_long_notice_leaves_its_middle_out(
    shipped,
    open_app: Opener,
) -> None:
    run = stage.make_run(name="torn")
    run.run_json.write_text("{")
    async with open_app(size=(80, 24)) as pilot:  # without the Training pane, which says it too
        await until_seen(pilot, "damaged")
        card = home_of(pilot).query_one(".card-text", Static)
        assert "run.json" in str(card.content)  # on the screen its path is wrapped
        home_of(pilot).say("saved " + "/a-long-folder" * 30 + "/cat.png", "note")
        await until_seen(pilot, "/cat.png")
        line = pilot.app.screen.query_one(StatusLine)
        assert "…" in line.text
        assert line.text.endswith("m shows all")
        assert line.size.height == 1
        home_of(pilot).say("nothing matches: " + "try another word " * 20 + "or esc", "error")
        await until_seen(pilot, "or esc")


async def test_enter_opens_a_model_in_the_pane_of_its_medium_also_from_the_filter(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        home = home_of(pilot)
        rows = home.query_one(RowList)
        rows.chosen = "model:icons"
        await pilot.press("enter")
        assert home.current == "canvas"
        await until_seen(pilot, "“white rocket")
        await pilot.press("shift+tab", "shift+tab", "shift+tab")
        assert home.current == "models"
        rows.chosen = "model:python"
        await pilot.press("enter")
        assert home.current == "text"
        await until(pilot, lambda: "return 2 * r" in home.query_one(Prose).text)
        await pilot.press("1")
        await pilot.press("slash", *"emoj")
        await until_seen(pilot, "1 of 4")
        await pilot.press("x", "enter")  # nothing matches
        assert (home.current, home.query_one(FilterLine).value) == ("models", "emojx")
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: home.current == "canvas")
        opened = home.query_one("#canvas", TracePane).controller.model
        assert opened is not None
        assert opened.name == "emoji"
        await pilot.press("1")
        assert home.query_one(RowList).chosen == "model:emoji"
        assert "shakespeare" in _list(pilot)
        assert not home.query_one(ModelsPane).has_class("-editing")


async def test_the_filter_is_a_regular_expression_and_takes_every_key(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await pilot.press("slash", *"^image")
        await until_seen(pilot, "2 of 4")
        assert "shakespeare" not in _list(pilot)
        rows = home_of(pilot).query_one(RowList)
        first = rows.chosen
        await pilot.press("down")
        assert pilot.app.focused is rows
        assert rows.chosen != first
        assert "shakespeare" not in _list(pilot)
        await pilot.press("escape")
        assert "shakespeare" in _list(pilot)
        await pilot.press("slash", "left_parenthesis")
        await until_seen(pilot, "not a regular expression")
        assert "shakespeare" in _list(pilot)
        await pilot.press("escape")
        assert "not a regular expression" not in seen(pilot)
        await pilot.press("slash")
        pilot.app.screen.focused.value = "a{99999999999}"  # type: ignore[union-attr]
        await until_seen(pilot, "not a regular expression")
        await pilot.press("escape")
        await pilot.press("slash", *"q2nz")
        home = home_of(pilot)
        assert home.view == "home"
        assert home.query_one("ModelsPane LineInput").value == "q2nz"  # type: ignore[attr-defined]
        assert pilot.app.is_running


async def test_of_several_that_match_the_best_name_is_chosen(
    shipped: Path, open_app: Opener
) -> None:
    stage.ship(shipped, "shakespeare-gru")
    async with open_app() as pilot:
        rows = home_of(pilot).query_one(RowList)
        await pilot.press("slash", *"pyth")  # pythons are in a summary above it
        await until(pilot, lambda: rows.chosen == "model:python")
        await pilot.press(*["backspace"] * 4, *"recurr")
        await until(pilot, lambda: rows.chosen == "model:shakespeare-gru")


@pytest.mark.parametrize(
    ("recipe", "pane", "place"), [("shakespeare", "text", 0), ("icons", "canvas", 1)]
)
async def test_generating_from_a_run_takes_its_newest_checkpoint(
    shipped, open_app: Opener, recipe: str, pane: str, place: int
) -> None:
    run = stage.make_run(recipe, name="plays", step=300)
    async with open_app() as pilot:
        await until_seen(pilot, "plays")
        await pilot.press("G")
        home = home_of(pilot)
        await until(pilot, lambda: home.current == pane)
        assert home.offered_models()[place] == f"{run.id}@300"
        await until_seen(pilot, "@300")


async def test_generating_from_a_run_without_checkpoint_says_so(shipped, open_app: Opener) -> None:
    stage.make_run(name="young", step=5, checkpoint=False)
    async with open_app() as pilot:
        await until_seen(pilot, "young")
        await pilot.press("G")
        await until_seen(pilot, "is stopped and has no checkpoint")


async def test_a_sample_gives_way_to_the_name_and_a_long_name_to_the_state(
    shipped, open_app: Opener
) -> None:
    stage.make_run(name="a-name-that-is-much-too-long-for-it", step=1240, steps=4000)
    async with open_app() as pilot:
        await until_seen(pilot, "TEXT")
        rows = [line for line in seen(pilot).splitlines() if "│" in line]
        shakespeare = next(row for row in rows if "shakespeare" in row)
        assert "fair" in shakespeare
        assert "“I am here" not in shakespeare
        run = next(row for row in rows if "a-name" in row)
        assert "1.2k" in run  # after the state, or the sparkline once that has been read
        await pilot.press("z")
        await until_seen(pilot, "shakespeare  “I am here, my lord”")


def _list(pilot) -> str:
    return " ".join(
        row.left for row in home_of(pilot).query_one(ModelsPane).query_one(RowList).rows
    )


def test_a_quality_too_long_for_its_row_loses_its_last_words_and_not_its_number() -> None:
    told = "94.8% of 440 held-out texts, by python-or-prose"
    assert shorten(told, 60) == told
    assert shorten(told, 40) == "94.8% of 440 held-out texts"
    assert shorten(told, 13) == "94.8%"
    assert shorten("training 31 %", 13) == "training 31 %"
    assert shorten("wordwithoutany", 6) == "wordw…"


# --- many runs ----------------------------------------------------------------------------------


async def test_many_runs_leave_room_for_the_models_and_the_filter_looks_at_all(
    shipped, open_app: Opener
) -> None:
    live = stage.make_run(name="live", state="running", step=3)
    for number in range(28):
        stage.make_run(name=f"old-{number}", state="finished", step=2, checkpoint=False)
    with RunLock(live):
        async with open_app() as pilot:
            await until_seen(pilot, "live")
            rows = home_of(pilot).query_one(RowList)
            names = [row.left for row in rows.rows]
            assert names[:2] == ["RUNS", "live"]
            assert names.index("23 more") == 7  # after the five newest
            assert "icons" in seen(pilot)
            await pilot.press("slash", *"old-0")  # folded
            await until(pilot, lambda: [row.left for row in rows.rows] == ["RUNS", "old-0"])
            await pilot.press("enter")
            await until(pilot, lambda: len(rows.rows) > 2)
            assert "old-0" in [row.left for row in rows.rows]
            rows.chosen = "more"
            await pilot.press("enter")
            await until(pilot, lambda: home_of(pilot).board is not None)
            await until_seen(pilot, "old-0")


async def test_the_training_pane_shows_one_that_trains_until_enter_is_pressed(
    shipped, open_app: Opener
) -> None:
    first, second = (stage.make_run(name=name, state="running", step=3) for name in "ab")
    with RunLock(second):
        held = RunLock(first)
        held.__enter__()
        async with open_app() as pilot:
            home = home_of(pilot)
            await until(pilot, lambda: home.watched is not None)
            home.look_at(first)
            held.__exit__(None, None, None)
            stage.set_state(first, "finished", 10, 10)
            home.watcher.refresh()
            await until(pilot, lambda: home.watched == second)
            home.open_run(first)
            home.watcher.refresh()
            await pilot.pause(0.5)
            assert home.watched == first
